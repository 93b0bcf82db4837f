package io.sidecore.example;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.conf.Settings;
import io.sidecore.runtime.junit.SidecoreExtension;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

class GuestTest {
    @RegisterExtension
    final SidecoreExtension host = SidecoreExtension.with(Settings.builder()
            .volume("disk", volume -> volume.size(1 << 20).memory())
            .vm(
                    "counter",
                    vm -> vm.java(StartCounter.class.getName()).disk("disk").autostart(false))
            .build());

    @Test
    void itFindsWhatItHasWrittenBefore() throws Exception {
        var counter = host.host().vms().vm("counter").orElseThrow();
        var said = new LinkedBlockingQueue<String>();
        counter.messages().listen(message -> said.add(new String(message, StandardCharsets.UTF_8)));

        for (var start = 1; start <= 3; start++) {
            counter.start("the test wants it").toCompletableFuture().join();
            assertThat(said.poll(1, TimeUnit.MINUTES)).isEqualTo("start " + start);
            counter.stop("it has said it").toCompletableFuture().join();
        }
    }
}
