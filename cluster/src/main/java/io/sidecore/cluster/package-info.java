/**
 * Where things are: membership, catalog, placement, volume ownership, replicas. Only the catalog of a single host so far ({@code catalog}): a host stands alone until volumes can be owned by another node. Uses {@code actors}; a stranger to {@code devices}.
 */
@NullMarked
package io.sidecore.cluster;

import org.jspecify.annotations.NullMarked;
