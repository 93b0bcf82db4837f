package io.sidecore.actors.block;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class ChainTest {
    private final Chain chain = new Chain();
    private final Request a = new Request(0);
    private final Request b = new Request(1);
    private final Request c = new Request(2);

    @Test
    void requestsAreHandedOverInOrder() {
        chain.add(a);
        chain.add(b);

        var taken = chain.take();

        assertThat(taken).isSameAs(a);
        assertThat(taken.next()).isSameAs(b);
        assertThat(b.next()).isNull();
    }

    @Test
    void onceTakenItIsEmpty() {
        chain.add(a);
        chain.take();

        assertThat(chain.isEmpty()).isTrue();
        assertThat(chain.count()).isZero();
        assertThat(chain.take()).isNull();
        assertThat(chain.poll()).isNull();
    }

    @Test
    void aWholeChainIsAppendedBehindTheOthers() {
        chain.add(a);

        chain.append(b.link(c));

        assertThat(chain.count()).isEqualTo(3);
        assertThat(chain.poll()).isSameAs(a);
        assertThat(chain.poll()).isSameAs(b);
        assertThat(chain.poll()).isSameAs(c);
    }

    @Test
    void appendingNoneChangesNothing() {
        chain.append(null);

        assertThat(chain.isEmpty()).isTrue();
    }

    @Test
    void whatIsPolledIsUnlinked() {
        chain.add(a);
        chain.add(b);

        assertThat(chain.poll().next()).isNull();
        assertThat(chain.first()).isSameAs(b);
        assertThat(chain.count()).isEqualTo(1);
    }

    @Test
    void emptiedByPollingItCanBeFilledAgain() {
        chain.add(a);
        chain.poll();
        chain.add(b);

        assertThat(chain.take()).isSameAs(b);
    }
}
