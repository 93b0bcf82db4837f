package io.sidecore.cluster.catalog;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.actors.catalog.CatalogCommand;
import io.sidecore.actors.catalog.CatalogEntry;
import io.sidecore.actors.catalog.CatalogException;
import io.sidecore.actors.catalog.CatalogKey;
import io.sidecore.actors.catalog.CatalogState;
import io.sidecore.cluster.catalog.JournalCatalog.Bounds;
import io.sidecore.cluster.catalog.ModelStorage.Outcome;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

/** Definitions are the old or the new, never neither: wherever a crash cuts, and whatever a failing disk does. */
class CatalogCrashTest {
    /** So small that a few changes bring a compaction about. */
    private static final Bounds SMALL = new Bounds(64, 512);

    private static final int SEEDS = Boolean.getBoolean("it.long") ? 100_000 : 3_000;

    /** What the catalog must have had at each revision, kept by the test: independent of the state machine. */
    private static final class History {
        private final TreeMap<Long, List<CatalogEntry>> entriesAt = new TreeMap<>();
        private final TreeMap<CatalogKey, CatalogEntry> now = new TreeMap<>();
        private final Set<List<CatalogEntry>> refused = new HashSet<>();
        private long acknowledged;

        History() {
            entriesAt.put(0L, List.of());
        }

        long expected(CatalogKey key) {
            return now.containsKey(key) ? now.get(key).revision() : 0;
        }

        void change(CatalogCommand command) {
            var revision = entriesAt.lastKey() + 1;
            switch (command) {
                case CatalogCommand.Put put -> now.put(put.key(), new CatalogEntry(put.key(), revision, put.value()));
                case CatalogCommand.Delete delete -> now.remove(delete.key());
            }
            entriesAt.put(revision, List.copyOf(now.values()));
        }

        /** What was not made after all is forgotten. */
        void backTo(CatalogState state) {
            backTo(state.revision());
        }

        void backTo(long revision) {
            entriesAt.tailMap(revision, false).clear();
            now.clear();
            entriesAt.get(revision).forEach(entry -> now.put(entry.key(), entry));
            acknowledged = revision;
        }

        /** Changes that were refused; the disk may have one for as long as the journal is in doubt. */
        void refuse(long after) {
            refused.addAll(entriesAt.tailMap(after, false).values());
            backTo(after);
        }

        void checkInDoubt(CatalogState found, String where) {
            var entries = found.entries().toList();
            if (!refused.contains(entries)) {
                check(found, acknowledged, where);
            }
        }

        void check(CatalogState found, long atLeast, String where) {
            assertThat(found.revision()).as(where).isBetween(atLeast, entriesAt.lastKey());
            assertThat(found.entries()).as(where).containsExactlyElementsOf(entriesAt.get(found.revision()));
        }
    }

    private static CatalogCommand randomCommand(SplittableRandom random, History history, int number) {
        var key = new CatalogKey("volume", "v" + random.nextInt(5));
        var expected = history.expected(key);
        return expected > 0 && random.nextInt(4) == 0
                ? new CatalogCommand.Delete(key, expected)
                : new CatalogCommand.Put(key, expected, number + "-".repeat(random.nextInt(100)));
    }

    private static CompletableFuture<CatalogEntry> submit(JournalCatalog catalog, CatalogCommand command) {
        return switch (command) {
            case CatalogCommand.Put put ->
                catalog.put(put.key(), put.value(), put.expected()).toCompletableFuture();
            case CatalogCommand.Delete delete ->
                catalog.delete(delete.key(), delete.expected()).toCompletableFuture();
        };
    }

    private static CatalogState reopened(ModelStorage storage, SplittableRandom random) throws IOException {
        return Journal.open(storage, random::nextLong).state();
    }

    @Test
    void whereverTheProcessIsKilledDefinitionsAreTheOldOrTheNew() throws Exception {
        var random = new SplittableRandom(42);
        var storage = new ModelStorage(random);
        var history = new History();
        var acknowledgedBefore = new TreeMap<Integer, Long>();
        acknowledgedBefore.put(0, 0L);
        var catalog = JournalCatalog.unkept(storage, random::nextLong, SMALL);
        catalog.watch("volume", change -> acknowledgedBefore.put(storage.log().size(), change.revision()));
        for (int step = 0; step < 60; step++) {
            // One to four changes in one frame.
            for (int i = random.nextInt(4); i >= 0; i--) {
                var command = randomCommand(random, history, step);
                history.change(command);
                var _ = submit(catalog, command);
            }
            catalog.turn();
        }

        var cuts = 0;
        var compactions = 0;
        var between = 0;
        var killed = new ModelStorage(random);
        for (int done = 0; done < storage.log().size(); done++) {
            var next = storage.log().get(done);
            compactions += next instanceof ModelStorage.Rename ? 1 : 0;
            var acknowledged = acknowledgedBefore.floorEntry(done).getValue();
            var length = next instanceof ModelStorage.Write write ? write.bytes().length : 1;
            for (int bytes = 0; bytes < length; bytes++) {
                var cut = killed.copy();
                if (next instanceof ModelStorage.Write write) {
                    cut.replay(write.first(bytes));
                }
                var where = "killed after " + done + " steps and " + bytes + " bytes of " + next;
                var found = reopened(cut, random);
                history.check(found, acknowledged, where);
                assertThat(reopened(cut, random).revision())
                        .as("again " + where)
                        .isEqualTo(found.revision());
                between += found.revision() > acknowledged ? 1 : 0;
                cuts++;
            }
            killed.replay(next);
        }

        System.out.printf(
                "killed at %,d places of a journal, %d compactions among them: the old or the new each time (%,d times the new before it was answered)%n",
                cuts, compactions - 1, between);
        assertThat(cuts).isGreaterThan(1_000);
        assertThat(compactions).isGreaterThan(3);
        assertThat(between).isPositive();
    }

    @Test
    void whateverALossOfPowerLeavesDefinitionsAreTheOldOrTheNew() throws Exception {
        var crashes = 0;
        for (long seed = 0; seed < SEEDS; seed++) {
            var random = new SplittableRandom(seed);
            var storage = new ModelStorage(random);
            var history = new History();
            for (int session = 0; session < 3; session++) {
                crashes += crashedSession(storage, random, history) ? 1 : 0;
                var powerless = random.nextBoolean();
                storage = powerless ? storage.afterPowerLoss() : storage.copy();
                var found = reopened(storage, random);
                history.check(found, history.acknowledged, "seed " + seed + " session " + session);
                history.backTo(found);
            }
        }
        System.out.printf("%,d crashes, half of them with loss of power: the old or the new each time%n", crashes);
        assertThat(crashes).isGreaterThan(1_000);
    }

    private static boolean crashedSession(ModelStorage storage, SplittableRandom random, History history)
            throws IOException {
        var left = new int[] {random.nextInt(120)};
        storage.faults(_ -> --left[0] < 0 ? Outcome.CRASHED : Outcome.DONE);
        try {
            var catalog = JournalCatalog.unkept(storage, random::nextLong, SMALL);
            catalog.watch("volume", change -> history.acknowledged = change.revision());
            for (int step = 0; step < 40; step++) {
                for (int i = random.nextInt(3); i >= 0; i--) {
                    var command = randomCommand(random, history, step);
                    history.change(command);
                    var _ = submit(catalog, command);
                }
                catalog.turn();
            }
            return false;
        } catch (ModelStorage.Crash _) {
            // As was asked for.
            return true;
        }
    }

    @Test
    void whateverADiskThatFailsDoesWhatWasAnsweredIsKeptAndWhatWasRefusedIsNotThere() throws Exception {
        var refused = 0;
        for (long seed = 0; seed < SEEDS / 5; seed++) {
            var random = new SplittableRandom(seed);
            var storage = new ModelStorage(random);
            var history = new History();
            var catalog = JournalCatalog.unkept(storage, random::nextLong, SMALL);
            storage.faults(_ -> switch (random.nextInt(12)) {
                case 0 -> Outcome.FAILED_WITH_EFFECT;
                case 1 -> Outcome.FAILED_WITHOUT_EFFECT;
                default -> Outcome.DONE;
            });
            for (int step = 0; step < 60; step++) {
                var before = history.acknowledged;
                var answers = new ArrayList<CompletableFuture<CatalogEntry>>();
                for (int i = random.nextInt(3); i >= 0; i--) {
                    var command = randomCommand(random, history, step);
                    history.change(command);
                    answers.add(submit(catalog, command));
                }
                catalog.turn();
                var where = "seed " + seed + " step " + step;
                var failed = answers.getFirst().isCompletedExceptionally();
                assertThat(answers).as(where).allMatch(answer -> answer.isCompletedExceptionally() == failed);
                if (failed) {
                    refused++;
                    assertThat(answers.getFirst().exceptionNow())
                            .as(where)
                            .isInstanceOf(CatalogException.Unavailable.class);
                    history.refuse(before);
                } else {
                    history.refused.clear();
                    history.acknowledged = history.entriesAt.lastKey();
                }
                checkAfterCrashes(storage, random, history, catalog.inDoubt(), where);
                assertThat(catalog.list("volume").toCompletableFuture().join())
                        .as(where)
                        .containsExactlyElementsOf(history.entriesAt.get(history.acknowledged));
            }
        }
        System.out.printf("%,d changes refused by a failing disk, none half made%n", refused);
        assertThat(refused).isGreaterThan(1_000);
    }

    private static void checkAfterCrashes(
            ModelStorage storage, SplittableRandom random, History history, boolean inDoubt, String where)
            throws IOException {
        var killed = reopened(storage.copy(), random);
        if (inDoubt) {
            // A refused change may be found after a crash only as long as the keeper could not undo it.
            history.checkInDoubt(killed, "killed in doubt at " + where);
        } else {
            history.check(killed, history.acknowledged, "killed at " + where);
        }
        history.checkInDoubt(reopened(storage.afterPowerLoss(), random), "power lost at " + where);
    }
}
