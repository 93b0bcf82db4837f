/**
 * Keepers of the catalog. A single host keeps it in a journal file in its data directory ({@link io.sidecore.cluster.catalog.JournalCatalog}); whoever asks sees only {@link
 * io.sidecore.actors.catalog.Catalog}.
 *
 * <p>The parts, from the outside in: {@code JournalCatalog} has the thread, the queue and the watchers; {@code Journal} writes and replaces the file; {@code JournalReplay} (pure) reads it and tells a torn
 * tail from damage; {@code JournalLayout} and {@code CommandCodec} are its bytes; {@code JournalStorage} is the directory, replaced in tests by one that fails, fills up and loses what was not forced.
 *
 * <p>Fault model: the process ends at any instruction; the machine loses power, and of what was not forced any part is on the disk, in any order; the disk is full or fails with an error; any bits of the
 * file are flipped, or it is cut, while it is closed. After each of these a definition that was answered is there, or opening says where the damage is. Two exceptions, which no single file can tell
 * apart from a crash: a file cut exactly between two frames, and a last frame damaged after a loss of power has taken the mark behind it.
 */
@NullMarked
package io.sidecore.cluster.catalog;

import org.jspecify.annotations.NullMarked;
