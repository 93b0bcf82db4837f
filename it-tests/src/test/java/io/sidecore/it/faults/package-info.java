/**
 * Guarantees shown under faults with a real client: what is re-plumbed, moved, delayed or hangs beneath it goes unnoticed.
 *
 * <p>Fault model: chains, loops and placements change at any moment; a store delays requests, or keeps some for ever and serves them after it was given up. Sockets and the process stay.
 *
 * <p>Besides, clients that mean harm: they are slow, leave things half done, ask for too much, send garbage, and come in crowds.
 */
package io.sidecore.it.faults;
