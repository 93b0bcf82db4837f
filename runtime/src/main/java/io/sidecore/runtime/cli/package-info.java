/** The command line: a small class for each group of commands. All but {@code run} must start fast: they speak to a running host over its control socket and load neither Pekko nor a logging backend. */
@NullMarked
package io.sidecore.runtime.cli;

import org.jspecify.annotations.NullMarked;
