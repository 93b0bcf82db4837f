/**
 * Guarantees shown under faults with a real client: what is re-plumbed, moved, delayed or hangs beneath it goes unnoticed, and so does what other clients do to the host.
 *
 * <p>Fault model: chains, loops and placements change at any moment; a store delays requests, or keeps some for ever and serves them after it was given up. Clients send anything, at any pace, and leave at any moment. Sockets and the process stay; only the writer of a catalog is killed, at any instruction, again and again.
 */
package io.sidecore.it.faults;
