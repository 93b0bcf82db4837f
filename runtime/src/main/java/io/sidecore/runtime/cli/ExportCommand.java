package io.sidecore.runtime.cli;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code sidecore export}. */
@Command(
        name = "export",
        mixinStandardHelpOptions = true,
        description = {
            "Lets clients find volumes of a running host.",
            "(To write a volume to a file: sidecore volume export.)"
        },
        footerHeading = "%nExamples:%n",
        footer = {
            "  sidecore export create data                          under the name data, for reading and writing",
            "  sidecore export create data --name peek --read-only  a second one, for reading",
            "  sidecore export list"
        })
final class ExportCommand {
    @Command(
            name = "create",
            mixinStandardHelpOptions = true,
            description = {
                "Lets NBD clients find a volume, on every address that the host listens on.",
                "The export is there again after the host's next start."
            },
            footerHeading = "%nExample:%n",
            footer = "  sidecore export create data --mode read-only --name data-ro")
    int create(
            @Parameters(paramLabel = "VOLUME", description = "The name of the volume.") String volume,
            @Option(
                            names = "--name",
                            paramLabel = "NAME",
                            description = "What clients ask for. Default: the volume's name.")
                    Optional<String> name,
            @Option(names = "--mode", paramLabel = "MODE", description = "exclusive (default), shared or read-only.")
                    Optional<String> mode,
            @Option(names = "--read-only", description = "Short for --mode read-only.") boolean readOnly,
            @Option(names = "--set", paramLabel = "KEY=VALUE", description = "Any other key of the export.")
                    List<String> settings,
            @Mixin Connection host) {
        var section = new Section()
                .put("volume", volume)
                .put("name", name)
                .put("mode", mode.or(() -> readOnly ? Optional.of("read-only") : Optional.empty()))
                .putAll(settings == null ? List.of() : settings);
        var request = Connection.request("create-export");
        request.set("section", section.json());
        var export = host.ask(request);
        host.print(
                export, "export " + export.get("name").asText() + " created:\n  " + String.join("\n  ", uris(export)));
        return 0;
    }

    private static List<String> uris(JsonNode export) {
        var uris = new ArrayList<String>();
        export.get("uris").forEach(uri -> uris.add(uri.asText()));
        return uris;
    }

    @Command(
            name = "list",
            mixinStandardHelpOptions = true,
            description = "Lists the exports, and how many connections each has.")
    int list(@Mixin Connection host) {
        var exports = host.list("list-exports");
        var table = new Table("NAME", "VOLUME", "MODE", "PLACEMENT", ">CONNECTIONS", "URI");
        for (var export : exports) {
            var uris = uris(export);
            table.row(
                    export.get("name").asText(),
                    export.get("volume").asText(),
                    export.get("mode").asText(),
                    export.get("placement").asText(),
                    export.get("connections").asInt(),
                    uris.isEmpty() ? "" : uris.getFirst());
        }
        host.print(exports, table, "there are no exports; sidecore export create makes one");
        return 0;
    }

    @Command(
            name = "delete",
            mixinStandardHelpOptions = true,
            description = {
                "Ends an export. The volume stays.",
                "What its clients have in flight is answered, then their connections are closed."
            })
    int delete(
            @Parameters(paramLabel = "NAME", description = "The name of the export.") String name,
            @Mixin Connection host) {
        var done = host.ask(Connection.request("delete-export").put("name", name));
        host.print(done, "export " + name + " deleted" + Connection.untilStart(done));
        return 0;
    }
}
