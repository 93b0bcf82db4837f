/**
 * Virtual machines that QEMU makes, with a real Linux inside: what they do, and what becomes of them when something goes wrong.
 *
 * <p>Fault model: QEMU is killed, suspended, missing, refuses or never calls; the guest panics, starts anew, has no memory or no room left, or does not obey; the host is killed. Sockets between the two stay as long as both ends do.
 */
package io.sidecore.it.vm;
