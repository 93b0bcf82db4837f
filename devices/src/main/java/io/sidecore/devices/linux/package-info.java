/**
 * Linux, called directly. A sidecore needs a few things that the JDK has no name for: a thread that stays on its core, the number of times it was pushed off it,
 * memory larger than 2 GiB that costs nothing until it is touched and can be given back. They are bound here with {@code java.lang.foreign}, without native code
 * of ours, and offered in terms that make sense on any system: elsewhere each class says what it does instead.
 *
 * <p>Uses the JDK only. Needs {@code --enable-native-access}.
 */
@NullMarked
package io.sidecore.devices.linux;

import org.jspecify.annotations.NullMarked;
