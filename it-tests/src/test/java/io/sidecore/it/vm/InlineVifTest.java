package io.sidecore.it.vm;

import static io.sidecore.it.vm.VmPlace.disk;
import static io.sidecore.it.vm.VmPlace.done;
import static io.sidecore.it.vm.VmPlace.failure;
import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.vif.GuestPort;
import io.sidecore.actors.vif.VirtualInterface;
import io.sidecore.actors.vm.GuestContext;
import io.sidecore.actors.vm.GuestProgram;
import io.sidecore.conf.InterposerSettings;
import io.sidecore.conf.Placement;
import io.sidecore.it.Peers;
import io.sidecore.runtime.VifHandle;
import io.sidecore.runtime.VmHandle;
import io.sidecore.runtime.metrics.HostMetrics;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.OptionalLong;
import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The VIF of a disk that is served inline, as the host's management sees it, beside those that loops serve. */
class InlineVifTest {
    private static final String VIF = "vm/guest/a";
    private static final String INSTEAD =
            "VIF vm/guest/a: it is served inline, by the guest's own thread, where there is "
                    + "neither a chain nor a loop; define its disk with placement shared or sidecore";

    @AutoClose
    private final VmPlace place = new VmPlace("cores { service = 1 }");

    /** Reads three blocks at its start, and what is no block. */
    private static final class Reader implements GuestProgram {
        private final GuestPort.Answer answer = new GuestPort.Answer();

        @Override
        public void onStart(GuestContext context) {
            for (var i = 0; i < 3; i++) {
                context.vif(0).send(BlockOp.READ, 0, 0, 512, 0, i);
            }
            context.vif(0).send(BlockOp.READ, 0, 0, 512, -1, 3);
        }

        @Override
        public void onBlock(GuestContext context, int vif) {
            while (context.vif(vif).recv(answer)) {}
        }
    }

    private VmHandle started(Placement placement) {
        var vm = place.java("guest", Reader::new, disk("a", placement));
        done(vm.start("wanted"));
        return vm;
    }

    private VifHandle vif() {
        var vif = place.host.storage().vifs().get(VIF);
        assertThat(vif).isNotNull();
        return vif;
    }

    @ParameterizedTest
    @EnumSource
    void whatItServesAndRefusesIsCountedHoweverItIsPlaced(Placement placement) throws IOException {
        started(placement);
        Peers.until(
                "it has read", VmPlace.PATIENCE, () -> place.vif(VIF).tally().requests() == 3);

        assertThat(place.vif(VIF).tally().bytes(BlockOp.READ)).isEqualTo(3 * 512);
        assertThat(place.vif(VIF).tally().refused()).isEqualTo(1);
        assertThat(place.vif(VIF).inFlight()).isZero();
        assertThat(place.vif(VIF).queues())
                .extracting(VirtualInterface.QueueStatus::name)
                .containsExactly(VIF + "#0");
        try (var metrics = new HostMetrics(place.host)) {
            var text = new ByteArrayOutputStream();
            metrics.write(null, text);
            assertThat(text.toString(StandardCharsets.UTF_8))
                    .contains("sidecore_vif_refused_requests_total{vif=\"vm/guest/a\",volume=\"a\"} 1.0")
                    .contains("sidecore_vif_requests_total{op=\"read\",vif=\"vm/guest/a\",volume=\"a\"} 3.0");
        }
    }

    @Test
    void inlineWhatWouldDoNothingIsRefusedWithWhatToDoInstead() {
        started(Placement.INLINE);
        var limit =
                new InterposerSettings.RateLimit(OptionalLong.of(500), OptionalLong.empty(), Duration.ofMillis(100));

        assertThat(failure(vif().limit(limit))).isEqualTo(INSTEAD);
        assertThat(failure(vif().place(Placement.SIDECORE))).isEqualTo(INSTEAD);
        assertThat(failure(vif().move(VIF + "#0", place.host.loops().shared().name())))
                .isEqualTo(INSTEAD);

        assertThat(place.vif(VIF).placement()).isEqualTo(Placement.INLINE);
        assertThat(place.vif(VIF).interposers()).isEmpty();
    }

    @Test
    void whatIsServedByALoopIsNotPlacedInlineAfterwards() {
        started(Placement.SHARED);

        assertThat(failure(vif().place(Placement.INLINE)))
                .isEqualTo("VIF vm/guest/a: a VIF is placed inline where its disk is defined, or not at all");
    }

    @Test
    void itLeavesItsDiskWhenItStops() {
        var vm = started(Placement.INLINE);

        done(vm.stop("enough"));

        assertThat(place.host.storage().vifs()).doesNotContainKey(VIF);
        place.host.storage().delete("a");
    }
}
