package io.sidecore.runtime.cli;

import io.sidecore.runtime.control.ControlClient;
import io.sidecore.runtime.control.Version;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code sidecore version}. */
@Command(
        name = "version",
        mixinStandardHelpOptions = true,
        description = {"Says which version this is.", "(status says which version a running host is.)"},
        footerHeading = "%nExample:%n",
        footer = "  sidecore version --json")
final class VersionCommand implements Callable<Integer> {
    @Option(names = "--json", description = "JSON for programs, in place of text.")
    private boolean json;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() {
        var java = System.getProperty("java.vm.name") + " " + Runtime.version();
        var out = spec.commandLine().getOut();
        out.println(
                json
                        ? ControlClient.json()
                                .createObjectNode()
                                .put("version", Version.text())
                                .put("java", java)
                        : "sidecore " + Version.text() + " on " + java);
        out.flush();
        return 0;
    }
}
