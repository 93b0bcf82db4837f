package io.sidecore.runtime.cli;

import io.sidecore.conf.Settings;
import io.sidecore.runtime.VirtualMachines;
import io.sidecore.runtime.control.ControlClient;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicInteger;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code sidecore check}. */
@Command(
        name = "check",
        mixinStandardHelpOptions = true,
        description = {
            "Checks a configuration and starts nothing.",
            "All mistakes are named at once, each with its file and line; the exit code is 2 then. Files that it names must",
            "be there, and addresses free; of a host that runs on its data directory the addresses are not looked at.",
            "Of what virtual machines need to start (a sound module, QEMU, UEFI firmware) the lack is a warning; classes are not looked for."
        },
        footerHeading = "%nExample:%n",
        footer = "  sidecore check my.conf && sidecore run my.conf")
final class CheckCommand implements Callable<Integer> {
    @Parameters(paramLabel = "FILE", description = "A configuration in HOCON.")
    private Path file;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() {
        var settings = Settings.load(file, ControlClient::surroundings);
        var err = spec.commandLine().getErr();
        var warnings = new AtomicInteger();
        settings.vms()
                .forEach((name, vm) -> VirtualMachines.lacking(vm.guest()).ifPresent(why -> {
                    warnings.incrementAndGet();
                    err.println("sidecore: warning: VM " + name + " cannot start as things are: " + why);
                }));
        err.flush();
        var out = spec.commandLine().getOut();
        out.println("%s: ok%s: %s, %s%s"
                .formatted(
                        file,
                        warnings.get() == 0 ? "" : ", with " + counted(warnings.get(), "warning"),
                        counted(settings.volumes().size(), "volume"),
                        counted(settings.nbd().map(nbd -> nbd.volumes().size()).orElse(0), "export"),
                        settings.vms().isEmpty()
                                ? ""
                                : ", " + counted(settings.vms().size(), "virtual machine")));
        out.flush();
        return 0;
    }

    private static String counted(int count, String what) {
        return count + " " + what + (count == 1 ? "" : "s");
    }
}
