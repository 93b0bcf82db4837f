package io.sidecore.runtime.control;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigException;
import com.typesafe.config.ConfigFactory;
import io.sidecore.actors.core.PhysicalCore;
import io.sidecore.actors.vif.AttachmentRefusedException;
import io.sidecore.actors.vif.VirtualInterface;
import io.sidecore.actors.vif.Volume;
import io.sidecore.actors.vm.VirtualMachine;
import io.sidecore.conf.Amounts;
import io.sidecore.conf.Definitions;
import io.sidecore.conf.InterposerSettings;
import io.sidecore.conf.Placement;
import io.sidecore.conf.SettingsException;
import io.sidecore.conf.Spelling;
import io.sidecore.runtime.HostEvent;
import io.sidecore.runtime.HostException;
import io.sidecore.runtime.Interposers;
import io.sidecore.runtime.Sidecore;
import io.sidecore.runtime.StorageService;
import io.sidecore.runtime.VifHandle;
import io.sidecore.runtime.VmHandle;
import io.sidecore.runtime.guest.Aside;
import io.sidecore.runtime.transfer.Progress;
import io.sidecore.runtime.transfer.TransferException;
import io.sidecore.runtime.transfer.VolumeFiles;
import io.sidecore.runtime.vm.Console;
import java.io.IOException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import java.util.stream.Collectors;

/** Does what is asked of a running host. Every way to ask comes through here. Methods wait, and are for threads that may. */
public final class Operations {
    /** Events that wait for somebody who follows them slowly; more are skipped, and their numbers show it. */
    private static final int EVENTS_WAITING = 10_000;

    private static final String BY_COMMAND = "asked by command";

    /** Consoles that are watched at the same time: fewer than {@link ControlServer#MAX_CONNECTIONS}, so that the host can still be managed. */
    static final int MAX_CONSOLES = 48;

    static final long HEARTBEAT_MILLIS = 2_000;

    /** How often it is told how far a change of a VM is. */
    private static final long PROGRESS_MILLIS = 500;

    private final Sidecore host;
    private final DefinitionKeeper keeper;
    private final HostReport report;
    private final VolumeFiles files;
    private final Function<String, Optional<Console>> consoles;
    private final Semaphore sessions = new Semaphore(MAX_CONSOLES);

    /** Held while something is defined, in the host and where it is kept: the two agree. */
    private final Object defining = new Object();

    /** The operations of one host; what is created by them is told to {@code keeper}. */
    public Operations(Sidecore host, DefinitionKeeper keeper) {
        this(host, keeper, vm -> host.vms().vm(vm).map(VmHandle::console));
    }

    /** The same, with consoles of other origin. */
    Operations(Sidecore host, DefinitionKeeper keeper, Function<String, Optional<Console>> consoles) {
        this.host = host;
        this.keeper = keeper;
        this.report = new HostReport(host);
        this.files = new VolumeFiles(host);
        this.consoles = consoles;
    }

    /**
     * Does it; returns its answer when it is done.
     *
     * @throws ControlException with a sentence, if it cannot be done; nothing is changed then unless the sentence says so
     * @throws IOException if whoever asked has gone
     */
    public Object perform(Operation operation, Answers answers) throws IOException {
        try {
            return switch (operation) {
                case Operation.Status status -> report.host();
                case Operation.Sample sample -> report.sample();
                case Operation.Events events -> events(events.follow(), answers);
                case Operation.ListVolumes list ->
                    each(storage().volumes().stream().map(report::volume).toList(), answers);
                case Operation.ShowVolume show -> report.volume(volume(show.name()));
                case Operation.CreateVolume create -> createVolume(create);
                case Operation.ResizeVolume resize -> resizeVolume(resize);
                case Operation.DeleteVolume delete -> deleteVolume(delete);
                case Operation.RecoverVolume recover -> recoverVolume(recover);
                case Operation.ImportVolume in -> importVolume(in, answers);
                case Operation.ExportVolume out -> exportVolume(out, answers);
                case Operation.ListExports list -> each(report.exports(), answers);
                case Operation.CreateExport create -> createExport(create);
                case Operation.DeleteExport delete -> deleteExport(delete);
                case Operation.ListVifs list -> each(report.vifs(), answers);
                case Operation.ShowVif show -> report.vif(vif(show.vif()));
                case Operation.LimitVif limit -> limit(limit);
                case Operation.MoveQueue move -> move(move);
                case Operation.PlaceVif place -> change(vif(place.vif()).place(placement(place.placement())));
                case Operation.InterposeVif interpose -> interpose(interpose);
                case Operation.RemoveInterposer remove ->
                    change(vif(remove.vif()).remove(remove.interposer()));
                case Operation.ListVms list -> each(vms(), answers);
                case Operation.ShowVm show -> view(vm(show.name()));
                case Operation.CreateVm create -> createVm(create);
                case Operation.DeleteVm delete -> deleteVm(delete);
                case Operation.StartVm start -> after(vm(start.name()), vm -> vm.start(BY_COMMAND), answers);
                case Operation.StopVm stop ->
                    after(
                            vm(stop.name()),
                            vm -> stop.kill() ? vm.kill("killed by command") : vm.stop(BY_COMMAND),
                            answers);
                case Operation.PauseVm pause -> after(vm(pause.name()), vm -> vm.pause(BY_COMMAND), answers);
                case Operation.ResumeVm resume -> after(vm(resume.name()), vm -> vm.resume(BY_COMMAND), answers);
                case Operation.SnapshotVm snapshot ->
                    after(
                            vm(snapshot.name()),
                            () -> host.vms().snapshot(snapshot.name(), snapshot.snapshot(), BY_COMMAND),
                            answers);
                case Operation.RestoreVm restore ->
                    after(
                            vm(restore.name()),
                            () -> host.vms().restore(restore.name(), restore.snapshot(), BY_COMMAND),
                            answers);
                case Operation.DeleteSnapshot delete -> {
                    host.vms().deleteSnapshot(vm(delete.name()).name(), delete.snapshot());
                    yield view(vm(delete.name()));
                }
                case Operation.VmHistory history -> vmHistory(vm(history.name()), answers);
                case Operation.ScreenshotVm screenshot -> {
                    var file = file(screenshot.file());
                    await(host.vms().screenshot(vm(screenshot.name()).name(), file));
                    yield Map.of("file", file.toString());
                }
                case Operation.SampleVms sample -> each(vmSamples(), answers);
                case Operation.ListCores list -> each(report.cores(), answers);
                case Operation.Console watch -> console(watch, answers);
                case Operation.AssignCore assign -> report.core(host.assign(assign.core(), role(assign.role())));
            };
        } catch (SettingsException e) {
            throw ControlException.mistake(e.mistakes().stream()
                    .map(mistake ->
                            mistake.key().isEmpty() ? mistake.message() : mistake.key() + ": " + mistake.message())
                    .collect(Collectors.joining("\n")));
        } catch (HostException | TransferException | AttachmentRefusedException e) {
            throw ControlException.failure(e.getMessage(), e);
        }
    }

    private static Object each(List<?> views, Answers answers) throws IOException {
        for (var view : views) {
            answers.item(view);
        }
        return Map.of("count", views.size());
    }

    private StorageService storage() {
        return host.storage();
    }

    // --- events

    private Object events(boolean follow, Answers answers) throws IOException {
        var waiting = new LinkedBlockingQueue<HostEvent>(EVENTS_WAITING);
        // Watched before the past is looked at, so that nothing falls between.
        try (var _ = host.events().watch(waiting::offer)) {
            var last = 0L;
            for (var event : host.events().recent()) {
                answers.item(report.event(event));
                last = event.number();
            }
            while (follow) {
                var event = waiting.poll(HEARTBEAT_MILLIS, TimeUnit.MILLISECONDS);
                if (event == null) {
                    answers.stillHere();
                } else if (event.number() > last) {
                    answers.item(report.event(event));
                }
            }
            return Map.of("last", last);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw ControlException.failure("the host is stopping");
        }
    }

    // --- volumes

    private Volume volume(String name) {
        return storage().volume(name).orElseThrow(() -> {
            var names = storage().volumes().stream().map(Volume::name).toList();
            return ControlException.failure("there is no volume " + name + Spelling.hint(name, names));
        });
    }

    private Object createVolume(Operation.CreateVolume create) {
        var name = create.name();
        var section = section(create.section());
        var settings = Definitions.volume(name, section, host.settings().dataDirectory());
        synchronized (defining) {
            var volume = storage().create(name, settings);
            keep(
                    () -> keeper.volume(name, section),
                    "volume " + name + " was not created",
                    () -> storage().delete(name));
            return report.volume(volume);
        }
    }

    private Object resizeVolume(Operation.ResizeVolume resize) {
        var bytes = Definitions.volumeSize(resize.size());
        synchronized (defining) {
            var volume = volume(resize.name());
            if (bytes < volume.size() && !resize.shrink()) {
                throw new HostException("volume " + resize.name() + " has " + Amounts.size(volume.size())
                        + ", and what is cut off is lost; if that is meant, say --shrink");
            }
            storage().resize(resize.name(), bytes);
            keep(
                    () -> keeper.volumeResized(resize.name(), bytes),
                    "volume " + resize.name() + " has its new size, but may have the former one after the next start",
                    () -> {});
            return report.volume(volume);
        }
    }

    private Object deleteVolume(Operation.DeleteVolume delete) {
        var name = delete.name();
        synchronized (defining) {
            var served = storage().volume(name).isPresent();
            if (served) {
                storage().delete(name);
            }
            var kept = forget(() -> keeper.volumeDeleted(name), "volume " + name);
            if (!served && !kept) {
                volume(name);
            }
        }
        return new Views.DeletedView(name, host.settings().volumes().containsKey(name));
    }

    /** What is in force and cannot be kept is told; where it can be undone it is. */
    private static void keep(Runnable keeping, String whatElse, Runnable undo) {
        try {
            keeping.run();
        } catch (HostException e) {
            undo.run();
            throw ControlException.failure(whatElse + ": " + e.getMessage(), e);
        }
    }

    private static boolean forget(BooleanSupplier forgetting, String what) {
        try {
            return forgetting.getAsBoolean();
        } catch (HostException e) {
            throw ControlException.failure(
                    what + " is deleted, but will be there again after the next start: " + e.getMessage(), e);
        }
    }

    private Object recoverVolume(Operation.RecoverVolume recover) {
        var volume = volume(recover.name());
        storage().recover(recover.name());
        return report.volume(volume);
    }

    private Object importVolume(Operation.ImportVolume in, Answers answers) {
        var copied = files.in(volume(in.name()).name(), file(in.file()), progress(answers));
        return new Views.CopiedView(in.name(), in.file(), copied.bytes(), copied.copied());
    }

    private Object exportVolume(Operation.ExportVolume out, Answers answers) {
        var copied = files.out(volume(out.name()).name(), file(out.file()), out.live(), out.force(), progress(answers));
        return new Views.CopiedView(out.name(), out.file(), copied.bytes(), copied.copied());
    }

    private static Path file(String text) {
        try {
            var file = Path.of(text);
            if (!file.isAbsolute() || file.getFileName() == null) {
                // Relative to what, the host cannot know.
                throw ControlException.mistake("file: expected the absolute path of a file, found " + text);
            }
            return file;
        } catch (InvalidPathException e) {
            throw ControlException.mistake("file: expected a path: " + e.getMessage());
        }
    }

    private static Progress progress(Answers answers) {
        return (done, total) -> answers.item(new Views.ProgressView(done, total));
    }

    // --- exports

    private Object createExport(Operation.CreateExport create) {
        var section = section(create.section());
        var nbd = host.settings()
                .nbd()
                .orElseThrow(
                        () -> ControlException.failure(
                                "this host has no NBD server: nothing that it exports could be reached; give it sidecore.exports.nbd.listen and start it again"));
        ControlException notKept;
        CompletableFuture<Void> undone;
        synchronized (defining) {
            var export = KeptDefinitions.export(section, storage());
            storage().export(export, nbd.placement());
            try {
                keeper.export(export.name(), section);
                return report.export(export.name());
            } catch (HostException e) {
                notKept =
                        ControlException.failure("export " + export.name() + " was not created: " + e.getMessage(), e);
                undone = storage().unexport(export.name());
            }
        }
        // Until then it still holds its volume. Not with the lock held: a client may have found it.
        await(undone);
        throw notKept;
    }

    private Object deleteExport(Operation.DeleteExport delete) {
        var name = delete.name();
        var ended = CompletableFuture.<Void>completedFuture(null);
        var notForgotten = Optional.<ControlException>empty();
        synchronized (defining) {
            var names = storage().exports().keySet();
            var served = names.contains(name);
            if (served) {
                ended = storage().unexport(name);
            }
            try {
                var kept = forget(() -> keeper.exportDeleted(name), "export " + name);
                if (!served && !kept) {
                    throw ControlException.failure("there is no export " + name + Spelling.hint(name, names));
                }
            } catch (ControlException e) {
                notForgotten = Optional.of(e);
            }
        }
        // Not with the lock held: its clients' requests may take their time. Whoever is told that it is deleted finds
        // its volume free.
        await(ended);
        if (notForgotten.isPresent()) {
            throw notForgotten.get();
        }
        return new Views.DeletedView(name, report.declaresExport(name));
    }

    // --- VIFs

    /** By its id, or by the name of its export. */
    private VifHandle vif(String name) {
        var all = storage().vifs();
        var vif = all.containsKey(name) ? all.get(name) : storage().vif(name).orElse(null);
        if (vif == null) {
            throw ControlException.failure("there is no VIF " + name + Spelling.hint(name, all.keySet()));
        }
        return vif;
    }

    private Object move(Operation.MoveQueue move) {
        var hash = move.queue().lastIndexOf('#');
        if (hash < 0) {
            throw ControlException.mistake("queue: expected VIF#NUMBER as vif show has it, found " + move.queue());
        }
        var vif = vif(move.queue().substring(0, hash));
        return change(vif.move(vif.id() + move.queue().substring(hash), move.loop()));
    }

    private Object limit(Operation.LimitVif limit) {
        var vif = vif(limit.vif());
        if (limit.section().isEmpty()) {
            return change(vif.unlimit());
        }
        return change(
                vif.limit((InterposerSettings.RateLimit) Definitions.interposer(section(typed(limit.section())))));
    }

    private static Map<String, Object> typed(Map<String, Object> section) {
        var typed = new HashMap<>(section);
        typed.put("type", "rate-limit");
        return typed;
    }

    private Object interpose(Operation.InterposeVif interpose) {
        var vif = vif(interpose.vif());
        var settings = Definitions.interposer(section(interpose.section()));
        var taken = await(vif.inspect()).interposers();
        var number = 0;
        while (taken.contains(Interposers.type(settings) + "-" + number)) {
            number++;
        }
        var name = Interposers.type(settings) + "-" + number;
        return change(vif.insert(Interposers.of(name, settings), interpose.position()));
    }

    private static Placement placement(String text) {
        return word("placement", text, List.of(Placement.SHARED, Placement.SIDECORE));
    }

    private static PhysicalCore.Role role(String text) {
        return word("role", text, List.of(PhysicalCore.Role.values()));
    }

    private static <T extends Enum<T>> T word(String key, String text, List<T> valid) {
        var words = new ArrayList<String>();
        for (var value : valid) {
            var word = value.name().toLowerCase(Locale.ROOT);
            if (word.equals(text)) {
                return value;
            }
            words.add(word);
        }
        throw ControlException.mistake(key + ": unknown value " + text + Spelling.hint(text, words));
    }

    private static Object change(CompletionStage<VirtualInterface.Done> change) {
        var queues = await(change).queues();
        var stall = queues.stream().mapToLong(queue -> queue.stallNanos()).max().orElse(0);
        var replayed = queues.stream().mapToInt(queue -> queue.replayed()).sum();
        return new Views.ChangeView(queues.size(), stall / 1e6, replayed);
    }

    // --- virtual machines

    private VmHandle vm(String name) {
        return host.vms()
                .vm(name)
                .orElseThrow(() -> ControlException.failure("there is no VM " + name
                        + Spelling.hint(name, host.vms().vms().keySet())));
    }

    private Views.VmView view(VmHandle vm) {
        return report.vm(vm, await(vm.inspect()));
    }

    /** All are asked before any answer is waited for. */
    private List<Views.VmView> vms() {
        var asked = new LinkedHashMap<VmHandle, CompletionStage<VirtualMachine.Status>>();
        host.vms().vms().values().forEach(vm -> asked.put(vm, vm.inspect()));
        return asked.entrySet().stream()
                .map(one -> report.vm(one.getKey(), await(one.getValue())))
                .toList();
    }

    private Object after(
            VmHandle vm, Function<VmHandle, CompletionStage<VirtualMachine.Status>> change, Answers answers)
            throws IOException {
        var changed = change.apply(vm).toCompletableFuture();
        tellUntil(vm, changed, answers);
        return report.vm(vm, await(changed));
    }

    private Object after(VmHandle vm, Runnable change, Answers answers) throws IOException {
        var changed = Aside.run("sidecore-control-change", Executors.callable(change));
        tellUntil(vm, changed, answers);
        try {
            changed.join();
        } catch (CompletionException e) {
            throw e.getCause() instanceof RuntimeException known ? known : e;
        }
        return view(vm);
    }

    /** Waits for the end of a change; one that takes long is told of again and again. It goes on if whoever asked has gone. */
    private static void tellUntil(VmHandle vm, CompletableFuture<?> changed, Answers answers) throws IOException {
        var over = new CountDownLatch(1);
        var _ = changed.whenComplete((done, failure) -> over.countDown());
        try {
            while (!over.await(PROGRESS_MILLIS, TimeUnit.MILLISECONDS)) {
                tellProgress(vm, answers);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw ControlException.failure("the host is stopping");
        }
    }

    private static void tellProgress(VmHandle vm, Answers answers) throws IOException {
        VirtualMachine.Status status;
        try {
            status = vm.inspect().toCompletableFuture().join();
        } catch (CompletionException tooBusy) {
            answers.stillHere();
            return;
        }
        answers.item(HostReport.vmProgress(status));
    }

    private Object createVm(Operation.CreateVm create) {
        var name = create.name();
        var section = section(create.section());
        VmHandle vm;
        synchronized (defining) {
            vm = host.vms().create(name, KeptDefinitions.vm(name, section, host));
            keep(
                    () -> keeper.vm(name, section),
                    "VM " + name + " was not created",
                    () -> host.vms().delete(name));
        }
        return view(vm);
    }

    private Object deleteVm(Operation.DeleteVm delete) {
        var name = delete.name();
        synchronized (defining) {
            var there = host.vms().vm(name).isPresent();
            if (there) {
                host.vms().delete(name);
            }
            var kept = forget(() -> keeper.vmDeleted(name), "VM " + name);
            if (!there && !kept) {
                vm(name);
            }
        }
        return new Views.DeletedView(name, host.settings().vms().containsKey(name));
    }

    private static Object vmHistory(VmHandle vm, Answers answers) throws IOException {
        var account = vm.history().account();
        for (var entry : account.entries()) {
            answers.item(new Views.VmEventView(
                    entry.number(), entry.at().toString(), entry.event(), entry.to(), entry.cause(), entry.run()));
        }
        return Map.of("count", account.entries().size(), "garbage", account.garbage());
    }

    private List<Views.VmSample> vmSamples() {
        var all = new ArrayList<Views.VmSample>();
        for (var vm : host.vms().vms().values()) {
            var status = await(vm.inspect());
            try {
                var used = vm.statistics().toCompletableFuture().join();
                all.add(new Views.VmSample(
                        vm.name(),
                        status.state().word(),
                        System.nanoTime(),
                        used.cpuNanos(),
                        used.residentBytes().orElse(-1),
                        used.cores().stream().map(String::valueOf).collect(Collectors.joining(","))));
            } catch (CompletionException doesNotRun) {
                all.add(new Views.VmSample(vm.name(), status.state().word(), System.nanoTime(), 0, -1, ""));
            }
        }
        return all;
    }

    // --- consoles

    private Object console(Operation.Console watch, Answers answers) throws IOException {
        var console = consoles.apply(watch.vm())
                .orElseThrow(() -> ControlException.failure("there is no VM " + watch.vm()
                        + Spelling.hint(watch.vm(), host.vms().vms().keySet())));
        if (!sessions.tryAcquire()) {
            throw ControlException.failure(
                    MAX_CONSOLES + " consoles of this host are watched already; end some of these sessions");
        }
        try {
            return new ConsoleSession(console, watch, answers).run();
        } finally {
            sessions.release();
        }
    }

    // --- all

    private static Config section(Map<String, Object> section) {
        try {
            return ConfigFactory.parseMap(section, "what was asked");
        } catch (ConfigException e) {
            throw ControlException.mistake(e.getMessage());
        }
    }

    private static <T> T await(CompletionStage<T> stage) {
        try {
            return stage.toCompletableFuture().join();
        } catch (CompletionException e) {
            throw ControlException.failure(String.valueOf(e.getCause().getMessage()), e.getCause());
        }
    }
}
