package io.sidecore.conf;

import java.time.Duration;

/**
 * {@code sidecore.loop}: how a core loop shares its thread.
 *
 * @param spinMax how long a loop may poll after its last work before it parks; zero: it never spins
 * @param turnTasks tasks that are run in a turn, at most
 * @param turnBatches batches that one stream may move in a turn, at most
 * @param turnTime time that one stream may take of a turn, at most
 * @param blockedAfter a task that holds the loop longer is reported with its stack
 */
public record LoopSettings(
        Duration spinMax, int turnTasks, int turnBatches, Duration turnTime, Duration blockedAfter) {}
