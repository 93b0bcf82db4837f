/** What people touch: a host to embed ({@link io.sidecore.runtime.Sidecore}) and the command line. It introduces the modules to each other: cores, devices and configuration meet here. */
@NullMarked
package io.sidecore.runtime;

import org.jspecify.annotations.NullMarked;
