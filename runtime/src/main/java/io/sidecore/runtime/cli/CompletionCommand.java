package io.sidecore.runtime.cli;

import java.util.concurrent.Callable;
import picocli.AutoComplete;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** {@code sidecore completion}. */
@Command(
        name = "completion",
        mixinStandardHelpOptions = true,
        description = "Prints a script by which bash and zsh complete commands.",
        footerHeading = "%nExamples:%n",
        footer = {
            "  source <(sidecore completion)                                          for this shell",
            "  sidecore completion > /etc/bash_completion.d/sidecore                  for everybody"
        })
final class CompletionCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() {
        var out = spec.commandLine().getOut();
        out.print(AutoComplete.bash("sidecore", spec.root().commandLine()));
        out.flush();
        return 0;
    }
}
