package io.sidecore.it.embedding;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sidecore.conf.Settings;
import io.sidecore.it.NbdClient;
import io.sidecore.runtime.Sidecore;
import io.sidecore.runtime.junit.SidecoreExtension;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

class SidecoreExtensionTest {
    /** Where hosts lived that have ended by now. */
    private static final List<Path> GONE = new ArrayList<>();

    @AfterAll
    static void nothingIsLeftOfThem() {
        assertThat(GONE)
                .isNotEmpty()
                .allSatisfy(directory -> assertThat(directory).doesNotExist());
    }

    /** The host's own, and the only volume that was never written is all zero. */
    private static void use(SidecoreExtension host, String export) throws IOException {
        for (var uri : host.uris(export)) {
            try (var client = NbdClient.connect(uri)) {
                client.batch(true, 8, 4096, new SplittableRandom(1));
            }
        }
    }

    @Nested
    class InAStaticField {
        private static final HashSet<Sidecore> HOSTS = new HashSet<>();

        @RegisterExtension
        static final SidecoreExtension host =
                SidecoreExtension.with("disk", 16 << 20).and("other", 1 << 20);

        @AfterAll
        static void itWasOneHost() {
            assertThat(HOSTS).hasSize(1);
            GONE.add(host.directory());
        }

        @RepeatedTest(2)
        void itServesAllTestsOfTheClass(Sidecore injected) throws IOException {
            HOSTS.add(injected);
            assertThat(host.uri("disk")).startsWith("nbd+unix:///disk?socket=" + host.directory());
            assertThat(host.uris("other")).hasSize(2).last().asString().startsWith("nbd://127.0.0.1:");
            use(host, "disk");
            use(host, "other");
        }

        @Nested
        class AndANestedClass {
            @Test
            void hasTheSame(Sidecore injected) {
                HOSTS.add(injected);
            }
        }
    }

    @Nested
    class InAnInstanceField {
        private static final HashSet<Sidecore> HOSTS = new HashSet<>();

        @RegisterExtension
        final SidecoreExtension host = SidecoreExtension.with("disk", 1 << 20);

        @AfterAll
        static void eachTestHadItsOwn() {
            assertThat(HOSTS).hasSize(2);
        }

        @RepeatedTest(2)
        void eachTestHasItsOwn(Sidecore injected) throws IOException {
            HOSTS.add(injected);
            assertThat(GONE).doesNotContain(host.directory());
            GONE.add(host.directory());
            use(host, "disk");
        }
    }

    @Nested
    class WithSettings {
        @RegisterExtension
        final SidecoreExtension host = SidecoreExtension.with(directory -> Settings.builder()
                .volume("root", volume -> volume.size(1 << 20).file(directory.resolve("root.img")))
                .build());

        @Test
        void whatTheyDeclareIsServed() throws IOException {
            GONE.add(host.directory());
            use(host, "root");

            assertThat(Files.size(host.directory().resolve("root.img"))).isEqualTo(1 << 20);
        }
    }

    @Nested
    class InTrouble {
        @RegisterExtension
        final SidecoreExtension host = SidecoreExtension.with("disk", 1 << 20);

        @Test
        void aWrongNameIsAnsweredWithTheRightOne() {
            assertThatThrownBy(() -> host.uri("disc"))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessage("there is no export disc; did you mean \"disk\"?");
        }

        @Test
        void aHostThatDoesNotRunSaysWhenItDoes() {
            assertThatThrownBy(() -> SidecoreExtension.with("disk", 1 << 20).uri("disk"))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("@RegisterExtension");
        }

        @Test
        void oneNameForTwoVolumesIsRefused() {
            assertThatThrownBy(() -> SidecoreExtension.with("disk", 1 << 20).and("disk", 1 << 20))
                    .hasMessage("there is a volume disk already");
        }
    }
}
