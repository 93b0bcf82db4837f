package io.sidecore.actors.block;

import java.util.concurrent.ExecutorService;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/** A thread for what takes too long for a loop. */
public final class DaemonThread {
    private DaemonThread() {}

    /** One that is there from the beginning: a thread that a pinned loop starts stays on the loop's core. */
    public static ExecutorService started(String name) {
        var thread = new ThreadPoolExecutor(
                1,
                1,
                0,
                TimeUnit.SECONDS,
                new LinkedBlockingQueue<>(),
                Thread.ofPlatform().daemon().name(name).factory());
        thread.prestartAllCoreThreads();
        return thread;
    }
}
