package io.sidecore.actors.vm;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.CopyOnWriteArrayList;

/** A guest that does what a test says, and writes down what is done to it. */
final class ScriptedGuest implements Guest {
    final List<String> calls = new CopyOnWriteArrayList<>();
    CompletableFuture<Void> started = new CompletableFuture<>();
    CompletableFuture<Void> stopped = CompletableFuture.completedFuture(null);
    CompletableFuture<Void> paused = CompletableFuture.completedFuture(null);
    CompletableFuture<Void> resumed = CompletableFuture.completedFuture(null);
    CompletableFuture<Void> kept = CompletableFuture.completedFuture(null);
    /** Thrown by whatever it is asked for, in place of a stage. */
    RuntimeException thrown;

    volatile Watcher watcher;

    private CompletionStage<Void> called(String call, CompletableFuture<Void> answer) {
        calls.add(call);
        if (thrown != null) {
            throw thrown;
        }
        return answer;
    }

    @Override
    public CompletionStage<Void> start(Watcher told, Optional<Path> snapshot) {
        watcher = told;
        return called("start" + snapshot.map(folder -> " " + folder).orElse(""), started);
    }

    @Override
    public CompletionStage<Void> stop() {
        return called("stop", stopped);
    }

    @Override
    public void kill(String cause) {
        calls.add("kill: " + cause);
    }

    @Override
    public CompletionStage<Void> pause() {
        return called("pause", paused);
    }

    @Override
    public CompletionStage<Void> resume() {
        return called("resume", resumed);
    }

    @Override
    public CompletionStage<Void> snapshot(Path folder) {
        return called("snapshot " + folder, kept);
    }

    @Override
    public void place(List<Integer> cores) {
        calls.add("place " + cores);
    }

    @Override
    public CompletionStage<Statistics> statistics() {
        return CompletableFuture.completedFuture(new Statistics(7, OptionalLong.of(8), List.of(0)));
    }

    void exits(boolean well, String cause) {
        watcher.exited(new Exit(well, cause));
    }
}
