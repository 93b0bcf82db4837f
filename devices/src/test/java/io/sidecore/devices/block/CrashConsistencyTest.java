package io.sidecore.devices.block;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.Store.Answer;
import io.sidecore.devices.linux.IoVector;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * RS-7: what a client may rely on after a loss of power. The image records what the file store does to it, the client what it asked and was answered, both in one log. The log is cut at every event. Of the image that leaves:
 *
 * <ul>
 *   <li>what a completed sync covers (changes that had completed when it began) is there, in order;
 *   <li>every other change that had begun is there or not, sector by sector, whichever of them came last: dropped, reordered, torn between sectors but not within.
 * </ul>
 *
 * <p>A new store on that image is then read. The checker knows nothing of the image: a sector must hold what the last flush or FUA write that was answered before the cut promised, or something asked later.
 */
class CrashConsistencyTest {
    private static final int SECTOR = 512;
    private static final int SECTORS = 256;
    private static final int REQUESTS = 3_500;
    private static final int DEPTH = 16;

    // --- the medium
    // ---------------------------------------------------------------------------------------------------------

    /** What happens, in order of time. */
    private static final class Log {
        private final List<Object> events = new ArrayList<>();

        synchronized int add(Object event) {
            events.add(event);
            return events.size() - 1;
        }
    }

    private record Begun(int offset, byte[] bytes) {}

    private record Ended(Begun change) {}

    private record SyncBegun() {}

    private record SyncEnded(SyncBegun sync) {}

    private record Asked() {}

    private record Answered() {}

    private static class RecordingImage extends ArrayImage {
        private final Log log;

        RecordingImage(int sector, Log log) {
            super(
                    new byte[SECTORS * SECTOR],
                    new Traits(
                            sector,
                            false,
                            Answer.NATIVE,
                            Answer.NATIVE,
                            Answer.NATIVE,
                            Answer.NONE,
                            Answer.NONE,
                            false,
                            sector > SECTOR));
            this.log = log;
        }

        private void change(long offset, byte[] bytes, Runnable how) {
            var begun = new Begun((int) offset, bytes);
            log.add(begun);
            how.run();
            log.add(new Ended(begun));
        }

        @Override
        public void write(long offset, IoVector from) {
            change(offset, bytes(from), () -> super.write(offset, from));
        }

        @Override
        public void punch(long offset, long length) {
            change(offset, new byte[(int) length], () -> super.punch(offset, length));
        }

        @Override
        public void zero(long offset, long length) {
            change(offset, new byte[(int) length], () -> super.zero(offset, length));
        }

        @Override
        public void sync() {
            var begun = new SyncBegun();
            log.add(begun);
            log.add(new SyncEnded(begun));
        }
    }

    /** The image as a cut leaves it, cut after cut. */
    private static final class Remains {
        private final byte[] durable = new byte[SECTORS * SECTOR];
        private final Map<Begun, Boolean> pending = new LinkedHashMap<>();
        private final Map<SyncBegun, List<Begun>> covered = new HashMap<>();
        private final int unit;

        Remains(int unit) {
            this.unit = unit;
        }

        void pass(Object event) {
            switch (event) {
                case Begun change -> pending.put(change, false);
                case Ended ended -> pending.replace(ended.change(), true);
                case SyncBegun sync ->
                    covered.put(
                            sync,
                            pending.entrySet().stream()
                                    .filter(Map.Entry::getValue)
                                    .map(Map.Entry::getKey)
                                    .toList());
                case SyncEnded ended -> {
                    for (var change : covered.remove(ended.sync())) {
                        if (pending.remove(change) != null) {
                            System.arraycopy(change.bytes(), 0, durable, change.offset(), change.bytes().length);
                        }
                    }
                }
                default -> {}
            }
        }

        byte[] cut(Random random) {
            var image = durable.clone();
            var candidates = new HashMap<Integer, List<Begun>>();
            for (var change : pending.keySet()) {
                for (var at = change.offset(); at < change.offset() + change.bytes().length; at += unit) {
                    candidates.computeIfAbsent(at, any -> new ArrayList<>()).add(change);
                }
            }
            candidates.forEach((at, changes) -> {
                var which = random.nextInt(changes.size() + 1);
                if (which < changes.size()) {
                    var change = changes.get(which);
                    System.arraycopy(change.bytes(), at - change.offset(), image, at, unit);
                }
            });
            return image;
        }
    }

    // --- the client
    // ---------------------------------------------------------------------------------------------------------

    /** Something that was asked to become the contents of a sector; {@code bytes} is empty where it may be anything. */
    private static final class Version {
        private final byte[] bytes;
        private final int asked;
        private int answered = Integer.MAX_VALUE;
        private int promised = Integer.MAX_VALUE;

        Version(byte[] bytes, int asked) {
            this.bytes = bytes;
            this.asked = asked;
        }
    }

    private static final class Client {
        private final Log log;
        private final List<List<Version>> versions = new ArrayList<>();
        private final Map<Request, Runnable> open = new HashMap<>();
        private final boolean[] busy = new boolean[SECTORS];
        private final Random random;
        private long number;

        Client(Log log, long seed) {
            this.log = log;
            this.random = new Random(seed);
            for (var i = 0; i < SECTORS; i++) {
                var zeroes = new Version(new byte[SECTOR], -1);
                zeroes.promised = -1;
                versions.add(new ArrayList<>(List.of(zeroes)));
            }
        }

        void run(Disk disk) {
            for (var i = 0; i < REQUESTS; i++) {
                while (open.size() >= DEPTH) {
                    answer(disk);
                }
                var chain = new ArrayList<Request>();
                for (var n = 1 + random.nextInt(4); n > 0; n--) {
                    chain.add(request(disk));
                }
                disk.issue(chain);
                i += chain.size() - 1;
            }
            while (!open.isEmpty()) {
                answer(disk);
            }
        }

        private void answer(Disk disk) {
            var request = disk.answered();
            assertThat(request.error()).as(request.toString()).isEqualTo(Errno.OK);
            open.remove(request).run();
            disk.free(request);
        }

        private Request request(Disk disk) {
            var kind = random.nextInt(100);
            if (kind < 8) {
                return flush(disk);
            }
            var first = random.nextInt(SECTORS);
            var sectors = 1;
            while (sectors < 8 && first + sectors < SECTORS && !busy[first + sectors] && random.nextInt(3) > 0) {
                sectors++;
            }
            if (busy[first]) {
                return flush(disk);
            }
            var op = kind < 80 ? BlockOp.WRITE : kind < 95 ? BlockOp.WRITE_ZEROES : BlockOp.TRIM;
            return change(disk, op, first, sectors, random.nextInt(12) == 0 ? Request.FUA : 0);
        }

        private Request change(Disk disk, BlockOp op, int first, int sectors, int flags) {
            var bytes = new byte[sectors * SECTOR];
            if (op == BlockOp.WRITE) {
                for (var at = 0; at < bytes.length; at += Long.BYTES) {
                    if (at % SECTOR == 0) {
                        number++;
                    }
                    ByteBuffer.wrap(bytes).putLong(at, number);
                }
            }
            var offset = (long) first * SECTOR;
            var request = op == BlockOp.WRITE
                    ? disk.write(offset, bytes, flags)
                    : disk.request(op, offset, bytes.length, flags);
            var asked = log.add(new Asked());
            var changed = new ArrayList<Version>();
            for (var i = 0; i < sectors; i++) {
                busy[first + i] = true;
                var version = new Version(
                        op == BlockOp.TRIM ? new byte[0] : Arrays.copyOfRange(bytes, i * SECTOR, (i + 1) * SECTOR),
                        asked);
                versions.get(first + i).add(version);
                changed.add(version);
            }
            open.put(request, () -> {
                var answered = log.add(new Answered());
                for (var i = 0; i < sectors; i++) {
                    busy[first + i] = false;
                    changed.get(i).answered = answered;
                    if (flags == Request.FUA) {
                        changed.get(i).promised = answered;
                    }
                }
            });
            return request;
        }

        private Request flush(Disk disk) {
            var request = disk.request(BlockOp.FLUSH, 0, 0, 0);
            var asked = log.add(new Asked());
            open.put(request, () -> {
                var answered = log.add(new Answered());
                for (var sector : versions) {
                    for (var version : sector) {
                        if (version.answered < asked) {
                            version.promised = Math.min(version.promised, answered);
                        }
                    }
                }
            });
            return request;
        }

        /** Sectors that hold what they must not after a cut before the event {@code at}. */
        int violations(byte[] image, int at) {
            var wrong = 0;
            for (var sector = 0; sector < SECTORS; sector++) {
                if (!isAllowed(versions.get(sector), image, sector * SECTOR, at)) {
                    wrong++;
                }
            }
            return wrong;
        }

        private static boolean isAllowed(List<Version> of, byte[] image, int offset, int at) {
            for (var i = of.size() - 1; i >= 0; i--) {
                var version = of.get(i);
                if (version.asked >= at) {
                    continue;
                }
                if (version.bytes.length == 0
                        || Arrays.equals(version.bytes, 0, SECTOR, image, offset, offset + SECTOR)) {
                    return true;
                }
                if (version.promised < at) {
                    return false;
                }
            }
            return false;
        }
    }

    /** Violations found at all cuts. */
    private record Verdict(int cuts, long violations) {}

    private static Verdict crash(RecordingImage image, Log log, int unit, int everySo) {
        var seed = 11L;
        var client = new Client(log, seed);
        try (var medium = new FileMedium(() -> image, 4)) {
            client.run(new Disk(medium.open()));
        }
        var remains = new Remains(unit);
        var random = new Random(seed);
        var violations = 0L;
        for (var at = 0; at < log.events.size(); at++) {
            if (at % everySo == 0) {
                var left = remains.cut(random);
                var again = new ArrayImage(left, image.traits());
                try (var medium = new FileMedium(() -> again, 1)) {
                    violations += client.violations(new Disk(medium.open()).read(0, left.length), at);
                }
            }
            remains.pass(log.events.get(at));
        }
        return new Verdict(log.events.size() / everySo, violations);
    }

    @ParameterizedTest(name = "sectors of {0}")
    @CsvSource({"512", "4096"})
    void whateverTheMomentOfTheCrashEveryPromiseIsKept(int sector) {
        var log = new Log();
        var verdict = crash(new RecordingImage(sector, log), log, sector, 1);
        System.out.printf(
                "sectors of %d: the log cut at %,d points: %d violations%n",
                sector, verdict.cuts(), verdict.violations());
        assertThat(verdict.cuts()).isGreaterThanOrEqualTo(10_000);
        assertThat(verdict.violations()).isZero();
    }

    /** The control: the checker does look. */
    @Test
    void aStoreThatAcknowledgesFlushesWithoutSyncingIsCaught() {
        var log = new Log();
        var lying = new RecordingImage(SECTOR, log) {
            @Override
            public void sync() {}
        };
        assertThat(crash(lying, log, SECTOR, 20).violations()).isPositive();
    }

    /** And a subtler one: syncing before the write instead of after it. */
    @Test
    void aStoreWhoseSyncBeginsBeforeTheWritesHaveEndedIsCaught() {
        var log = new Log();
        var early = new RecordingImage(SECTOR, log) {
            private SyncBegun begun;

            @Override
            public void write(long offset, IoVector from) {
                synchronized (this) {
                    // A sync that was begun before this write is what the next one will pass off as its own.
                    begun = new SyncBegun();
                    log.add(begun);
                }
                super.write(offset, from);
            }

            @Override
            public synchronized void sync() {
                if (begun != null) {
                    log.add(new SyncEnded(begun));
                    begun = null;
                }
            }
        };
        assertThat(crash(early, log, SECTOR, 20).violations()).isPositive();
    }
}
