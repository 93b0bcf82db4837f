/**
 * Where things are: membership, catalog, placement, volume ownership, replicas. Empty for now: a host stands alone until volumes can be owned by another node. Uses {@code actors}; a stranger to {@code devices}.
 */
package io.sidecore.cluster;
