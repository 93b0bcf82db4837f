package io.sidecore.devices.block;

import io.sidecore.actors.block.Chain;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.Store;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** Has a store serve a chain, and waits for what it finishes later. */
public final class WholeChain {
    private WholeChain() {}

    /** All requests of the chain, served; those that took longer behind the others. */
    public static Request serve(Store store, Request chain) {
        var left = 0;
        for (var r = chain; r != null; r = r.next()) {
            left++;
        }
        var late = new LinkedBlockingQueue<Request>();
        var served = new Chain();
        served.append(store.serve(chain, late::add));
        while (served.count() < left) {
            try {
                var one = late.poll(1, TimeUnit.MINUTES);
                if (one == null) {
                    throw new AssertionError("a request did not come back within a minute");
                }
                served.add(one);
            } catch (InterruptedException e) {
                throw new AssertionError("interrupted", e);
            }
        }
        return served.take();
    }
}
