/** The command line against running hosts: a session kept as a transcript, and what may go wrong between the two. */
package io.sidecore.it.cli;
