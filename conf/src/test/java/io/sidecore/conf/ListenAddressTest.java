package io.sidecore.conf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.sidecore.conf.ListenAddress.Tcp;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ListenAddressTest {
    private static final Path DATA = Path.of("data");

    @ParameterizedTest
    @ValueSource(strings = {"127.0.0.1:10809", "localhost:0", "[::1]:65535", "[fe80::1%eth0]:1", "unix:/run/nbd.sock"})
    void anAddressIsPrintedAsItIsWritten(String text) {
        assertThat(ListenAddress.parse(text, DATA)).hasToString(text);
    }

    @Test
    void theHostOfAnIpv6AddressHasNoBrackets() {
        assertThat(ListenAddress.parse("[::1]:10809", DATA)).isEqualTo(new Tcp("::1", 10809));
    }

    @Test
    void aUnixPathMayLeaveTheDataDirectory() {
        assertThat(ListenAddress.parse("unix:../nbd.sock", DATA)).hasToString("unix:nbd.sock");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "localhost",
                ":10809",
                "::1:10809",
                "[::1]",
                "a:b",
                "a:-1",
                "a:65536",
                "a b:1",
                "unix:",
                "unix: ",
                "unix:\0"
            })
    void whatIsNoAddressIsRefused(String text) {
        assertThatIllegalArgumentException().isThrownBy(() -> ListenAddress.parse(text, DATA));
    }

    @Test
    void aPathWithoutPrefixIsToldTheSpellingOfUnixSockets() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> ListenAddress.parse("/run/nbd.sock", DATA))
                .withMessage("a Unix socket is written unix:/run/nbd.sock");
    }

    @Test
    void aUnixPathLongerThanTheKernelTakesIsRefused() {
        assertThat(ListenAddress.parse("unix:/" + "x".repeat(106), DATA)).isNotNull();
        assertThatIllegalArgumentException()
                .isThrownBy(() -> ListenAddress.parse("unix:/" + "x".repeat(107), DATA))
                .withMessageEndingWith("has 108 bytes, the operating system allows 107");
    }
}
