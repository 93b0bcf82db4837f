package io.sidecore.conf;

/**
 * {@code sidecore.volumes.NAME}: one volume.
 *
 * @param sizeBytes what a guest sees as the size of the disk, in bytes; positive, a multiple of 512; 0 for a file store whose image
 *     has that size already, whatever it is
 * @param store what keeps the bytes
 */
public record VolumeSettings(long sizeBytes, StoreSettings store) {}
