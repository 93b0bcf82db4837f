/** A reference model of a disk, and a client that asks it and a host the same at random: in a simulation, where a million steps replay from a seed, and over real sockets. Shares no code with the server. */
package io.sidecore.it.model;
