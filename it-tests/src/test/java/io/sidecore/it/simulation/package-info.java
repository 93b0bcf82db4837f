/**
 * Guarantees shown in simulation: the production loops, queues, streams and stores on one thread, a virtual clock and a seed. The clients and the model they check against are independent of the code under test.
 *
 * <p>Fault model: streams are re-plumbed at any moment; stores delay requests, keep them for ever, and may serve a forgotten one long after it was given up; sockets deliver bytes in pieces of any size.
 */
package io.sidecore.it.simulation;
