/** Virtual machines of a host, and what of them outlives each run of their guests: the serial console and the history. */
@NullMarked
package io.sidecore.runtime.vm;

import org.jspecify.annotations.NullMarked;
