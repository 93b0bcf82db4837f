/**
 * A host for a JUnit test: {@link io.sidecore.runtime.junit.SidecoreExtension} starts it, tells where its volumes are found, and leaves nothing behind. The only package that knows JUnit, which the tests that use it bring along.
 */
@NullMarked
package io.sidecore.runtime.junit;

import org.jspecify.annotations.NullMarked;
