/** Cores and the loops on them: pinned where they are to be, told as they are, and used as placements say. */
package io.sidecore.it.cores;
