package io.sidecore.conf;

/**
 * {@code sidecore.volumes.NAME}: one volume.
 *
 * @param sizeBytes what a guest sees as the size of the disk, in bytes; positive, a multiple of 512
 * @param store what keeps the bytes
 */
public record VolumeSettings(long sizeBytes, StoreSettings store) {}
