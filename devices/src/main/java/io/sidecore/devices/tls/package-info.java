/** TLS for whatever speaks over a {@link io.sidecore.devices.transport.Transport}: the transport itself, the credentials behind it, and their renewal. Knows no protocol above it. */
@NullMarked
package io.sidecore.devices.tls;

import org.jspecify.annotations.NullMarked;
