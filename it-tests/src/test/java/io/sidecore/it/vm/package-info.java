/** Virtual machines as a whole: guests of all kinds on a host, what they do with their disks, and how each end of theirs is told and leaves nothing. */
package io.sidecore.it.vm;
