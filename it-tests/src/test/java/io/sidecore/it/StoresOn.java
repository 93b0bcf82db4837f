package io.sidecore.it;

import io.sidecore.actors.block.Medium;
import io.sidecore.actors.block.Store;
import java.util.List;
import java.util.function.Supplier;

/** A medium that is reached through stores of the test's own making. Does not close what lies beneath. */
public record StoresOn(Medium medium, Supplier<Store> stores) implements Medium {
    @Override
    public Store open() {
        return stores.get();
    }

    @Override
    public long size() {
        return medium.size();
    }

    @Override
    public void resize(long bytes) {
        medium.resize(bytes);
    }

    @Override
    public void watch(Watcher watcher) {
        medium.watch(watcher);
    }

    @Override
    public List<String> conditions() {
        return medium.conditions();
    }

    @Override
    public void settle(long offset, long length) {
        medium.settle(offset, length);
    }

    @Override
    public void recover() {
        medium.recover();
    }

    @Override
    public void close() {}
}
