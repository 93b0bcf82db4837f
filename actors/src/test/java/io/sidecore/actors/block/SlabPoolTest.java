package io.sidecore.actors.block;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class SlabPoolTest {
    private final SlabPool pool = new SlabPool((bytes, arena) -> arena.allocate(bytes));

    @AfterEach
    void close() {
        pool.close();
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
        assertThat(slabs.getLast().memory().scope().isAlive()).isFalse();
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
        var other = new SlabPool((bytes, arena) -> arena.allocate(bytes));
        var slab = other.borrow(1);

        other.close();

        assertThat(slab.memory().scope().isAlive()).isFalse();
    }

    @Test
    void aSlabMayComeBackAfterThePoolWasClosed() {
        var other = new SlabPool((bytes, arena) -> arena.allocate(bytes));
        var slab = other.borrow(1);
        other.close();

        other.giveBack(slab);

        assertThat(other.mappedBytes()).isZero();
    }
}
