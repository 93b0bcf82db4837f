/**
 * The Network Block Device protocol, server's side: <a href="https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md">proto.md</a> of the NetworkBlockDevice project. The engines ({@link
 * io.sidecore.devices.nbd.NbdHandshake}, {@link io.sidecore.devices.nbd.NbdTransmission}) are pure: bytes in, requests and bytes out, no socket, thread, actor or clock. The connection around them is thin.
 */
@NullMarked
package io.sidecore.devices.nbd;

import org.jspecify.annotations.NullMarked;
