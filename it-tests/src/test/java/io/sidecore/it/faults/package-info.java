/**
 * Guarantees shown under faults with a real client: what is re-plumbed, moved, delayed or hangs beneath it goes unnoticed.
 *
 * <p>Fault model: chains, loops and placements change at any moment; a store delays requests, or keeps some for ever and serves them after it was given up. Sockets and the process stay; only the writer of a catalog is killed, at any instruction, again and again.
 */
package io.sidecore.it.faults;
