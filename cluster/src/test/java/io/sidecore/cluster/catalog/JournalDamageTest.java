package io.sidecore.cluster.catalog;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import io.sidecore.actors.catalog.CatalogEntry;
import io.sidecore.actors.catalog.CatalogException;
import io.sidecore.actors.catalog.CatalogKey;
import io.sidecore.actors.catalog.CatalogState;
import io.sidecore.cluster.catalog.JournalCatalog.Bounds;
import io.sidecore.cluster.catalog.JournalLayout.FileHeader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.slf4j.LoggerFactory;

class JournalDamageTest {
    private static final int SEEDS = Boolean.getBoolean("it.long") ? 1_000_000 : 50_000;
    private static final int CHANGES = 12;

    /** A journal with and without a snapshot in it, as a killed process leaves it. */
    private static byte[] journal(boolean compacted) throws IOException {
        var storage = new ModelStorage(new SplittableRandom(1));
        var bounds = new Bounds(64, compacted ? 100 : 1 << 20);
        var catalog = JournalCatalog.unkept(storage, new SplittableRandom(7)::nextLong, bounds);
        for (int i = 0; i < CHANGES; i++) {
            var key = new CatalogKey("volume", "v" + i % 4);
            var there = catalog.get(key).toCompletableFuture().join();
            catalog.put(
                    key,
                    "size = " + i + " GiB",
                    there.map(CatalogEntry::revision).orElse(0L));
            catalog.turn();
        }
        return storage.bytes(Journal.NAME);
    }

    private static CatalogState read(byte[] bytes) throws IOException {
        return Journal.open(ModelStorage.with(Journal.NAME, bytes), () -> 0).state();
    }

    private static List<CatalogEntry> entries(byte[] bytes) throws IOException {
        return read(bytes).entries().toList();
    }

    /** Fails if a damaged journal is read as something that it never was. */
    private static boolean refused(byte[] damaged, List<CatalogEntry> whole, String where) throws IOException {
        try {
            assertThat(entries(damaged)).as(where).isEqualTo(whole);
            return false;
        } catch (CatalogException.Unreadable e) {
            assertThat(e).as(where).hasMessageContaining("/data/catalog.journal");
            return true;
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void everySingleFlippedBitIsFound(boolean compacted) throws Exception {
        var whole = journal(compacted);
        var expected = entries(whole);
        var harmless = 0;
        for (int bit = 0; bit < whole.length * 8; bit++) {
            var damaged = whole.clone();
            damaged[bit / 8] ^= (byte) (1 << bit % 8);
            harmless += refused(damaged, expected, "bit " + bit) ? 0 : 1;
        }

        // Only the mark at the end may be missing: it says nothing about a journal that is whole.
        assertThat(harmless).isEqualTo(JournalLayout.FRAME_HEADER_BYTES * 8);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void whateverIsScribbledOverAJournalIsFound(boolean compacted) throws Exception {
        var whole = journal(compacted);
        var expected = entries(whole);
        var refused = 0;
        for (long seed = 0; seed < SEEDS; seed++) {
            var random = new SplittableRandom(seed);
            var damaged = whole.clone();
            for (int flips = random.nextInt(1, 4); flips > 0; flips--) {
                // The mark is left as it is: with both it and the last frame gone, that frame is a torn tail.
                var at = random.nextInt(whole.length - JournalLayout.FRAME_HEADER_BYTES);
                if (random.nextBoolean()) {
                    damaged[at] ^= (byte) (1 << random.nextInt(8));
                } else {
                    var to = Math.min(at + random.nextInt(40), whole.length - JournalLayout.FRAME_HEADER_BYTES);
                    var filler = random.nextBoolean() ? (byte) 0 : (byte) random.nextInt();
                    Arrays.fill(damaged, at, to, filler);
                }
            }
            refused += refused(damaged, expected, "seed " + seed) ? 1 : 0;
        }
        assertThat(refused).isGreaterThan(SEEDS * 9 / 10);
    }

    @Test
    void aFileCutAnywhereIsAnOlderCatalogOrRefused() throws Exception {
        var whole = journal(false);
        long last = 0;
        for (int length = JournalLayout.FILE_HEADER_BYTES; length <= whole.length; length++) {
            var revision = read(Arrays.copyOf(whole, length)).revision();
            assertThat(revision).isBetween(last, last + 1);
            last = revision;
        }
        assertThat(last).isEqualTo(CHANGES);
        for (int length = 0; length < JournalLayout.FILE_HEADER_BYTES; length++) {
            var stump = Arrays.copyOf(whole, length);
            assertThatExceptionOfType(CatalogException.Unreadable.class)
                    .isThrownBy(() -> read(stump))
                    .withMessageContaining("bytes, fewer than its header");
        }
    }

    @Test
    void damageIsNamedWithFileAndOffsetAndTheCureThatIsNamedWorks() throws Exception {
        var damaged = journal(false);
        var text = new String(damaged, StandardCharsets.ISO_8859_1);
        damaged[text.indexOf("size = 8 GiB")] ^= 1;
        var frame = text.lastIndexOf("SCFR", text.indexOf("size = 8 GiB"));

        assertThatExceptionOfType(CatalogException.Unreadable.class)
                .isThrownBy(() -> read(damaged))
                .withMessageStartingWith(
                        "the catalog's journal /data/catalog.journal is damaged at offset " + frame + ": ")
                .withMessageContaining("go on with the 4 definitions as they were before the damage")
                .withMessageContaining("losing every change after revision 8")
                .withMessageEndingWith("truncate -s " + frame + " '/data/catalog.journal'");
        assertThat(read(Arrays.copyOf(damaged, frame)).revision()).isEqualTo(8);
    }

    @Test
    void aTornTailIsCutOffWithALine() throws Exception {
        var logger = (Logger) LoggerFactory.getLogger(Journal.class);
        var lines = new ListAppender<ILoggingEvent>();
        lines.start();
        logger.setLevel(Level.WARN);
        logger.addAppender(lines);
        try {
            var whole = journal(false);
            var frame = new String(whole, StandardCharsets.ISO_8859_1)
                    .lastIndexOf("SCFR", whole.length - JournalLayout.FRAME_HEADER_BYTES - 1);
            var storage = ModelStorage.with(Journal.NAME, Arrays.copyOf(whole, frame + 50));

            assertThat(Journal.open(storage, () -> 0).state().revision()).isEqualTo(CHANGES - 1);

            assertThat(lines.list)
                    .extracting(ILoggingEvent::getFormattedMessage)
                    .containsExactly("The catalog's journal /data/catalog.journal ended at offset " + frame
                            + " in a change that was never answered; its 50 bytes were cut off");
            assertThat(storage.bytes(Journal.NAME)).hasSize(frame + JournalLayout.FRAME_HEADER_BYTES);
        } finally {
            logger.detachAppender(lines);
            logger.setLevel(null);
        }
    }

    @Test
    void aFrameThatTheDiskHasLostUnderALaterOneIsMissed() throws Exception {
        var whole = journal(false);
        var text = new String(whole, StandardCharsets.ISO_8859_1);
        var at = text.lastIndexOf("SCFR", text.indexOf("size = 8 GiB"));
        // What stood there before: the mark that said that eight changes were whole.
        var salt = FileHeader.decode(ByteBuffer.wrap(whole)).salt();
        JournalLayout.mark(salt, 8).get(whole, at, JournalLayout.FRAME_HEADER_BYTES);

        assertThatExceptionOfType(CatalogException.Unreadable.class)
                .isThrownBy(() -> read(whole))
                .withMessageContaining("damaged at offset " + at + ": a frame that had been written here")
                .withMessageContaining("is gone");
    }

    @Test
    void textThatLooksLikeAFrameIsNotTakenForOne() throws Exception {
        var frame = new String(journal(false), StandardCharsets.ISO_8859_1);
        frame = frame.substring(frame.indexOf("SCFR"), frame.indexOf("SCFR") + 60)
                .replaceAll("[^\\x00-\\x7f]", "?");
        var storage = new ModelStorage(new SplittableRandom(1));
        var catalog = JournalCatalog.unkept(storage, () -> 99, Bounds.DEFAULT);
        catalog.put(new CatalogKey("volume", "a"), "1", 0);
        catalog.turn();
        catalog.put(new CatalogKey("volume", "b"), frame + frame + "end", 0);
        catalog.turn();
        var whole = storage.bytes(Journal.NAME);

        assertThat(read(whole).get(new CatalogKey("volume", "b")).orElseThrow().value())
                .isEqualTo(frame + frame + "end");
        assertThat(read(Arrays.copyOf(whole, whole.length - JournalLayout.FRAME_HEADER_BYTES - 1))
                        .revision())
                .isEqualTo(1);
    }

    @Test
    void aJournalOfANewerVersionIsRefusedAndLeftAlone() {
        var file = ByteBuffer.allocate(JournalLayout.FILE_HEADER_BYTES + 10);
        new FileHeader(JournalLayout.VERSION + 1, 5, 0, 0).encode(file);
        var storage = ModelStorage.with(Journal.NAME, file.array());

        assertThatExceptionOfType(CatalogException.Unreadable.class)
                .isThrownBy(() -> Journal.open(storage, () -> 0))
                .withMessage("the catalog's journal /data/catalog.journal has version 2, and this Sidecore reads up to"
                        + " version 1: it was written by a newer one. Run that, or move the file away to begin with an"
                        + " empty catalog");
        assertThat(storage.log()).isEmpty();
    }

    @Test
    void aFileThatIsNoJournalIsRefused() {
        assertThatExceptionOfType(CatalogException.Unreadable.class)
                .isThrownBy(() ->
                        read("definitions { something = else, and = more, of = it }".getBytes(StandardCharsets.UTF_8)))
                .withMessageContaining("does not begin like a journal of a catalog");
    }
}
