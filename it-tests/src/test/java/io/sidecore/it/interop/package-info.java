/** Guarantees shown with foreign clients: what libnbd, QEMU and fio see of a host over TCP and Unix sockets. */
package io.sidecore.it.interop;
