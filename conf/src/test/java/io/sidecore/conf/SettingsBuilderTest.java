package io.sidecore.conf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigFactory;
import com.typesafe.config.ConfigList;
import com.typesafe.config.ConfigObject;
import com.typesafe.config.ConfigValue;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/** What HOCON can say the builder can say, and the other way round. */
class SettingsBuilderTest {
    /** Every key that there is, and no default among the values. */
    private static final String EVERY_KEY = """
            sidecore {
              data-directory = "/srv/sidecore"
              host { payload-memory = 512 MiB }
              cores { service = 1, guest = 1 }
              loop { spin-max = 50 us, turn-tasks = 32, turn-batches = 4, turn-time = 100 us, blocked-after = 200 ms }
              vif { slots = 128, in-flight-bytes = 48 MiB, drain-max = 2 s, stall-max = 1 m, send-timeout = 90 s, replay-max = 5, slow-after = 3 s }
              metrics { listen = "127.0.0.1:0" }
              log { format = json, level = debug }
              volumes {
                data { size = 2 GiB, store { type = memory, limit = 1 GiB } }
                root {
                  size = 3 GiB
                  store { type = file, path = "/srv/root.img", create = false, read-only = true, direct = true, threads = 8 }
                }
              }
              vms {
                web {
                  guest {
                    type = qemu, memory = 256 MiB, vcpus = 2, kernel = "/srv/vmlinuz", initrd = "/srv/initrd", cmdline = "quiet"
                    accelerator = tcg, screen = true, program = "/opt/qemu", arguments = ["-d", "int"], hang-timeout = 20 s
                  }
                  disks = [ { volume = data, mode = shared, placement = sidecore, interposers = [ { type = rate-limit, iops = 700, bandwidth = 10 MiB, burst = 1500 us } ] } ]
                  autostart = false, weight = 200
                  restart { policy = on-failure, delay = 2 s, max-delay = 3 m, limit = 7 }
                  start-timeout = 50 s, stop-timeout = 40 s
                }
                screen { guest { type = qemu, firmware = uefi, vnc = "127.0.0.1:5901" } }
                box { guest { type = wasm, module = "/srv/a.wasm", memory = 8 MiB, arguments = [x], deadline = 2 s }, cap = 0.25 }
                own { guest { type = java, class = "a.B", memory = 2 MiB, deadline = 3 s } }
              }
              exports {
                nbd {
                  listen = ["127.0.0.1:0", "unix:nbd.sock"]
                  volumes = [
                    { volume = root, name = image, mode = read-only }
                    {
                      volume = data, name = look, mode = read-only
                      interposers = [
                        { type = rate-limit, iops = 700, bandwidth = 10 MiB, burst = 1500 us }
                        {
                          type = fault-plan, seed = 7
                          delay { ratio = 0.25, by = 3 ms }, error { ratio = 0.5, errno = ENOSPC }, hang { ratio = 0.125 }
                        }
                      ]
                    }
                  ]
                  max-connections = 12
                  handshake-timeout = 1234567 ns
                  placement = sidecore
                  tls { mode = allow, certificate = "/srv/cert.pem", key = "/srv/key.pem", client-ca = "/srv/ca.pem" }
                }
              }
            }
            """;

    private static SettingsBuilder everyKey() {
        return Settings.builder()
                .dataDirectory(Path.of("/srv/sidecore"))
                .payloadMemory(512L << 20)
                .serviceCores(1)
                .guestCores(1)
                .loop(loop -> loop.spinMax(Duration.ofNanos(50_000))
                        .turnTasks(32)
                        .turnBatches(4)
                        .turnTime(Duration.ofNanos(100_000))
                        .blockedAfter(Duration.ofMillis(200)))
                .vif(vif -> vif.slots(128)
                        .inFlightBytes(48 << 20)
                        .drainMax(Duration.ofSeconds(2))
                        .stallMax(Duration.ofMinutes(1))
                        .sendTimeout(Duration.ofSeconds(90))
                        .replayMax(5)
                        .slowAfter(Duration.ofSeconds(3)))
                .metrics("127.0.0.1:0")
                .logFormat(LogSettings.Format.JSON)
                .logLevel(LogSettings.Level.DEBUG)
                .volume("data", volume -> volume.size(2L << 30).memory(1L << 30))
                .volume(
                        "root",
                        volume -> volume.size(3L << 30)
                                .file(
                                        Path.of("/srv/root.img"),
                                        file -> file.create(false)
                                                .readOnly(true)
                                                .direct(true)
                                                .threads(8)))
                .vm(
                        "web",
                        vm -> vm.qemu(qemu -> qemu.memory(256 << 20)
                                        .vcpus(2)
                                        .kernel(Path.of("/srv/vmlinuz"))
                                        .initrd(Path.of("/srv/initrd"))
                                        .commandLine("quiet")
                                        .accelerator(GuestSettings.Accelerator.TCG)
                                        .screen(true)
                                        .program("/opt/qemu")
                                        .arguments(List.of("-d", "int"))
                                        .hangTimeout(Duration.ofSeconds(20)))
                                .disk(
                                        "data",
                                        disk -> disk.mode(AttachMode.SHARED)
                                                .placement(Placement.SIDECORE)
                                                .rateLimit(limit -> limit.iops(700)
                                                        .bandwidth(10 << 20)
                                                        .burst(Duration.ofNanos(1_500_000))))
                                .autostart(false)
                                .weight(200)
                                .restart(restart -> restart.policy(VmSettings.RestartPolicy.ON_FAILURE)
                                        .delay(Duration.ofSeconds(2))
                                        .maxDelay(Duration.ofMinutes(3))
                                        .limit(7))
                                .startTimeout(Duration.ofSeconds(50))
                                .stopTimeout(Duration.ofSeconds(40)))
                .vm(
                        "screen",
                        vm -> vm.qemu(qemu ->
                                qemu.firmware(GuestSettings.Firmware.UEFI).vnc("127.0.0.1:5901")))
                .vm(
                        "box",
                        vm -> vm.wasm(
                                        Path.of("/srv/a.wasm"),
                                        wasm -> wasm.memory(8 << 20)
                                                .arguments(List.of("x"))
                                                .deadline(Duration.ofSeconds(2)))
                                .cap(0.25))
                .vm("own", vm -> vm.java("a.B", java -> java.memory(2 << 20).deadline(Duration.ofSeconds(3))))
                .nbd(nbd -> nbd.listen("127.0.0.1:0", "unix:nbd.sock")
                        .export("root", export -> export.name("image").mode(AttachMode.READ_ONLY))
                        .export(
                                "data",
                                export -> export.name("look")
                                        .mode(AttachMode.READ_ONLY)
                                        .rateLimit(limit -> limit.iops(700)
                                                .bandwidth(10 << 20)
                                                .burst(Duration.ofNanos(1_500_000)))
                                        .faultPlan(plan -> plan.seed(7)
                                                .delay(0.25, Duration.ofMillis(3))
                                                .error(0.5, InterposerSettings.Errno.ENOSPC)
                                                .hang(0.125)))
                        .maxConnections(12)
                        .handshakeTimeout(Duration.ofNanos(1_234_567))
                        .placement(Placement.SIDECORE)
                        .tls(tls -> tls.mode(TlsSettings.Mode.ALLOW)
                                .certificate(Path.of("/srv/cert.pem"))
                                .key(Path.of("/srv/key.pem"))
                                .clientCa(Path.of("/srv/ca.pem"))));
    }

    @Test
    void everyKeyOfTheReferenceIsSaidHereAndByTheBuilder() {
        var known = keys(ConfigFactory.parseString(ReferenceTest.everyKey())).keySet();

        assertThat(keys(ConfigFactory.parseString(EVERY_KEY)).keySet()).isEqualTo(known);
        assertThat(keys(everyKey().config()).keySet()).isEqualTo(known);
    }

    @Test
    void theBuilderSaysTheSameAsTheFile() {
        assertThat(Settings.read(everyKey().config(), 2))
                .isEqualTo(Settings.read(ConfigFactory.parseString(EVERY_KEY), 2));
    }

    /** Or a key that the builder forgets would go unnoticed. */
    @Test
    void noValueHereIsADefault() {
        var defaults = keys(ConfigFactory.parseString(ReferenceTest.everyKey()));

        var said = keys(ConfigFactory.parseString(EVERY_KEY));
        said.keySet().removeIf(key -> key.endsWith(".type"));
        said.forEach((key, values) -> assertThat(values).as(key).doesNotContainAnyElementsOf(defaults.get(key)));
    }

    /** The keys below the volumes' and the elements' names, with their values; {@code type} and what is named by it apart. */
    private static Map<String, Set<String>> keys(Config config) {
        var keys = new TreeMap<String, Set<String>>();
        walk("", config.root(), keys);
        return keys;
    }

    private static void walk(String path, ConfigValue value, Map<String, Set<String>> keys) {
        switch (value) {
            case ConfigObject section ->
                section.forEach((key, inner) -> walk(
                        path + "." + (path.endsWith(".volumes") || path.endsWith(".vms") ? "NAME" : key), inner, keys));
            case ConfigList list
            when list.stream().anyMatch(ConfigObject.class::isInstance) ->
                list.forEach(element -> walk(path + "[]", element, keys));
            default ->
                keys.computeIfAbsent(path, _ -> new TreeSet<>())
                        .add(value.unwrapped().toString());
        }
    }

    @Test
    void nothingSaidIsTheDefaults() {
        assertThat(Settings.builder().build()).isEqualTo(Settings.read(ConfigFactory.empty()));
    }

    @Test
    void whatIsExportedAsItIsNeedsItsNameOnly() {
        var settings = Settings.builder()
                .volume("a", volume -> volume.size(512).memory())
                .nbd(nbd -> nbd.listen("127.0.0.1:0").export("a"))
                .build();

        assertThat(settings.nbd().orElseThrow().volumes())
                .containsExactly(new NbdSettings.ExportedVolume("a", "a", AttachMode.EXCLUSIVE, List.of()));
    }

    @Test
    void coresCanBeNamed() {
        var settings = Settings.read(Settings.builder().serviceCores(List.of(3)).config(), 4);

        assertThat(settings.cores().service()).isEqualTo(new CoreChoice.Listed(List.of(3)));
    }

    @Test
    void eachMistakeNamesTheLineThatMadeIt() {
        var line = here();
        var builder = Settings.builder()
                .vif(vif -> vif.slots(0) // line + 2
                        .set("slotz", 7)) // line + 3
                .volume("small", volume -> volume.memory()); // line + 4

        var mistakes =
                catchThrowableOfType(SettingsException.class, builder::build).mistakes();

        assertThat(mistakes)
                .containsExactly(
                        new Mistake(
                                "SettingsBuilderTest.java:" + (line + 2),
                                "sidecore.vif.slots",
                                "expected a whole number from 1 to 4096, found 0"),
                        new Mistake(
                                "SettingsBuilderTest.java:" + (line + 3),
                                "sidecore.vif.slotz",
                                "unknown key; did you mean \"slots\"?"),
                        new Mistake(
                                "SettingsBuilderTest.java:" + (line + 4),
                                "sidecore.volumes.small.size",
                                "required: expected a size from 512 B to 4 EiB"));
    }

    private static int here() {
        return StackWalker.getInstance()
                .walk(frames -> frames.skip(1).findFirst().orElseThrow().getLineNumber());
    }

    @Test
    void durationsAreSaidInTheWordsOfAFile() {
        var builder = Settings.builder().loop(loop -> loop.spinMax(Duration.ofMillis(1500)));

        var mistakes =
                catchThrowableOfType(SettingsException.class, builder::build).mistakes();

        assertThat(mistakes.getFirst().message()).isEqualTo("expected a duration from 0 s to 1 s, found \"1500 ms\"");
    }

    @Test
    void whatIsSaidLastHolds() {
        var settings = Settings.builder()
                .set("vif.slots", 7)
                .vif(vif -> vif.slots(8))
                .volume("a", volume -> volume.size(512).memory())
                .volume("a", volume -> volume.size(1024))
                .build();

        assertThat(settings.vif().slots()).isEqualTo(8);
        assertThat(settings.volumes().get("a").sizeBytes()).isEqualTo(1024);
    }

    @Test
    void anotherStoreIsNothingOfTheFormerOne() {
        var settings = Settings.builder()
                .volume("a", volume -> volume.size(512).memory(512).file(Path.of("a.img")))
                .volume(
                        "b",
                        volume -> volume.size(512)
                                .file(Path.of("b.img"), file -> file.direct(true))
                                .memory())
                .build();

        assertThat(settings.volumes().get("a").store()).isInstanceOf(StoreSettings.FileStore.class);
        assertThat(settings.volumes().get("b").store()).isInstanceOf(StoreSettings.MemoryStore.class);
    }

    @Test
    void whatIsAddedToSomethingElseThanAListIsToldWithIt() {
        var builder = Settings.builder()
                .volume("a", volume -> volume.size(512).memory())
                .nbd(nbd -> nbd.listen("127.0.0.1:0").set("volumes", "b").export("a"));

        assertThat(catchThrowableOfType(SettingsException.class, builder::build).mistakes())
                .singleElement()
                .satisfies(mistake -> assertThat(mistake.toString()).contains("\"b\""));
    }

    @Test
    void whatIsAddedToAListThatWasSetStandsBehindIt() {
        var settings = Settings.builder()
                .volume("a", volume -> volume.size(512).memory())
                .volume("b", volume -> volume.size(512).memory())
                .nbd(nbd ->
                        nbd.listen("127.0.0.1:0").set("volumes", List.of("a")).export("b"))
                .build();

        assertThat(settings.nbd().orElseThrow().volumes())
                .extracting(NbdSettings.ExportedVolume::name)
                .containsExactly("a", "b");
    }
}
