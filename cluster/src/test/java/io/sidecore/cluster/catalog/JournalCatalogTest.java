package io.sidecore.cluster.catalog;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.sidecore.actors.catalog.CatalogChange;
import io.sidecore.actors.catalog.CatalogEntry;
import io.sidecore.actors.catalog.CatalogException;
import io.sidecore.actors.catalog.CatalogKey;
import io.sidecore.actors.catalog.CatalogState;
import io.sidecore.cluster.catalog.JournalCatalog.Bounds;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class JournalCatalogTest {
    private static final CatalogKey ROOT = volume("root");
    private static final CatalogKey DATA = volume("data");

    @TempDir
    Path directory;

    private static CatalogKey volume(String name) {
        return new CatalogKey("volume", name);
    }

    private static <T> T get(CompletionStage<T> stage) throws Exception {
        return stage.toCompletableFuture().get(30, TimeUnit.SECONDS);
    }

    private static <T extends CatalogException> T refusal(Class<T> as, CompletionStage<?> stage) throws Exception {
        try {
            throw new AssertionError("was done: " + get(stage));
        } catch (ExecutionException e) {
            assertThat(e.getCause()).isInstanceOf(as);
            return as.cast(e.getCause());
        }
    }

    private Path journal() {
        return directory.resolve(Journal.NAME);
    }

    @Test
    void definitionsAreThereAgainAsTheyWere() throws Exception {
        try (var catalog = JournalCatalog.open(directory)) {
            assertThat(get(catalog.put(ROOT, "size = 8 GiB", 0))).isEqualTo(new CatalogEntry(ROOT, 1, "size = 8 GiB"));
            get(catalog.put(DATA, "größe = 1 \ud83d\ude00\u0000\n", 0));
            get(catalog.put(ROOT, "size = 9 GiB", 1));
            get(catalog.put(new CatalogKey("export", "root"), "", 0));
            get(catalog.put(volume("gone"), "x", 0));
            assertThat(get(catalog.delete(volume("gone"), 5)).value()).isEqualTo("x");
        }
        try (var catalog = JournalCatalog.open(directory)) {
            assertThat(get(catalog.list("volume")))
                    .containsExactly(
                            new CatalogEntry(DATA, 2, "größe = 1 \ud83d\ude00\u0000\n"),
                            new CatalogEntry(ROOT, 3, "size = 9 GiB"));
            assertThat(get(catalog.get(new CatalogKey("export", "root")))).isPresent();
            assertThat(get(catalog.get(volume("gone")))).isEmpty();
            assertThat(get(catalog.put(volume("gone"), "y", 0)).revision()).isEqualTo(7);
        }
    }

    @Test
    void theLargestDefinitionComesBack() throws Exception {
        var value = "x".repeat(CatalogState.MAX_VALUE_BYTES);
        try (var catalog = JournalCatalog.open(directory)) {
            get(catalog.put(ROOT, value, 0));
            assertThatIllegalArgumentException().isThrownBy(() -> catalog.put(DATA, value + "x", 0));
        }
        try (var catalog = JournalCatalog.open(directory)) {
            assertThat(get(catalog.get(ROOT)).orElseThrow().value()).isEqualTo(value);
        }
    }

    @Test
    void theSecondOfTwoAuthorsIsToldWhatTheFirstHasWritten() throws Exception {
        try (var catalog = JournalCatalog.open(directory)) {
            get(catalog.put(ROOT, "old", 0));
            var first = catalog.put(ROOT, "first", 1);
            var second = catalog.put(ROOT, "second", 1);

            assertThat(get(first).value()).isEqualTo("first");
            var conflict = refusal(CatalogException.Conflict.class, second);
            assertThat(conflict.present()).contains(new CatalogEntry(ROOT, 2, "first"));
            assertThat(conflict)
                    .hasMessage(
                            "volume 'root' was changed by someone else: it is at revision 2, not at 1; read it again");
        }
    }

    @Test
    void ofManyAuthorsWhoIncrementNoneIsLost() throws Exception {
        try (var catalog = JournalCatalog.open(directory, new Bounds(64, 4096))) {
            get(catalog.put(ROOT, "0", 0));
            var authors = new ArrayList<CompletableFuture<Void>>();
            for (int author = 0; author < 8; author++) {
                authors.add(CompletableFuture.runAsync(
                        () -> increment(catalog, 50),
                        task -> Thread.ofPlatform().start(task)));
            }
            for (var author : authors) {
                get(author);
            }
            assertThat(get(catalog.get(ROOT)).orElseThrow().value()).isEqualTo("400");
        }
        try (var catalog = JournalCatalog.open(directory)) {
            assertThat(get(catalog.get(ROOT)).orElseThrow()).isEqualTo(new CatalogEntry(ROOT, 401, "400"));
        }
    }

    private static void increment(JournalCatalog catalog, int times) {
        for (int done = 0; done < times; ) {
            var there = catalog.get(ROOT).toCompletableFuture().join().orElseThrow();
            var next = Integer.toString(Integer.parseInt(there.value()) + 1);
            done += catalog.put(ROOT, next, there.revision())
                    .handle((_, refusal) -> refusal == null ? 1 : 0)
                    .toCompletableFuture()
                    .join();
        }
    }

    @Test
    void changesThatComeDuringAForceShareTheNext() throws Exception {
        var storage = new ModelStorage(new SplittableRandom(1));
        var catalog = JournalCatalog.unkept(storage, () -> 1, Bounds.DEFAULT);
        var before = storage.forces();
        var answers = IntStream.range(0, 500)
                .mapToObj(i -> catalog.put(volume("v" + i), "definition", 0).toCompletableFuture())
                .toList();

        catalog.turn();

        assertThat(answers).allMatch(CompletableFuture::isDone);
        assertThat(storage.forces() - before).isEqualTo(1);
    }

    @Test
    void theJournalIsCompactedAndStaysWithinItsBound() throws Exception {
        try (var catalog = JournalCatalog.open(directory, new Bounds(64, 10_000))) {
            long revision = 0;
            for (int i = 0; i < 2_000; i++) {
                revision = get(catalog.put(ROOT, "definition " + i, revision)).revision();
            }
        }
        assertThat(Files.size(journal())).isLessThan(12_000);
        try (var catalog = JournalCatalog.open(directory)) {
            assertThat(get(catalog.get(ROOT))).contains(new CatalogEntry(ROOT, 2_000, "definition 1999"));
        }
        assertThat(directory.resolve(Journal.NEXT)).doesNotExist();
    }

    @Test
    void aWatcherIsToldEachChangeOfItsKindOnceAndInOrder() throws Exception {
        try (var catalog = JournalCatalog.open(directory)) {
            get(catalog.put(ROOT, "1", 0));
            var told = new ArrayList<CatalogChange>();
            var watch = get(catalog.watch("volume", told::add));
            assertThat(watch.entries()).containsExactly(new CatalogEntry(ROOT, 1, "1"));

            catalog.put(DATA, "2", 0);
            catalog.put(new CatalogKey("export", "root"), "3", 0);
            catalog.put(ROOT, "4", 1);
            catalog.put(ROOT, "not done", 1);
            get(catalog.delete(DATA, 2));
            watch.close();
            get(catalog.put(DATA, "6", 0));

            assertThat(told).extracting(CatalogChange::revision).containsExactly(2L, 4L, 5L);
            assertThat(told.get(1).before()).contains(new CatalogEntry(ROOT, 1, "1"));
            assertThat(told.get(1).after()).contains(new CatalogEntry(ROOT, 4, "4"));
            assertThat(told.get(2).after()).isEmpty();
        }
    }

    @Test
    void aWatchThatBeginsAmidChangesMissesNothingAndRepeatsNothing() throws Exception {
        try (var catalog = JournalCatalog.open(directory)) {
            for (int round = 0; round < 50; round++) {
                var from = round * 20;
                var answers = IntStream.range(from, from + 20)
                        .mapToObj(i -> catalog.put(volume("v" + i), "x", 0).toCompletableFuture())
                        .toList();
                var told = new ArrayList<Long>();
                var watch = get(catalog.watch("volume", change -> told.add(change.revision())));
                for (var answer : answers) {
                    get(answer);
                }
                watch.close();

                var seen = new ArrayList<>(watch.entries().stream()
                        .map(CatalogEntry::revision)
                        .sorted()
                        .toList());
                seen.addAll(told);
                assertThat(seen)
                        .containsExactlyElementsOf(IntStream.rangeClosed(1, from + 20)
                                .mapToObj(Long::valueOf)
                                .toList());
            }
        }
    }

    @Test
    void aWatcherThatThrowsIsNotCalledAgainAndHarmsNobody() throws Exception {
        try (var catalog = JournalCatalog.open(directory)) {
            var calls = new ArrayList<String>();
            get(catalog.watch("volume", change -> {
                calls.add("bad " + change.revision());
                throw new IllegalStateException("told so");
            }));
            get(catalog.watch("volume", change -> calls.add("good " + change.revision())));
            get(catalog.put(ROOT, "1", 0));
            get(catalog.put(ROOT, "2", 1));

            assertThat(calls).containsExactly("bad 1", "good 1", "good 2");
        }
    }

    @Test
    void anInterruptThatAnAnswerLeavesBehindHarmsNothing() throws Exception {
        try (var catalog = JournalCatalog.open(directory, new Bounds(64, 100))) {
            get(catalog.watch("volume", _ -> Thread.currentThread().interrupt()));
            long revision = 0;
            for (int i = 0; i < 100; i++) {
                revision = get(catalog.put(ROOT, "definition " + i, revision)).revision();
            }
        }
        try (var catalog = JournalCatalog.open(directory)) {
            assertThat(get(catalog.get(ROOT)).orElseThrow().revision()).isEqualTo(100);
        }
    }

    @Test
    void aWatcherMayChangeWhatItWatchesAndMayCloseTheCatalog() throws Exception {
        var catalog = JournalCatalog.open(directory);
        get(catalog.watch("volume", change -> {
            if (change.revision() == 1) {
                catalog.put(DATA, "2", 0);
            } else {
                catalog.close();
            }
        }));
        get(catalog.put(ROOT, "1", 0));
        catalog.close();
        try (var again = JournalCatalog.open(directory)) {
            assertThat(get(again.list("volume"))).hasSize(2);
        }
    }

    @Test
    void closingAnswersWhatWasAcceptedAndRefusesWhatComesLater() throws Exception {
        var catalog = JournalCatalog.open(directory);
        var answers = IntStream.range(0, 200)
                .mapToObj(i -> catalog.put(volume("v" + i), "x", 0).toCompletableFuture())
                .toList();
        catalog.close();
        catalog.close();

        assertThat(answers).allMatch(CompletableFuture::isDone).noneMatch(CompletableFuture::isCompletedExceptionally);
        assertThat(refusal(CatalogException.Unavailable.class, catalog.put(ROOT, "x", 0)))
                .hasMessage("the catalog in " + journal().toRealPath() + " is closed");
        refusal(CatalogException.Unavailable.class, catalog.get(ROOT));
        assertThat(Thread.getAllStackTraces().keySet())
                .noneMatch(thread -> thread.getName().equals("sidecore-catalog"));
        try (var again = JournalCatalog.open(directory)) {
            assertThat(get(again.list("volume"))).hasSize(200);
        }
    }

    @Test
    void whoeverClosesWhileInterruptedStillClosesAndStaysInterrupted() throws Exception {
        var catalog = JournalCatalog.open(directory);
        get(catalog.put(ROOT, "1", 0));
        Thread.currentThread().interrupt();
        catalog.close();
        assertThat(Thread.interrupted()).isTrue();
        JournalCatalog.open(directory).close();
    }

    @Test
    void changesBeyondTheBoundOfWhatMayWaitAreRefused() throws Exception {
        try (var catalog = JournalCatalog.open(directory, new Bounds(3, 1 << 20))) {
            var told = new CountDownLatch(1);
            var goOn = new CountDownLatch(1);
            get(catalog.watch("volume", _ -> {
                told.countDown();
                await(goOn);
            }));
            catalog.put(ROOT, "1", 0);
            await(told);
            var waiting = List.of(
                    catalog.put(volume("a"), "", 0), catalog.put(volume("b"), "", 0), catalog.put(volume("c"), "", 0));
            var refused = catalog.put(volume("d"), "", 0);

            assertThat(refusal(CatalogException.Unavailable.class, refused))
                    .hasMessageContaining("volume 'd'")
                    .hasMessageContaining("3 changes wait");
            goOn.countDown();
            for (var answer : waiting) {
                get(answer);
            }
            get(catalog.put(volume("d"), "", 0));
        }
    }

    private static void await(CountDownLatch latch) {
        try {
            assertThat(latch.await(30, TimeUnit.SECONDS)).isTrue();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @Test
    void aFullDiskRefusesTheChangeAndTakesItWhenThereIsRoom() throws Exception {
        for (int room = 0; room < 300; room++) {
            var storage = new ModelStorage(new SplittableRandom(room));
            try (var catalog = JournalCatalog.open(storage, new SplittableRandom(room)::nextLong, Bounds.DEFAULT)) {
                get(catalog.put(ROOT, "1", 0));
                storage.capacity(storage.used() + room);
                var answer = catalog.put(ROOT, "x".repeat(300), 1);

                assertThat(refusal(CatalogException.Unavailable.class, answer))
                        .hasMessage(
                                "volume 'root' was not changed: /data/catalog.journal cannot be written (No space left"
                                        + " on device); see to the disk and try again");
                assertThat(get(catalog.get(ROOT))).contains(new CatalogEntry(ROOT, 1, "1"));
                assertThat(Journal.open(storage.copy(), () -> 0).state().entries())
                        .containsExactly(new CatalogEntry(ROOT, 1, "1"));

                storage.capacity(Long.MAX_VALUE);
                assertThat(get(catalog.put(ROOT, "2", 1))).isEqualTo(new CatalogEntry(ROOT, 2, "2"));
            }
            assertThat(storage.closed()).isTrue();
            assertThat(Journal.open(storage, () -> 0).state().entries())
                    .containsExactly(new CatalogEntry(ROOT, 2, "2"));
        }
    }

    @Test
    void aJournalThatCannotBeCompactedServesOn() throws Exception {
        var storage = new ModelStorage(new SplittableRandom(1));
        var catalog = JournalCatalog.unkept(storage, () -> 1, new Bounds(64, 500));
        storage.faults(step -> step instanceof ModelStorage.Create
                ? ModelStorage.Outcome.FAILED_WITHOUT_EFFECT
                : ModelStorage.Outcome.DONE);
        for (int i = 0; i < 100; i++) {
            var answer = catalog.put(ROOT, "definition " + i, i).toCompletableFuture();
            catalog.turn();
            assertThat(answer).isCompleted();
        }
        assertThat(storage.bytes(Journal.NAME)).hasSizeGreaterThan(5_000);
        storage.faults(ModelStorage.Faults.NONE);
        for (int i = 100; i < 110; i++) {
            catalog.put(ROOT, "definition " + i, i);
            catalog.turn();
        }
        assertThat(storage.bytes(Journal.NAME)).hasSizeLessThan(1_500);
    }

    @Test
    void twoHostsDoNotShareADirectoryAndTheRefusedOneLeavesItLocked() throws Exception {
        var elsewhere =
                Files.createSymbolicLink(directory.resolve("link"), Files.createDirectory(directory.resolve("real")));
        try (var catalog = JournalCatalog.open(elsewhere)) {
            for (int attempt = 0; attempt < 3; attempt++) {
                assertThatExceptionOfType(CatalogException.Unavailable.class)
                        .isThrownBy(() -> JournalCatalog.open(directory.resolve("real")))
                        .withMessageContaining("is used by another host, in this process")
                        .withMessageContaining(DirectoryStorage.LOCK)
                        .withMessageContaining("give this one a data directory of its own");
            }
            get(catalog.put(ROOT, "1", 0));
        }
        JournalCatalog.open(directory.resolve("real")).close();
    }

    @Test
    void aRefusedJournalLeavesTheDirectoryFree() throws Exception {
        Files.writeString(journal(), "no journal at all, but long enough to be one");
        for (int attempt = 0; attempt < 2; attempt++) {
            assertThatExceptionOfType(CatalogException.Unreadable.class)
                    .isThrownBy(() -> JournalCatalog.open(directory))
                    .withMessageContaining(journal().toRealPath().toString());
        }
        Files.delete(journal());
        JournalCatalog.open(directory).close();
    }

    @Test
    void whatIsCreatedIsForItsOwnerOnly() throws Exception {
        var deep = directory.resolve("a/b");
        JournalCatalog.open(deep).close();

        assertThat(Files.getPosixFilePermissions(deep)).isEqualTo(PosixFilePermissions.fromString("rwx------"));
        for (var name : List.of(Journal.NAME, DirectoryStorage.LOCK)) {
            assertThat(Files.getPosixFilePermissions(deep.resolve(name)))
                    .isEqualTo(PosixFilePermissions.fromString("rw-------"));
        }
    }

    @Test
    void aDirectoryThatIsAFileIsNamed() throws IOException {
        var file = Files.createFile(directory.resolve("file"));
        assertThatExceptionOfType(CatalogException.Unavailable.class)
                .isThrownBy(() -> JournalCatalog.open(file))
                .withMessageContaining(file.toString());
    }

    @Test
    void tenThousandDefinitionsAreOpenedInMilliseconds() throws Exception {
        var value = "size = 8 GiB, store { type = file, path = \"images/disk.img\" }, comment = \"" + "x".repeat(200)
                + "\"";
        try (var catalog = JournalCatalog.open(directory, new Bounds(20_000, 1 << 30))) {
            var answers = IntStream.range(0, 10_000)
                    .mapToObj(i -> catalog.put(volume("disk-" + i), value, 0).toCompletableFuture())
                    .toList();
            for (var answer : answers) {
                get(answer);
            }
        }
        var millis = new double[10];
        for (int i = 0; i < millis.length; i++) {
            var start = System.nanoTime();
            try (var catalog = JournalCatalog.open(directory)) {
                millis[i] = (System.nanoTime() - start) / 1e6;
                assertThat(get(catalog.list("volume"))).hasSize(10_000);
            }
        }
        System.out.printf(
                "a journal of 10,000 definitions, %,d bytes, is opened in %.1f ms at first, %.1f ms at last%n",
                Files.size(journal()), millis[0], millis[millis.length - 1]);
    }
}
