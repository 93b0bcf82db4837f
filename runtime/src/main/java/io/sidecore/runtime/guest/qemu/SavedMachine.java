package io.sidecore.runtime.guest.qemu;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.sidecore.actors.vm.GuestException;
import io.sidecore.conf.Amounts;
import io.sidecore.conf.GuestSettings;
import io.sidecore.conf.VmSettings;
import io.sidecore.runtime.StorageService;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;

/**
 * What the state of a machine goes with: QEMU loads it into no other machine, and notices that late or not at all. Kept beside it, as JSON.
 *
 * @param properties what differs is told by these names, in this order
 */
record SavedMachine(Map<String, String> properties) {
    private static final String FILE = "machine.json";
    private static final JsonMapper JSON = new JsonMapper();
    private static final Pattern VERSION = Pattern.compile("version (\\d+\\.\\d+)");
    private static final long PATIENCE_SECONDS = 10;
    private static final int LONGEST = 1024;

    /** @param qemu its version, as {@link #version} gives it */
    static SavedMachine of(
            String qemu, boolean kvm, GuestSettings.Qemu settings, VmSettings vm, StorageService storage) {
        var all = new LinkedHashMap<String, String>();
        // The machine q35 is another one in each.
        all.put("QEMU", qemu);
        all.put("the accelerator", kvm ? "KVM" : "TCG");
        all.put("memory", Amounts.size(settings.memoryBytes()));
        all.put("virtual CPUs", Integer.toString(settings.vcpus()));
        all.put(
                "firmware",
                settings.kernel().isPresent()
                        ? "of a kernel"
                        : settings.firmware().name().toLowerCase(Locale.ROOT));
        all.put("a screen", settings.screen() ? "yes" : "no");
        all.put("arguments", String.join(" ", settings.arguments()));
        all.put("disks", Integer.toString(vm.disks().size()));
        for (var i = 0; i < vm.disks().size(); i++) {
            var disk = vm.disks().get(i);
            var size = storage.volume(disk.volume())
                    .map(volume -> Amounts.size(volume.size()))
                    .orElse("nothing");
            all.put(
                    "disk " + (i + 1),
                    disk.volume() + " of " + size + ", " + disk.mode().name());
        }
        return new SavedMachine(all);
    }

    /** What a running QEMU says to {@code query-version}. Machines of a minor version are the same in all its releases. */
    static String version(JsonNode answer) {
        var qemu = answer.path("qemu");
        return qemu.path("major").asInt() + "." + qemu.path("minor").asInt();
    }

    /** What a program says of itself; waits for it. */
    static String version(Path program) throws IOException, InterruptedException {
        var process = new ProcessBuilder(program.toString(), "--version")
                .redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()))
                .redirectError(ProcessBuilder.Redirect.DISCARD)
                .start();
        try {
            if (process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
                var said = new String(process.getInputStream().readNBytes(LONGEST), StandardCharsets.UTF_8);
                var found = VERSION.matcher(said);
                if (found.find()) {
                    return found.group(1);
                }
            }
            throw new GuestException(program + " does not say of which version it is");
        } finally {
            process.destroyForcibly();
        }
    }

    void write(Path folder) throws IOException {
        Files.write(folder.resolve(FILE), JSON.writerWithDefaultPrettyPrinter().writeValueAsBytes(properties));
    }

    static SavedMachine read(Path folder) throws IOException {
        try {
            LinkedHashMap<String, String> read =
                    JSON.readValue(Files.readAllBytes(folder.resolve(FILE)), new TypeReference<>() {});
            if (read == null) {
                throw new GuestException("the snapshot is damaged: " + FILE + " says nothing");
            }
            return new SavedMachine(read);
        } catch (NoSuchFileException e) {
            throw new GuestException("the snapshot does not say of which machine it is: there is no " + FILE, e);
        } catch (JsonProcessingException e) {
            throw new GuestException("the snapshot is damaged: " + FILE + ": " + e.getOriginalMessage(), e);
        }
    }

    /** Throws, with what differs, unless the state of this machine can be loaded into that one. */
    void refuse(SavedMachine present) {
        var names = new LinkedHashMap<>(properties);
        names.putAll(present.properties);
        for (var name : names.keySet()) {
            var was = properties.getOrDefault(name, "nothing");
            var is = present.properties.getOrDefault(name, "nothing");
            if (!was.equals(is)) {
                throw new GuestException(
                        "the snapshot is of another machine: " + name + " was \"" + was + "\", and is \"" + is + "\"");
            }
        }
    }
}
