/**
 * Guests that QEMU runs, each in a process of its own: how it is started, told what to do over QMP, watched, and found dead. Its disks come to it over NBD on a Unix socket that nobody else can reach.
 *
 * <p>Source: QEMU QMP Reference Manual (qemu.org/docs/master/interop/qemu-qmp-ref.html).
 */
@NullMarked
package io.sidecore.runtime.guest.qemu;

import org.jspecify.annotations.NullMarked;
