package io.sidecore.actors.block;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.function.Supplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class SlabPoolTest {
    private final SlabPool pool = new SlabPool((bytes, arena) -> arena.allocate(bytes), Long.MAX_VALUE);

    private final SlabPool small = new SlabPool((bytes, arena) -> arena.allocate(bytes), 4L * SlabPool.STANDARD);

    @AfterEach
    void close() {
        pool.close();
        small.close();
    }

    @Test
    void nothingIsMappedInAdvance() {
        assertThat(pool.mappedBytes()).isZero();
    }

    @Test
    void aStandardSlabThatCameBackIsLentAgain() {
        var slab = pool.borrow(1);
        pool.giveBack(slab);

        assertThat(pool.borrow(SlabPool.STANDARD)).isSameAs(slab);
        assertThat(pool.mappedBytes()).isEqualTo(SlabPool.STANDARD);
    }

    @Test
    void twoBorrowersNeverShareASlab() {
        assertThat(pool.borrow(1)).isNotSameAs(pool.borrow(1));
    }

    @Test
    void aLargeSlabIsAMultipleOfTheStandardAndKeptForTheNextOfItsSize() {
        var slab = pool.borrow(SlabPool.STANDARD + 1);
        assertThat(slab.capacity()).isEqualTo(2 * SlabPool.STANDARD);

        pool.giveBack(slab);

        assertThat(pool.borrow(2 * SlabPool.STANDARD)).isSameAs(slab);
    }

    @Test
    void largeSlabsBeyondWhatIsKeptGoBackToTheMachine() {
        var slabs = Stream.generate(() -> pool.borrow(33 << 20)).limit(3).toList();

        slabs.forEach(pool::giveBack);

        assertThat(pool.mappedBytes()).isLessThanOrEqualTo(SlabPool.KEPT);
        assertSoonGone(slabs.getLast());
    }

    @Test
    void aMuchLargerSlabIsNotGivenOutForASmallRequest() {
        var slab = pool.borrow(33 << 20);
        pool.giveBack(slab);

        assertThat(pool.borrow(2 << 20)).isNotSameAs(slab);
    }

    @Test
    void aSlabStillHeldIsNotTakenBack() {
        var slab = pool.borrow(1);
        slab.take(1);

        assertThatThrownBy(() -> pool.giveBack(slab)).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void memoryIsGoneWithThePool() {
        var other = new SlabPool((bytes, arena) -> arena.allocate(bytes), Long.MAX_VALUE);
        var slab = other.borrow(1);

        other.close();

        assertThat(slab.memory().scope().isAlive()).isFalse();
    }

    @Test
    void aSlabMayComeBackAfterThePoolWasClosed() {
        var other = new SlabPool((bytes, arena) -> arena.allocate(bytes), Long.MAX_VALUE);
        var slab = other.borrow(1);
        other.close();

        other.giveBack(slab);

        assertThat(other.mappedBytes()).isZero();
    }

    // --- the limit

    @Test
    void beyondTheLimitNothingIsLent() {
        for (var i = 0; i < 4; i++) {
            assertThat(small.borrow(1)).isNotNull();
        }

        assertThat(small.borrow(1)).isNull();
        assertThat(small.mappedBytes()).isEqualTo(4L * SlabPool.STANDARD);
        assertThat(small.borrowedBytes()).isEqualTo(4L * SlabPool.STANDARD);
    }

    @Test
    void aSlabThatDoesNotFitAsAWholeIsNotLent() {
        small.borrow(1);

        assertThat(small.borrow(4 * SlabPool.STANDARD)).isNull();
        assertThat(small.borrow(3 * SlabPool.STANDARD)).isNotNull();
    }

    @Test
    void whatComesBackIsLentAgain() {
        var slabs = Stream.generate(() -> small.borrow(1)).limit(4).toList();
        small.giveBack(slabs.getFirst());

        assertThat(small.borrow(1)).isSameAs(slabs.getFirst());
        assertThat(small.borrow(1)).isNull();
    }

    @Test
    void whatIsKeptInAnotherSizeMakesRoom() {
        Stream.generate(() -> small.borrow(1)).limit(4).toList().forEach(small::giveBack);

        var large = soon(() -> small.borrow(3 * SlabPool.STANDARD));
        assertThat(large).isNotNull();
        assertThat(small.mappedBytes()).isLessThanOrEqualTo(4L * SlabPool.STANDARD);
        small.giveBack(large);

        for (var i = 0; i < 4; i++) {
            assertThat(soon(() -> small.borrow(1))).as("slab %d", i).isNotNull();
        }
        assertSoonGone(large);
        assertThat(small.mappedBytes()).isEqualTo(4L * SlabPool.STANDARD);
    }

    @Test
    void howOftenTheKeptOnesMakeRoomDoesNotMatter() {
        for (var i = 0; i < 100; i++) {
            Stream.generate(() -> soon(() -> small.borrow(1))).limit(4).toList().forEach(small::giveBack);
            small.giveBack(soon(() -> small.borrow(3 * SlabPool.STANDARD)));
        }

        var large = soon(() -> small.borrow(3 * SlabPool.STANDARD));
        small.giveBack(large);
        assertThat(small.borrow(3 * SlabPool.STANDARD)).isSameAs(large);
    }

    @Test
    void whatMustNotFailIsLentBeyondTheLimitAndGoesBackToTheMachine() {
        for (var i = 0; i < 4; i++) {
            small.borrow(1);
        }

        var beyond = small.borrowBeyond(SlabPool.STANDARD + 1);

        assertThat(beyond.capacity()).isEqualTo(2 * SlabPool.STANDARD);
        assertThat(small.mappedBytes()).isEqualTo(6L * SlabPool.STANDARD);
        small.giveBack(beyond);
        assertThat(small.mappedBytes()).isEqualTo(4L * SlabPool.STANDARD);
        assertSoonGone(beyond);
        assertThat(small.borrow(1)).isNull();
    }

    @Test
    void withinTheLimitWhatMustNotFailIsLentLikeAnyOther() {
        var slab = small.borrowBeyond(1);
        small.giveBack(slab);

        assertThat(small.borrow(1)).isSameAs(slab);
    }

    @Test
    void aRequestThatWouldNotFitEvenSoTakesNothingFromWhatIsKept() {
        var held = Stream.generate(() -> small.borrow(1)).limit(2).toList();
        var kept = small.borrow(1);
        small.giveBack(kept);

        assertThat(small.borrow(3 * SlabPool.STANDARD)).isNull();

        assertThat(small.borrow(1)).isSameAs(kept);
        held.forEach(small::giveBack);
    }

    /** Memory counts until it is back with the machine, which is soon. */
    private static Slab soon(Supplier<Slab> borrow) {
        var until = System.nanoTime() + 10_000_000_000L;
        var slab = borrow.get();
        while (slab == null && System.nanoTime() < until) {
            Thread.onSpinWait();
            slab = borrow.get();
        }
        return slab;
    }

    /** It goes back behind the caller's back. */
    private static void assertSoonGone(Slab slab) {
        var until = System.nanoTime() + 10_000_000_000L;
        while (slab.memory().scope().isAlive() && System.nanoTime() < until) {
            Thread.onSpinWait();
        }
        assertThat(slab.memory().scope().isAlive()).as("memory is still mapped").isFalse();
    }
}
