/** A program that embeds a host: a store and an interposer of its own, and what it takes to serve them. What runtime/docs/embedding.md shows is cut out of here. */
@NullMarked
package io.sidecore.example;

import org.jspecify.annotations.NullMarked;
