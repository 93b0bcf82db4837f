package io.sidecore.actors.vif;

import io.sidecore.actors.block.Chain;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.Request;
import org.apache.pekko.stream.Attributes;
import org.apache.pekko.stream.BidiShape;
import org.apache.pekko.stream.Graph;

/**
 * An interposer that looks at one request at a time: it lets it pass or refuses it, and sees it again on its way back. It holds nothing; one that does extends {@link InterposerStage}.
 *
 * <pre>{@code
 * final class BootSectorGuard extends RequestInterposer {
 *     BootSectorGuard() {
 *         super("boot-sector-guard");
 *     }
 *
 *     protected Errno request(Request request) {
 *         return request.op().changes() && request.offset() < 512 ? Errno.EPERM : Errno.OK;
 *     }
 * }
 * }</pre>
 *
 * <p>The methods are called on the loops that serve the VIF's queues, on several at a time if it has several, and must not wait. If one throws, the queue issues its requests again through a new chain, and answers EIO once that does not help.
 */
public abstract class RequestInterposer implements Interposer {
    private final String name;

    /** One of this name, by which people take it out again. */
    protected RequestInterposer(String name) {
        this.name = name;
    }

    /**
     * A request on its way to the store. A write's payload may be looked at and must not be changed: the request may come once more, after a change or a failure below.
     *
     * @return {@link Errno#OK} to let it pass, or what it is answered with
     */
    protected Errno request(Request request) {
        return Errno.OK;
    }

    /** A request that passed, on its way back; {@link Request#error} says how it ended. One that comes back {@link Errno#RETURNED} will be issued again. */
    protected void completion(Request request) {}

    @Override
    public final String name() {
        return name;
    }

    @Override
    public final Graph<BidiShape<Request, Request, Request, Request>, ?> stage(Site site) {
        return new Stage();
    }

    private final class Stage extends InterposerStage {
        @Override
        public Logic createLogic(Attributes attributes) {
            return new Looking();
        }

        private final class Looking extends Logic {
            private final Chain passing = new Chain();
            private final Chain refused = new Chain();

            @Override
            protected void requests(Request chain) {
                while (chain != null) {
                    var following = chain.unlink();
                    var answer = request(chain);
                    if (answer == Errno.OK) {
                        passing.add(chain);
                    } else {
                        chain.fail(answer);
                        refused.add(chain);
                    }
                    chain = following;
                }
                if (!passing.isEmpty()) {
                    forward(passing.take());
                }
                if (!refused.isEmpty()) {
                    answer(refused.take());
                }
            }

            @Override
            protected void completions(Request chain) {
                for (var request = chain; request != null; request = request.next()) {
                    completion(request);
                }
                answer(chain);
            }
        }
    }
}
