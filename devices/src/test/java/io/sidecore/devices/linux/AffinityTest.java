package io.sidecore.devices.linux;

import static java.util.concurrent.TimeUnit.SECONDS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeoutException;
import org.junit.jupiter.api.Test;

class AffinityTest {
    private final Affinity affinity = Affinity.ofThisMachine();

    @Test
    void aPinnedThreadMayRunOnItsCoreOnly() throws Exception {
        assumeTrue(Libc.LINUX, "pinning needs Linux");

        for (int core : onItsOwnThread(affinity::currentThreadCores)) {
            onItsOwnThread(() -> {
                assertThat(affinity.pinCurrentThread(core)).isEmpty();
                assertThat(statusOfThread("Cpus_allowed_list")).isEqualTo("" + core);
                assertThat(affinity.currentThreadCores()).containsExactly(core);
                return null;
            });
        }
    }

    @Test
    void aCoreThatDoesNotExistIsRefusedWithASentenceAndChangesNothing() throws Exception {
        assumeTrue(Libc.LINUX, "pinning needs Linux");

        onItsOwnThread(() -> {
            var before = affinity.currentThreadCores();

            assertThat(affinity.pinCurrentThread(-1))
                    .hasValueSatisfying(why ->
                            assertThat(why).isEqualTo("core -1 does not exist: cores are numbered from 0 to 8191"));
            assertThat(affinity.pinCurrentThread(8192)).isPresent();
            assertThat(affinity.pinCurrentThread(8191))
                    .hasValueSatisfying(why -> assertThat(why)
                            .isEqualTo(
                                    "core 8191 is not online or not in the cpuset of this process; this thread may use "
                                            + before));

            assertThat(affinity.currentThreadCores()).isEqualTo(before);
            return null;
        });
    }

    @Test
    void aVirtualThreadIsRefused() throws Exception {
        assumeTrue(Libc.LINUX, "pinning needs Linux");
        var answer = new FutureTask<>(() -> affinity.pinCurrentThread(0));

        Thread.startVirtualThread(answer);

        assertThat(answer.get(10, SECONDS)).hasValue("a virtual thread has no core of its own: pin a platform thread");
    }

    @Test
    void theThreadIdIsTheOneInProc() throws Exception {
        assumeTrue(Libc.LINUX, "thread ids are Linux'");

        assertThat("" + affinity.currentThreadId()).isEqualTo(statusOfThread("Pid"));
    }

    @Test
    void elsewhereThanOnLinuxNothingHappensAndPinningSaysWhy() {
        var elsewhere = new Affinity("Plan 9", false);

        assertThat(elsewhere.pinCurrentThread(0)).hasValue("not supported on Plan 9: pinning needs Linux");
        assertThat(elsewhere.currentThreadCores()).isEmpty();
        assertThat(elsewhere.currentThreadId()).isEqualTo(-1);
    }

    private static String statusOfThread(String key) throws IOException {
        try (var lines = Files.lines(Path.of("/proc/thread-self/status"))) {
            return lines.filter(line -> line.startsWith(key + ":"))
                    .map(line -> line.substring(key.length() + 1).strip())
                    .findFirst()
                    .orElseThrow();
        }
    }

    private static <T> T onItsOwnThread(Callable<T> body)
            throws InterruptedException, ExecutionException, TimeoutException {
        var task = new FutureTask<>(body);
        Thread.ofPlatform().daemon().start(task);
        return task.get(30, SECONDS);
    }
}
