package io.sidecore.it.files;

import io.sidecore.it.Peers;
import java.time.Duration;

/** libnbd's Python, connected to an export. */
final class Nbdsh {
    private static final Duration PATIENCE = Duration.ofMinutes(2);

    private static final String PRELUDE = """
            import nbd, sys
            h = nbd.NBD()
            h.connect_uri(sys.argv[1])
            # How a call ends: OK, or the name of its error.
            def t(call, *args):
                try:
                    call(*args)
                    return 'OK'
                except nbd.Error as e:
                    return e.errno
            """;

    private Nbdsh() {}

    /** Runs lines of Python in which {@code h} is the connection; returns what they print. */
    static String ask(String uri, String... lines) {
        var script = PRELUDE + String.join("\n", lines) + "\nh.shutdown()\n";
        try (var python = Peers.startPython(script, uri)) {
            return python.await(PATIENCE).ok();
        }
    }
}
