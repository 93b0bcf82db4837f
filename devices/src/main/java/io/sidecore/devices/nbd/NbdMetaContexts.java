package io.sidecore.devices.nbd;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * What a client asks about metadata contexts: the data of NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT (proto.md, "Metadata querying").
 *
 * <pre>
 *   +--------+------+--------+   +--------+-------+
 *   | length | name | count  | { | length | query | } count times
 *   +--------+------+--------+   +--------+-------+
 * </pre>
 *
 * @param export the name of the export
 * @param queries what is asked for; all that there is if it is empty
 */
record NbdMetaContexts(String export, List<String> queries) {
    /** The one context that there is. */
    static final String ALLOCATION = "base:allocation";

    /** Its number in replies; anything will do. */
    static final int ALLOCATION_ID = 1;

    /** Queries in one option, at most. */
    static final int MAX_QUERIES = 64;

    /** All contexts of the namespace; selects none. */
    private static final String WILDCARD = "base:";

    /** Reads the data of the option; empty if it is not as drawn above. */
    static Optional<NbdMetaContexts> parse(byte[] option) {
        var data = ByteBuffer.wrap(option);
        var export = string(data);
        if (export == null || data.remaining() < 4) {
            return Optional.empty();
        }
        // Unsigned: a count beyond what the option can hold ends with its bytes.
        var count = data.getInt() & 0xffff_ffffL;
        var queries = new ArrayList<String>();
        for (var i = 0L; i < count; i++) {
            var query = string(data);
            if (query == null) {
                return Optional.empty();
            }
            queries.add(query);
        }
        return data.hasRemaining() ? Optional.empty() : Optional.of(new NbdMetaContexts(export, queries));
    }

    private static @Nullable String string(ByteBuffer data) {
        if (data.remaining() < 4) {
            return null;
        }
        var length = data.getInt();
        if (length < 0 || length > Nbd.MAX_STRING || length > data.remaining()) {
            return null;
        }
        var bytes = new byte[length];
        data.get(bytes);
        return new String(bytes, StandardCharsets.UTF_8);
    }

    /** Whether a query does not say of which namespace it is. */
    boolean malformed() {
        return queries.stream().anyMatch(query -> query.indexOf(':') <= 0);
    }

    /** Whether a list has {@link #ALLOCATION} in it. */
    boolean lists() {
        return queries.isEmpty() || queries.contains(WILDCARD) || selects();
    }

    /** Whether {@link #ALLOCATION} is selected. */
    boolean selects() {
        return queries.contains(ALLOCATION);
    }
}
