package io.sidecore.actors.catalog;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.util.HashMap;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CatalogStateTest {
    private static final CatalogKey ROOT = new CatalogKey("volume", "root");
    private static final CatalogKey DATA = new CatalogKey("volume", "data");
    private static final CatalogKey NBD = new CatalogKey("export", "root");

    private final CatalogState state = new CatalogState();

    private void changed(CatalogCommand command) {
        assertThat(state.apply(command)).isInstanceOf(CatalogResult.Changed.class);
    }

    @Test
    void anEntryIsCreatedReplacedAndDeletedAndEachChangeHasTheNextNumber() {
        assertThat(state.apply(new CatalogCommand.Put(ROOT, 0, "a")))
                .isEqualTo(new CatalogResult.Changed(
                        new CatalogChange(1, ROOT, Optional.empty(), Optional.of(new CatalogEntry(ROOT, 1, "a")))));
        assertThat(state.apply(new CatalogCommand.Put(ROOT, 1, "b")))
                .isEqualTo(new CatalogResult.Changed(new CatalogChange(
                        2,
                        ROOT,
                        Optional.of(new CatalogEntry(ROOT, 1, "a")),
                        Optional.of(new CatalogEntry(ROOT, 2, "b")))));
        assertThat(state.apply(new CatalogCommand.Delete(ROOT, 2)))
                .isEqualTo(new CatalogResult.Changed(
                        new CatalogChange(3, ROOT, Optional.of(new CatalogEntry(ROOT, 2, "b")), Optional.empty())));
        assertThat(state.entries()).isEmpty();
        assertThat(state.revision()).isEqualTo(3);
    }

    @Test
    void anEntryThatWasDeletedAndCreatedAgainIsNotTakenForTheOldOne() {
        changed(new CatalogCommand.Put(ROOT, 0, "a"));
        changed(new CatalogCommand.Delete(ROOT, 1));
        changed(new CatalogCommand.Put(ROOT, 0, "a"));

        assertThat(state.apply(new CatalogCommand.Delete(ROOT, 1))).isInstanceOf(CatalogResult.Conflict.class);
        assertThat(state.get(ROOT)).contains(new CatalogEntry(ROOT, 3, "a"));
    }

    @Test
    void aConflictSaysWhatIsThereAndChangesNothing() {
        changed(new CatalogCommand.Put(ROOT, 0, "a"));
        changed(new CatalogCommand.Put(ROOT, 1, "b"));

        assertThat(sentence(new CatalogCommand.Put(ROOT, 0, "c")))
                .isEqualTo("volume 'root' exists already, at revision 2");
        assertThat(sentence(new CatalogCommand.Put(ROOT, 1, "c")))
                .isEqualTo("volume 'root' was changed by someone else: it is at revision 2, not at 1; read it again");
        assertThat(sentence(new CatalogCommand.Delete(DATA, 1)))
                .isEqualTo("there is no volume 'data' any more: it was deleted after it had been read at revision 1");
        assertThat(state.entries()).containsExactly(new CatalogEntry(ROOT, 2, "b"));
        assertThat(state.revision()).isEqualTo(2);
    }

    private String sentence(CatalogCommand command) {
        var conflict = (CatalogResult.Conflict) state.apply(command);
        assertThat(conflict.present()).isEqualTo(state.get(command.key()));
        return new CatalogException.Conflict(conflict).getMessage();
    }

    @Test
    void aKindIsListedByNameAndOthersAreNot() {
        changed(new CatalogCommand.Put(ROOT, 0, "1"));
        changed(new CatalogCommand.Put(NBD, 0, "2"));
        changed(new CatalogCommand.Put(DATA, 0, "3"));

        assertThat(state.list("volume")).extracting(CatalogEntry::key).containsExactly(DATA, ROOT);
        assertThat(state.list("export")).extracting(CatalogEntry::value).containsExactly("2");
        assertThat(state.list("camera")).isEmpty();
    }

    @Test
    void aSnapshotContinuesWhereItsCatalogWas() {
        changed(new CatalogCommand.Put(ROOT, 0, "1"));
        changed(new CatalogCommand.Put(DATA, 0, "2"));
        changed(new CatalogCommand.Delete(DATA, 2));
        var restored = new CatalogState(state.revision(), state.entries().toList());

        assertThat(restored.apply(new CatalogCommand.Put(DATA, 0, "3")))
                .isEqualTo(state.apply(new CatalogCommand.Put(DATA, 0, "3")));
        assertThat(restored.bytes()).isEqualTo(state.bytes());
        assertThat(restored.size()).isEqualTo(state.size());
    }

    @Test
    void aSnapshotThatNoCatalogCanHaveHadIsRefused() {
        var entry = new CatalogEntry(ROOT, 7, "");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new CatalogState(6, List.of(entry)))
                .withMessage("volume 'root' has revision 7 in a snapshot of revision 6");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new CatalogState(7, List.of(entry, entry)))
                .withMessage("volume 'root' stands twice in a snapshot");
    }

    @Test
    void aCopyGoesItsOwnWay() {
        changed(new CatalogCommand.Put(ROOT, 0, "1"));
        var copy = state.copy();
        copy.apply(new CatalogCommand.Put(DATA, 0, "2"));
        copy.apply(new CatalogCommand.Put(ROOT, 1, "3"));

        assertThat(state.entries()).containsExactly(new CatalogEntry(ROOT, 1, "1"));
        assertThat(state.revision()).isEqualTo(1);
        assertThat(copy.entries()).hasSize(2);
    }

    @Test
    void theCatalogIsBoundedAndAFullOneCanShrink() {
        var value = "x".repeat(CatalogState.MAX_VALUE_BYTES);
        var full = IntStream.iterate(0, i -> i + 1)
                .mapToObj(i -> state.apply(new CatalogCommand.Put(new CatalogKey("volume", "v" + i), 0, value)))
                .filter(result -> !(result instanceof CatalogResult.Changed))
                .findFirst()
                .orElseThrow();

        assertThat(full).isInstanceOf(CatalogResult.Full.class);
        assertThat(new CatalogException.Full((CatalogResult.Full) full))
                .hasMessageContaining("does not fit")
                .hasMessageContaining("at most 67108864");
        assertThat(state.bytes()).isLessThanOrEqualTo(CatalogState.MAX_BYTES);
        var first = state.list("volume").getFirst();
        changed(new CatalogCommand.Put(first.key(), first.revision(), ""));
        assertThat(((CatalogResult.Full) full).command()).satisfies(this::changed);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "Volume", "1st", "a b", "-", "naïve"})
    void aKindThatIsNoWordIsRefused(String kind) {
        assertThatIllegalArgumentException().isThrownBy(() -> new CatalogKey(kind, "x"));
    }

    @Test
    void textThatWouldNotComeBackAsItWasIsRefused() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new CatalogCommand.Put(ROOT, 0, "ab\ud800c"))
                .withMessage("the definition of volume 'root' is no text: half a surrogate pair at character 3");
        assertThatIllegalArgumentException().isThrownBy(() -> new CatalogKey("volume", "a\nb"));
        assertThatIllegalArgumentException().isThrownBy(() -> new CatalogKey("volume", ""));
        assertThatIllegalArgumentException().isThrownBy(() -> new CatalogKey("volume", "é".repeat(128)));
        assertThat(new CatalogKey("volume", "é".repeat(127) + "x").name()).hasSize(128);
    }

    @Test
    void aValueIsMeasuredInBytesOfUtf8() {
        changed(new CatalogCommand.Put(ROOT, 0, "\ud83d\ude00".repeat(CatalogState.MAX_VALUE_BYTES / 4)));
        assertThat(state.bytes()).isEqualTo(CatalogState.MAX_VALUE_BYTES + "volumeroot".length());
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new CatalogCommand.Put(ROOT, 0, "é".repeat(CatalogState.MAX_VALUE_BYTES / 2) + "."))
                .withMessage("the definition of volume 'root' has 65537 bytes, more than 65536");
    }

    @Test
    void theSameCommandsGiveTheSameResultsAndNoUpdateIsLost() {
        for (long seed = 0; seed < 200; seed++) {
            var random = new SplittableRandom(seed);
            var left = new CatalogState();
            var right = new CatalogState();
            var model = new HashMap<CatalogKey, CatalogEntry>();
            for (int step = 0; step < 200; step++) {
                var key = new CatalogKey("volume", "v" + random.nextInt(5));
                var there = model.get(key);
                var actual = there == null ? 0 : there.revision();
                var expected = random.nextInt(4) == 0 ? random.nextLong(left.revision() + 2) : actual;
                var command = random.nextInt(3) == 0 && expected > 0
                        ? new CatalogCommand.Delete(key, expected)
                        : new CatalogCommand.Put(key, expected, "s" + step);

                var result = left.apply(command);

                assertThat(right.apply(command)).isEqualTo(result);
                assertThat(result instanceof CatalogResult.Changed).isEqualTo(expected == actual);
                if (expected == actual) {
                    switch (command) {
                        case CatalogCommand.Put put ->
                            model.put(key, new CatalogEntry(key, left.revision(), put.value()));
                        case CatalogCommand.Delete _ -> model.remove(key);
                    }
                }
                assertThat(left.entries()).containsExactlyInAnyOrderElementsOf(model.values());
                assertThat(left.size()).isEqualTo(model.size());
            }
            assertThat(left.bytes())
                    .isEqualTo(new CatalogState(left.revision(), left.entries().toList()).bytes());
        }
    }
}
