/**
 * Virtual machines: their life cycle as an actor, what a guest is to it, and what guests inside this process are given. Which guests there are is said elsewhere ({@code runtime}); may use {@code vif}, {@code block} and {@code core}.
 */
@NullMarked
package io.sidecore.actors.vm;

import org.jspecify.annotations.NullMarked;
