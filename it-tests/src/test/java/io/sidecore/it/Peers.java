package io.sidecore.it;

import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.abort;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigFactory;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Foreign programs: finds them, runs them within a time, and ends them. */
public final class Peers {
    /** A program, and the Debian package that has it. */
    public enum Tool {
        CHATTR("chattr", "e2fsprogs"),
        E2FSCK("e2fsck", "e2fsprogs"),
        FIO("fio", "fio"),
        LOSETUP("losetup", "mount"),
        MKFS_EXT4("mkfs.ext4", "e2fsprogs"),
        MOUNT("mount", "mount"),
        NBDFUSE("nbdfuse", "libnbd-bin"),
        NBDINFO("nbdinfo", "libnbd-bin"),
        NBDCOPY("nbdcopy", "libnbd-bin"),
        OPENSSL("openssl", "openssl"),
        QEMU_IMG("qemu-img", "qemu-utils"),
        QEMU_IO("qemu-io", "qemu-utils"),
        QEMU_X86("qemu-system-x86_64", "qemu-system-x86"),
        STRACE("strace", "strace"),
        STRESS_NG("stress-ng", "stress-ng"),
        UMOUNT("umount", "mount");

        private final String program;
        private final String debianPackage;

        Tool(String program, String debianPackage) {
            this.program = program;
            this.debianPackage = debianPackage;
        }
    }

    /** How a program ended and what it wrote. */
    public record Result(List<String> command, int exit, String out, String err) {
        /** Its output, if it was content; otherwise the test fails with what it said. */
        public String ok() {
            if (exit != 0) {
                fail(brief(command) + " ended with " + exit + ":\n" + out + err);
            }
            return out;
        }
    }

    private static final String PYTHON = "/usr/bin/python3";
    private static final Duration PATIENCE = Duration.ofMinutes(5);

    private Peers() {}

    /** Skips the test if a tool is missing, and says what to install; with {@code -Dit.ci=true} the test fails. */
    public static void need(Tool... tools) {
        for (var tool : tools) {
            if (!installed(tool.program)) {
                missing(tool.program + " is missing; install it with: apt-get install " + tool.debianPackage);
            }
        }
    }

    /** Skips the test for the want of something, said in a sentence with what to do; with {@code -Dit.ci=true} the test fails. */
    public static void missing(String sentence) {
        if (Boolean.getBoolean("it.ci")) {
            fail(sentence);
        }
        abort(sentence);
    }

    /** Whether a tool is here; with {@code -Dit.ci=true} it has to be. */
    public static boolean has(Tool tool) {
        return installed(tool.program) || Boolean.getBoolean("it.ci");
    }

    private static boolean installed(String program) {
        return Stream.of(System.getenv().getOrDefault("PATH", "").split(File.pathSeparator))
                .anyMatch(directory -> Files.isExecutable(Path.of(directory, program)));
    }

    /** Runs a tool to its end, whatever that is. */
    public static Result run(Tool tool, String... arguments) {
        return run(tool, List.of(arguments));
    }

    /** Runs a tool to its end, whatever that is. */
    public static Result run(Tool tool, List<String> arguments) {
        try (var running = start(tool, arguments)) {
            return running.await(PATIENCE);
        }
    }

    /** Starts a tool. */
    public static Running start(Tool tool, List<String> arguments) {
        need(tool);
        var command = new ArrayList<String>();
        command.add(tool.program);
        command.addAll(arguments);
        return start(command);
    }

    /** Starts a script in the system's own Python, which has libnbd's module, whichever other one stands first on the path. */
    public static Running startPython(String script, String... arguments) {
        try (var module = start(List.of(PYTHON, "-c", "import nbd"))) {
            if (module.await(PATIENCE).exit() != 0) {
                missing("libnbd's module for Python is missing; install it with: apt-get install python3-libnbd");
            }
        }
        var command = new ArrayList<>(List.of(PYTHON, "-c", script));
        command.addAll(List.of(arguments));
        return start(command);
    }

    /** Starts a command. */
    public static Running start(List<String> command) {
        return new Running(command);
    }

    /** A program that runs; closing it ends it and all that it has started. */
    public static final class Running implements AutoCloseable {
        private final List<String> command;
        private final Path out;
        private final Path err;
        private final Process process;

        private Running(List<String> command) {
            this.command = List.copyOf(command);
            try {
                out = Files.createTempFile("sc-out", null);
                err = Files.createTempFile("sc-err", null);
                process = new ProcessBuilder(command)
                        .redirectInput(new File("/dev/null"))
                        .redirectOutput(out.toFile())
                        .redirectError(err.toFile())
                        .start();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        /** Waits for its end. */
        public Result await(Duration atMost) {
            try {
                if (!process.waitFor(atMost.toMillis(), TimeUnit.MILLISECONDS)) {
                    fail(brief(command) + " did not end within " + atMost + ":\n" + output());
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IllegalStateException(e);
            }
            return new Result(command, process.exitValue(), read(out), read(err));
        }

        /** Whether it runs. */
        public boolean alive() {
            return process.isAlive();
        }

        /** Its number. */
        public long pid() {
            return process.pid();
        }

        /** What it has written so far. */
        public String output() {
            return read(out) + read(err);
        }

        /** The sockets it has open, by the kernel's numbers: the same number is the same socket. */
        public Set<String> sockets() {
            try (var descriptors = Files.list(Path.of("/proc/" + process.pid() + "/fd"))) {
                return descriptors
                        .map(Running::target)
                        .filter(target -> target.startsWith("socket:"))
                        .collect(Collectors.toCollection(TreeSet::new));
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        private static String target(Path link) {
            try {
                return Files.readSymbolicLink(link).toString();
            } catch (IOException closedMeanwhile) {
                return "";
            }
        }

        /** Ends it as a crash would, at once. */
        public void kill() {
            process.descendants().forEach(ProcessHandle::destroyForcibly);
            process.destroyForcibly();
            try {
                process.waitFor(10, TimeUnit.SECONDS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }

        @Override
        public void close() {
            kill();
            try {
                Files.deleteIfExists(out);
                Files.deleteIfExists(err);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    private static String brief(List<String> command) {
        var line = String.join(" ", command);
        return line.length() <= 1_000 ? line : line.substring(0, 1_000) + " ...";
    }

    private static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** What a tool wrote as JSON, after whatever it wrote before. */
    public static Config json(String output) {
        var begin = output.indexOf('{');
        if (begin < 0) {
            fail("no JSON in: " + output);
        }
        return ConfigFactory.parseString(output.substring(begin));
    }

    /** What fio counted in the end; the test fails unless fio found every byte as it had written it. */
    public record Verified(long written, long read) {
        /** Of a fio that was asked for {@code --output-format=json --group_reporting} and has ended. */
        public static Verified of(Result fio) {
            var job = json(fio.ok()).getConfigList("jobs").getFirst();
            if (job.getInt("error") != 0) {
                fail("fio reports error " + job.getInt("error") + ":\n" + fio.out() + fio.err());
            }
            return new Verified(job.getLong("write.total_ios"), job.getLong("read.total_ios"));
        }
    }

    /** The arguments of a fio that verifies what it writes and stops at the first difference. */
    public static List<String> fioVerify(String uri, String... more) {
        var arguments = new ArrayList<>(List.of(
                "--name=verify",
                "--ioengine=nbd",
                "--uri=" + uri,
                "--thread",
                "--rw=randwrite",
                "--verify=crc32c",
                "--do_verify=1",
                "--verify_fatal=1",
                // Or fio leaves a file behind, wherever it was started.
                "--verify_state_save=0",
                "--group_reporting",
                "--output-format=json"));
        arguments.addAll(List.of(more));
        return arguments;
    }

    /** Waits until something holds, looking often; the test fails if it does not within {@code atMost}. */
    public static void until(String what, Duration atMost, BooleanSupplier holds) {
        var end = System.nanoTime() + atMost.toNanos();
        while (!holds.getAsBoolean()) {
            if (System.nanoTime() - end > 0) {
                fail("not within " + atMost + ": " + what);
            }
            LockSupport.parkNanos(1_000_000);
        }
    }

    /** A directory with a path short enough for Unix sockets in it. */
    public static final class ShortDirectory implements AutoCloseable {
        private final Path path;

        /** A new one. */
        public ShortDirectory() {
            try {
                path = Files.createTempDirectory(Path.of("/tmp"), "sc");
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        /** Where it is. */
        public Path path() {
            return path;
        }

        @Override
        public void close() {
            try (var all = Files.walk(path)) {
                for (var file : all.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(file);
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}
