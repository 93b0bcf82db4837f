/**
 * The contract of block devices: the request, which is the element of every block stream and at once a slot of its queue's ledger; the memory its payload lies
 * in; and the store that serves it. No protocol and no medium: those are devices.
 */
@NullMarked
package io.sidecore.actors.block;

import org.jspecify.annotations.NullMarked;
