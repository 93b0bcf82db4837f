/** Copies between volumes and files. The one who copies is a guest inside this process, with a VIF and a queue like any other; a thread of its own does the file's I/O. */
@NullMarked
package io.sidecore.runtime.transfer;

import org.jspecify.annotations.NullMarked;
