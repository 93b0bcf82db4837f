package io.sidecore.actors.block;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class InFlightLedgerTest {
    private final InFlightLedger ledger = new InFlightLedger(4);
    private final Slab slab = new Slab(Arena.ofAuto().allocate(1000));
    private final MemorySegment lent = Arena.ofAuto().allocate(10);

    @Test
    void itHasRoomForAsManyAsItHasSlots() {
        for (var i = 0; i < 4; i++) {
            assertThat(ledger.hasRoom()).isTrue();
            read(i);
        }

        assertThat(ledger.hasRoom()).isFalse();
        assertThat(ledger.open()).isEqualTo(4);
        assertThat(ledger.used()).isEqualTo(4);
    }

    @Test
    void aSlotIsInUseUntilItsAnswerHasLeft() {
        var request = read(1);

        assertThat(ledger.answer(request, 1)).isTrue();
        assertThat(ledger.open()).isZero();
        assertThat(ledger.used()).isEqualTo(1);

        ledger.free(request);
        assertThat(ledger.used()).isZero();
    }

    @Test
    void aSecondAnswerIsDroppedAndCounted() {
        var request = read(1);
        ledger.answer(request, 1);

        assertThat(ledger.answer(request, 1)).isFalse();
        assertThat(ledger.late()).isEqualTo(1);
    }

    @Test
    void anAnswerOfAnotherGenerationIsDroppedAndCounted() {
        var request = read(1);

        assertThat(ledger.answer(request, 2)).isFalse();
        assertThat(ledger.late()).isEqualTo(1);
        assertThat(ledger.open()).isEqualTo(1);
    }

    @Test
    void freeingTwiceIsAnError() {
        var request = read(1);
        ledger.free(request);

        assertThatThrownBy(() -> ledger.free(request)).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void aFreedRequestHoldsNoMemory() {
        var request = read(1);
        request.payload(slab, 10);

        ledger.free(request);

        assertThat(request.slab()).isNull();
    }

    @Test
    void aReusedSlotRemembersNothing() {
        var before = read(1);
        before.fail(Errno.EIO);
        ledger.bounced(before);
        ledger.free(before);

        var after = ledger.open(BlockOp.WRITE, 8, 16, 0, 2, 3);

        assertThat(after).isSameAs(before);
        assertThat(after.error()).isEqualTo(Errno.OK);
        assertThat(InFlightLedger.replays(after)).isZero();
        assertThat(after.cookie()).isEqualTo(2);
        assertThat(after.sequence()).isEqualTo(1);
    }

    @Test
    void whatIsUnansweredIsReplayedInOrderOfArrival() {
        var first = read(1);
        var second = read(2);
        var third = read(3);
        ledger.answer(first, 1);
        ledger.free(first);
        var fourth = read(4);

        assertThat(ledger.replay(2, false)).containsExactly(second, third, fourth);
    }

    @Test
    void whatIsAnsweredIsNotReplayed() {
        ledger.answer(read(1), 1);

        assertThat(ledger.replay(2, false)).isEmpty();
    }

    @Test
    void aReplayedRequestIsUnlinkedUnfailedAndOfTheNextGeneration() {
        var first = read(1);
        first.link(read(2));
        first.fail(Errno.RETURNED);

        ledger.replay(2, false);

        assertThat(first.next()).isNull();
        assertThat(first.error()).isEqualTo(Errno.OK);
        assertThat(ledger.answer(first, 1)).isFalse();
        assertThat(ledger.answer(first, 2)).isTrue();
    }

    @Test
    void aRequestThatCameBackIsReplayedInItsOwnSlotObject() {
        var request = read(1);

        assertThat(ledger.replay(2, false)).containsExactly(request);
        assertThat(InFlightLedger.replays(request)).isZero();
    }

    @Test
    void aRequestOfALostChainIsReplayedInAnotherSlotObject() {
        var lost = read(1);

        var successor = ledger.replay(2, true).getFirst();

        assertThat(successor).isNotSameAs(lost);
        assertThat(successor.slot()).isEqualTo(lost.slot());
        assertThat(successor.cookie()).isEqualTo(1);
        assertThat(successor.sequence()).isEqualTo(lost.sequence());
        assertThat(InFlightLedger.replays(successor)).isEqualTo(1);
        assertThat(ledger.open()).isEqualTo(1);
        assertThat(ledger.used()).isEqualTo(1);
        assertThat(ledger.orphans()).isZero();
    }

    @Test
    void theAnswerOfAnOrphanIsDropped() {
        var lost = read(1);
        ledger.replay(2, true);

        assertThat(ledger.answer(lost, 1)).isFalse();
        assertThat(ledger.answer(lost, 2)).isFalse();
        assertThat(ledger.open()).isEqualTo(1);
    }

    @Test
    void aReadThatAStoreStillHasLeavesItsMemoryToTheOrphan() {
        var lost = read(1);
        lost.payload(slab, slab.take(10));
        InFlightLedger.handedToStore(lost);

        var successor = ledger.replay(2, true).getFirst();

        assertThat(successor.slab()).isNull();
        assertThat(lost.slab()).isSameAs(slab);
        assertThat(slab.live()).isEqualTo(1);
        assertThat(ledger.orphans()).isEqualTo(1);
        assertThat(InFlightLedger.isOrphan(lost)).isTrue();
    }

    @Test
    void aWriteThatAStoreStillHasSharesItsMemoryWithTheSuccessor() {
        var lost = ledger.open(BlockOp.WRITE, 0, 10, 0, 1, 1);
        lost.payload(slab, slab.take(10));
        InFlightLedger.handedToStore(lost);

        var successor = ledger.replay(2, true).getFirst();

        assertThat(successor.slab()).isSameAs(slab);
        assertThat(slab.live()).isEqualTo(2);
    }

    @Test
    void aReadThatIsReplayedLosesItsLoan() {
        var request = read(1);
        request.lend(lent);

        ledger.replay(2, false);

        assertThat(request.isLent()).isFalse();
        assertThat(request.slab()).isNull();
    }

    @Test
    void aReadInASlabKeepsItsMemoryWhenItIsReplayed() {
        var request = read(1);
        request.payload(slab, slab.take(10));

        ledger.replay(2, false);

        assertThat(request.slab()).isSameAs(slab);
    }

    @Test
    void aWriteThatIsReplayedKeepsItsLoan() {
        var request = ledger.open(BlockOp.WRITE, 0, 10, 0, 1, 1);
        request.lend(lent);

        assertThat(ledger.replay(2, false)).containsExactly(request);

        assertThat(request.memory()).isSameAs(lent);
    }

    @Test
    void aReadOfALostChainLosesItsLoanWhetherAStoreHasItOrNot() {
        var held = read(1);
        held.lend(lent);
        InFlightLedger.handedToStore(held);
        read(2).lend(lent);

        assertThat(ledger.replay(2, true)).noneMatch(Request::isLent).allMatch(r -> r.slab() == null);
    }

    @Test
    void aWriteOfALostChainKeepsItsLoanAndSoDoesItsOrphan() {
        var held = ledger.open(BlockOp.WRITE, 0, 10, 0, 1, 1);
        held.lend(lent);
        InFlightLedger.handedToStore(held);
        ledger.open(BlockOp.WRITE, 0, 10, 0, 2, 1).lend(lent);

        assertThat(ledger.replay(2, true))
                .extracting(Request::memory)
                .allSatisfy(memory -> assertThat(memory).isSameAs(lent));
        assertThat(held.memory()).isSameAs(lent);
        assertThat(ledger.orphans()).isEqualTo(1);
    }

    @Test
    void aFreedRequestForgetsItsLoan() {
        var request = read(1);
        request.lend(lent);

        ledger.free(request);

        assertThat(request.isLent()).isFalse();
    }

    @Test
    void anOrphanThatComesBackIsOneNoMore() {
        var lost = read(1);
        InFlightLedger.handedToStore(lost);
        ledger.replay(2, true);

        ledger.returned(lost);

        assertThat(ledger.orphans()).isZero();
        assertThat(InFlightLedger.isOrphan(lost)).isFalse();
        assertThat(ledger.late()).isEqualTo(1);
    }

    @Test
    void itKnowsWhetherAStoreHasSome() {
        var chain = read(1).link(read(2));
        InFlightLedger.handedToStore(chain);
        assertThat(ledger.anyInStore()).isTrue();

        InFlightLedger.backFromStore(chain);

        assertThat(ledger.anyInStore()).isFalse();
    }

    @Test
    void everyRequestIsAnsweredExactlyOnceWhateverHappens() {
        for (var seed = 0; seed < 300; seed++) {
            run(new SplittableRandom(seed));
        }
    }

    /** Random opens, completions, late completions and changes, checked against a map of what is unanswered. */
    private static void run(SplittableRandom random) {
        var ledger = new InFlightLedger(8);
        var unanswered = new HashMap<Long, Request>();
        var strays = new ArrayList<Request>();
        var generation = 1;
        var cookie = 0L;
        for (var step = 0; step < 500; step++) {
            switch (random.nextInt(6)) {
                case 0, 1 -> {
                    if (ledger.hasRoom()) {
                        unanswered.put(cookie, ledger.open(BlockOp.FLUSH, 0, 0, 0, cookie, generation));
                        cookie++;
                    }
                }
                case 2, 3 -> {
                    if (!unanswered.isEmpty()) {
                        var request = unanswered.values().iterator().next();
                        assertThat(ledger.answer(request, generation)).isTrue();
                        ledger.free(request);
                        unanswered.remove(request.cookie());
                    }
                }
                case 4 -> {
                    if (!strays.isEmpty()) {
                        var stray = strays.remove(random.nextInt(strays.size()));
                        assertThat(ledger.answer(stray, generation)).isFalse();
                    }
                }
                default -> {
                    var lost = random.nextBoolean();
                    if (lost) {
                        strays.addAll(unanswered.values());
                    }
                    unanswered.clear();
                    for (var request : ledger.replay(++generation, lost)) {
                        assertThat(unanswered.put(request.cookie(), request)).isNull();
                    }
                }
            }
            assertThat(ledger.open()).isEqualTo(unanswered.size());
            assertThat(ledger.used()).isEqualTo(unanswered.size());
            assertThat(ledger.inUse()).containsExactlyInAnyOrderElementsOf(unanswered.values());
        }
    }

    private Request read(long cookie) {
        return ledger.open(BlockOp.READ, 0, 10, 0, cookie, 1);
    }
}
