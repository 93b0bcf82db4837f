package io.sidecore.runtime;

import java.time.Instant;

/**
 * Something that happened to a part of a host.
 *
 * @param number counts from 1 on; a gap means that some were missed
 * @param at when
 * @param kind of what: {@code volume}, {@code export}, {@code vif}, {@code vm}, {@code core}
 * @param name of which one
 * @param what a word: {@code created}, {@code resized}, {@code degraded} (something is wrong with it though it serves), {@code well} (that is over), {@code failed}, {@code recovered}, {@code deleted}, {@code changed}
 * @param detail a sentence for people, may be empty
 */
public record HostEvent(long number, Instant at, String kind, String name, String what, String detail) {}
