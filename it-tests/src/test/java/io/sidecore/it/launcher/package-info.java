/** The command line as a user meets it: the launcher, its exit codes and what it prints. */
package io.sidecore.it.launcher;
