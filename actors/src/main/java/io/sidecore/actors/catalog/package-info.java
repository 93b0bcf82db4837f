/**
 * The catalog: what exists, by kind and name. Volumes, exports, networks, VMs, buckets and cameras that were created at run time are definitions in it, and in a cluster also who owns a volume.
 *
 * <p>The package exists so that whoever creates a definition does not know where it is kept: a single host keeps it in a journal file, a cluster in a replicated log. Both run the same state machine
 * ({@link io.sidecore.actors.catalog.CatalogState}: commands in, results out; no thread, file, socket or clock), so that a definition means the same on both, and a test of one is a test of the other.
 *
 * <p>Uses the JDK only. Values are opaque text: what a volume's definition says is the business of who reads it.
 */
@NullMarked
package io.sidecore.actors.catalog;

import org.jspecify.annotations.NullMarked;
