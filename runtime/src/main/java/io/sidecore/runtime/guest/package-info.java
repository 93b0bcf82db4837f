/** What all guests of virtual machines need of their host: their disks, a place for their files, the cores on which they may run. The kinds of guests are in the packages below. */
@NullMarked
package io.sidecore.runtime.guest;

import org.jspecify.annotations.NullMarked;
