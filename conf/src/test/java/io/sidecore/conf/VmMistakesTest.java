package io.sidecore.conf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class VmMistakesTest {
    @TempDir
    Path folder;

    private List<String> mistakes(String text) {
        var file = folder.resolve("host.conf");
        try {
            Files.writeString(file, text);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return catchThrowableOfType(
                        SettingsException.class, () -> Settings.load(file, dataDirectory -> Surroundings.FILES))
                .mistakes()
                .stream()
                .map(mistake -> mistake.toString().replace(file + ":", "").replace(folder.toString(), "FOLDER"))
                .toList();
    }

    @Test
    void allMistakesOfTheVmsAreReportedTogetherInTheOrderOfTheFile() {
        assertThat(mistakes("""
                sidecore {
                  volumes { root { size = 1 MiB, store.type = memory }, data { size = 1 MiB, store.type = memory } }
                  exports.nbd { listen = ["[::1]:0"], volumes = [data] }
                  vms {
                    "my vm" { guest.type = wasm, guest.module = demo }
                    none { }
                    odd { guest { type = wsam } }
                    lost { guest { type = wasm } }
                    big { guest { type = wasm, module = missing.wasm, memory = 100000, deadline = 0 } }
                    named { guest { type = java, memory = 1 } }
                    machine {
                      guest {
                        type = qemu, memory = 17825793, vcpus = 0, initrd = x, cmdline = y
                        firmware = efi, accelerator = hvf, vnc = "127.0.0.1:80", hang-timeout = 1 ms
                      }
                      cap = 0.5
                    }
                    both { guest { type = qemu, kernel = ".", firmware = uefi } }
                    disks {
                      guest { type = qemu }
                      disks = [ rot, root, root, { volume = data }, { volume = data, placement = inline } ]
                    }
                    inline {
                      guest { type = wasm, module = demo }
                      disks = [
                        { volume = root, placement = inline, interposers = [ { type = rate-limit, iops = 1 } ] }
                        { volume = data, mode = read-only, placement = sidecore }
                        { placement = polled, mode = rw }
                      ]
                    }
                    terms {
                      guest { type = java, class = a.B }
                      autostart = maybe, weight = 0, cap = 2, start-timeout = 0, stop-timeout = 2 d, wieght = 3
                      restart { policy = sometimes, delay = 2 s, max-delay = 1 s, limit = 0 }
                      memory = 1 MiB
                    }
                  }
                }
                """)).containsExactly("""
                5: sidecore.vms."my vm": expected a name of 1 to 64 letters, digits, '.', '_' and '-', the first \
                one a letter or a digit
                6: sidecore.vms.none.guest: required: expected a section { }
                7: sidecore.vms.odd.guest.type: unknown value "wsam"; did you mean "wasm"?
                8: sidecore.vms.lost.guest.module: required: expected a path
                9: sidecore.vms.big.guest.module: FOLDER/missing.wasm: there is no such file
                9: sidecore.vms.big.guest.memory: expected a multiple of 64 KiB, found 100000 bytes
                9: sidecore.vms.big.guest.deadline: expected a duration from 1 ms to 1 h, found 0
                10: sidecore.vms.named.guest.class: required: expected the name of a class
                10: sidecore.vms.named.guest.memory: expected a size from 4 KiB to 1 GiB, found 1
                13: sidecore.vms.machine.guest.initrd: it is for a kernel, and there is none; set kernel, or leave \
                it out
                13: sidecore.vms.machine.guest.cmdline: it is for a kernel, and there is none; set kernel, or leave \
                it out
                13: sidecore.vms.machine.guest.memory: expected a multiple of 1 MiB, found 17825793 bytes
                13: sidecore.vms.machine.guest.vcpus: expected a whole number from 1 to 255, found 0
                13: sidecore.vms.machine.guest.initrd: FOLDER/x: there is no such file
                14: sidecore.vms.machine.guest.firmware: unknown value "efi"; did you mean "uefi"?
                14: sidecore.vms.machine.guest.accelerator: unknown value "hvf"; known here: auto, kvm, tcg
                14: sidecore.vms.machine.guest.vnc: expected HOST:PORT or unix:PATH, found "127.0.0.1:80": QEMU \
                serves VNC on ports from 5900 on
                14: sidecore.vms.machine.guest.hang-timeout: expected a duration from 1 s to 24 h, found "1 ms"
                16: sidecore.vms.machine.cap: a QEMU guest cannot be capped; give it fewer vcpus or less weight
                18: sidecore.vms.both.guest.firmware: a kernel is started without it; leave one of the two out
                18: sidecore.vms.both.guest.kernel: FOLDER: this is a directory; expected a file
                21: sidecore.vms.disks.disks[0]: expected the name of a volume, found "rot": there is none of this \
                name; did you mean "root"?
                21: sidecore.vms.disks.disks[2]: expected the name of a volume, found "root": it is listed twice
                21: sidecore.vms.disks.disks[3]: volume data is written through an export already; expected mode = \
                read-only there or here, or mode = shared in both
                21: sidecore.vms.disks.disks[4].volume: expected the name of a volume, found "data": it is listed \
                twice
                21: sidecore.vms.disks.disks[4].placement: inline is for wasm and java guests, whose own thread \
                serves them; QEMU is another process: use shared or sidecore
                26: sidecore.vms.inline.disks[0].interposers: inline has no stream in which an interposer could \
                stand; use shared or sidecore
                27: sidecore.vms.inline.disks[1].placement: a sidecore is needed, but sidecore.cores.service names \
                none; set it to 1, or use shared
                28: sidecore.vms.inline.disks[2].volume: required: expected the name of a volume
                28: sidecore.vms.inline.disks[2].mode: unknown value "rw"; known here: exclusive, read-only, shared
                28: sidecore.vms.inline.disks[2].placement: unknown value "polled"; known here: inline, shared, \
                sidecore
                33: sidecore.vms.terms.autostart: expected true or false, found "maybe"
                33: sidecore.vms.terms.weight: expected a whole number from 1 to 10000, found 0
                33: sidecore.vms.terms.cap: expected a number from 0.01 to 1.0, found 2
                33: sidecore.vms.terms.start-timeout: expected a duration from 1 ms to 24 h, found 0
                33: sidecore.vms.terms.stop-timeout: expected a duration from 0 s to 24 h, found "2 d"
                33: sidecore.vms.terms.wieght: unknown key; did you mean "weight"?
                34: sidecore.vms.terms.restart.policy: unknown value "sometimes"; known here: always, never, \
                on-failure
                34: sidecore.vms.terms.restart.limit: expected a whole number from 1 to 1000000, found 0
                34: sidecore.vms.terms.restart.max-delay: expected at least the delay of 2000 ms
                35: sidecore.vms.terms.memory: unknown key; did you mean "guest.memory"?
                """.lines().toArray(String[]::new));
    }

    @ParameterizedTest
    @CsvSource({"0.01, 0.01", "1, 1.0"})
    void aCapIsAShareOfOneCore(String text, double cap) throws IOException {
        var file = Files.writeString(
                folder.resolve("host.conf"),
                "sidecore.vms.a { guest { type = java, class = a.B }, cap = " + text + " }");

        assertThat(Settings.load(file).vms().get("a").cap()).hasValue(cap);
    }
}
