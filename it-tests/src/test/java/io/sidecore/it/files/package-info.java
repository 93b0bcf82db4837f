/** File volumes of real hosts: what reaches the disk, what survives a killed host, and what a client sees of a disk in trouble. */
package io.sidecore.it.files;
