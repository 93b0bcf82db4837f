package io.sidecore.runtime.guest.qemu;

import io.sidecore.actors.vm.Guest.Statistics;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.OptionalLong;

/** What the kernel says of a process (proc(5)). */
final class ProcessAccount {
    private ProcessAccount() {}

    static Statistics of(long pid, List<Integer> cores) throws IOException {
        var cpu = ProcessHandle.of(pid)
                .flatMap(process -> process.info().totalCpuDuration())
                .orElse(Duration.ZERO);
        var resident = Files.readAllLines(Path.of("/proc/" + pid + "/status")).stream()
                .filter(line -> line.startsWith("VmRSS:"))
                .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) << 10)
                .findFirst();
        return new Statistics(cpu.toNanos(), resident.isPresent() ? resident : OptionalLong.empty(), cores);
    }
}
