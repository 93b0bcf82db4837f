/** PL-1: a host within another program, and in its tests: beside others, in the application's actor system, with stores of the program's own; and nothing is left of it when it ends. */
package io.sidecore.it.embedding;
