package io.sidecore.actors.block;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import org.junit.jupiter.api.Test;

class SlabTest {
    private final Slab slab = new Slab(Arena.ofAuto().allocate(100));

    @Test
    void takenPiecesLieOneBehindTheOther() {
        assertThat(slab.take(10)).isZero();
        assertThat(slab.take(20)).isEqualTo(10);
        assertThat(slab.room()).isEqualTo(70);
    }

    @Test
    void itStartsFromItsBeginningWhenTheLastHolderGivesBack() {
        slab.take(10);
        slab.take(20);

        assertThat(slab.release()).isFalse();
        assertThat(slab.room()).isEqualTo(70);
        assertThat(slab.release()).isTrue();
        assertThat(slab.room()).isEqualTo(100);
        assertThat(slab.take(5)).isZero();
    }

    @Test
    void anotherHolderKeepsIt() {
        slab.take(10);
        slab.hold();

        assertThat(slab.release()).isFalse();
        assertThat(slab.live()).isEqualTo(1);
    }

    @Test
    void moreReleasesThanHoldersAreAnError() {
        slab.take(1);
        slab.release();

        assertThatThrownBy(slab::release).isInstanceOf(IllegalStateException.class);
    }
}
