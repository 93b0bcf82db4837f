/** Guests inside the process, by rings and inline: one suite for both ways to be served, hostile requests, and what a guest may count on while chains, loops and stores change beneath it. */
package io.sidecore.it.ring;
