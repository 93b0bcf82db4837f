package io.sidecore.runtime.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sidecore.conf.Amounts;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code sidecore volume}. */
@Command(
        name = "volume",
        mixinStandardHelpOptions = true,
        description = "Creates, lists, resizes, copies and deletes volumes of a running host.",
        footerHeading = "%nExamples:%n",
        footer = {
            "  sidecore volume create data --size 8GiB        a disk in memory",
            "  sidecore volume import data debian.raw         fill it from an image",
            "  sidecore export create data                    let NBD clients find it",
            "  sidecore volume list"
        })
final class VolumeCommand {
    private static final String NAME = "The name of the volume.";

    @Command(
            name = "create",
            mixinStandardHelpOptions = true,
            description = {
                "Creates a volume.",
                "It takes the same values as sidecore.volumes.NAME in a file (sidecore config explain volumes.NAME).",
                "It is there again after the host's next start; what was in memory is zero then."
            },
            footerHeading = "%nExamples:%n",
            footer = {
                "  sidecore volume create scratch --size 1GiB                    in memory; all zero after each start",
                "  sidecore volume create big --size 64GiB --limit 2GiB          sparse: at most 2 GiB of memory",
                "  sidecore volume create root --size 8GiB --path root.img       in an image file, made if it is not there",
                "  sidecore volume create iso --path cd.iso --set store.read-only=true"
            })
    int create(
            @Parameters(paramLabel = "NAME", description = "Letters, digits, '.', '_' and '-'; 64 at most.")
                    String name,
            @Option(
                            names = "--size",
                            paramLabel = "SIZE",
                            description = "What a guest sees as the size of the disk, such as 8GiB.")
                    Optional<String> size,
            @Option(
                            names = "--store",
                            paramLabel = "TYPE",
                            description = "What keeps the bytes. Default: file with --path, else memory.")
                    Optional<String> store,
            @Option(names = "--path", paramLabel = "FILE", description = "Of a file store: the image.")
                    Optional<Path> path,
            @Option(
                            names = "--limit",
                            paramLabel = "SIZE",
                            description = "Of a memory store: how much written data it may hold.")
                    Optional<String> limit,
            @Option(
                            names = "--set",
                            paramLabel = "KEY=VALUE",
                            description = "Any other key of the volume, such as store.limit=2GiB.")
                    List<String> settings,
            @Mixin Connection host) {
        var section = new Section()
                .put("size", size)
                .put("store.type", store.orElse(path.isPresent() ? "file" : "memory"))
                // Relative to where the user is, not to where the host is.
                .put("store.path", path.map(VolumeCommand::absolute))
                .put("store.limit", limit)
                .putAll(settings == null ? List.of() : settings);
        var request = Connection.request("create-volume").put("name", name);
        request.set("section", section.json());
        var volume = host.ask(request);
        host.print(
                volume,
                "volume " + name + " created: "
                        + Amounts.bytes(volume.get("size").asLong()));
        return 0;
    }

    @Command(name = "list", mixinStandardHelpOptions = true, description = "Lists the volumes.")
    int list(@Mixin Connection host) {
        var volumes = host.list("list-volumes");
        var table = new Table("NAME", ">SIZE", "STATE", "HELD BY");
        for (var volume : volumes) {
            table.row(
                    volume.get("name").asText(),
                    Amounts.bytes(volume.get("size").asLong()),
                    volume.get("state").asText(),
                    holders(volume));
        }
        host.print(volumes, table, "there are no volumes; sidecore volume create makes one");
        return 0;
    }

    private static String holders(JsonNode volume) {
        var holders = new ArrayList<String>();
        volume.get("holders")
                .forEach(holder -> holders.add(
                        holder.get("vif").asText() + " (" + holder.get("mode").asText() + ")"));
        return String.join(", ", holders);
    }

    @Command(name = "show", mixinStandardHelpOptions = true, description = "Shows one volume.")
    int show(@Parameters(paramLabel = "NAME", description = NAME) String name, @Mixin Connection host) {
        var volume = host.ask(Connection.request("show-volume").put("name", name));
        var text = new Fields()
                .add("name", name)
                .add(
                        "size",
                        "%s (%d bytes)"
                                .formatted(
                                        Amounts.bytes(volume.get("size").asLong()),
                                        volume.get("size").asLong()))
                .add("store", store(volume.get("store")))
                .add("state", volume.get("state").asText())
                .add("reason", Fields.texts(volume.get("reasons")))
                .add("defined", volume.get("declared").asBoolean() ? "in the configuration" : "by command")
                .add("writable", volume.get("readOnly").asBoolean() ? "no: its medium is read-only" : "yes")
                .add("held by", holders(volume));
        host.print(volume, text.toString());
        return 0;
    }

    private static String store(JsonNode store) {
        var type = store.get("type").asText();
        return switch (type) {
            case "file" -> "file " + store.get("path").asText();
            case "memory" -> "memory, limit " + Amounts.bytes(store.get("limit").asLong());
            case "program" -> "one of the program's own, in which the host runs";
            default -> type;
        };
    }

    @Command(
            name = "resize",
            mixinStandardHelpOptions = true,
            description = {
                "Makes a volume larger or smaller, while it is used.",
                "What is new reads as zeroes; what is cut off is lost, and --shrink must say that it may be. Clients see the new size when they connect anew."
            },
            footerHeading = "%nExample:%n",
            footer = "  sidecore volume resize data 16GiB")
    int resize(
            @Parameters(paramLabel = "NAME", description = NAME) String name,
            @Parameters(paramLabel = "SIZE", description = "The new size, such as 16GiB.") String size,
            @Option(names = "--shrink", description = "It may be smaller than now.") boolean shrink,
            @Mixin Connection host) {
        var volume = host.ask(Connection.request("resize-volume")
                .put("name", name)
                .put("size", size)
                .put("shrink", shrink));
        host.print(
                volume,
                "volume " + name + " now has "
                        + Amounts.bytes(volume.get("size").asLong())
                        + (volume.get("declared").asBoolean()
                                ? "; say so in the configuration too: the next start goes by what stands there, and is refused if an image has another size"
                                : ""));
        return 0;
    }

    @Command(
            name = "delete",
            mixinStandardHelpOptions = true,
            description = {
                "Lets a volume go that nobody holds.",
                "What was in memory is lost; an image in a file stays where it is."
            })
    int delete(@Parameters(paramLabel = "NAME", description = NAME) String name, @Mixin Connection host) {
        var done = host.ask(Connection.request("delete-volume").put("name", name));
        host.print(done, "volume " + name + " deleted" + Connection.untilStart(done));
        return 0;
    }

    @Command(
            name = "recover",
            mixinStandardHelpOptions = true,
            description = {
                "After a repair: serves a failed volume again.",
                "Its medium is looked at anew, and must be sound. What was not flushed before the failure may be lost."
            })
    int recover(@Parameters(paramLabel = "NAME", description = NAME) String name, @Mixin Connection host) {
        var volume = host.ask(Connection.request("recover-volume").put("name", name));
        host.print(volume, "volume " + name + " is " + volume.get("state").asText());
        return 0;
    }

    @Command(
            name = "import",
            mixinStandardHelpOptions = true,
            description = {
                "Overwrites a volume with a file.",
                "It then reads as the file, and as zeroes behind the file's end. Nobody else may hold it for writing meanwhile.",
                "Ctrl-C gives up; the volume then holds some of both."
            },
            footerHeading = "%nExample:%n",
            footer = {
                "  sidecore volume create root --size 8GiB",
                "  sidecore volume import root debian.raw",
                "  sidecore export create root"
            })
    int importFile(
            @Parameters(paramLabel = "NAME", description = NAME) String name,
            @Parameters(paramLabel = "FILE", description = "A raw image; the host reads it.") Path file,
            @Mixin Connection host) {
        return copy(
                Connection.request("import-volume").put("name", name).put("file", absolute(file)),
                "imported from " + file,
                host);
    }

    @Command(
            name = "export",
            mixinStandardHelpOptions = true,
            description = {
                "Writes a volume to a file.",
                "The file is sparse where the volume reads as zeroes, and appears when it is complete. Nobody else may",
                "hold the volume for writing meanwhile, unless --live. (To let clients find a volume: sidecore export create.)"
            },
            footerHeading = "%nExample:%n",
            footer = "  sidecore volume export root backup.raw")
    int exportFile(
            @Parameters(paramLabel = "NAME", description = NAME) String name,
            @Parameters(paramLabel = "FILE", description = "A raw image; the host writes it.") Path file,
            @Option(
                            names = "--live",
                            description =
                                    "While others write the volume: parts of the file are older than others then.")
                    boolean live,
            @Option(names = "--force", description = "Replace the file if there is one.") boolean force,
            @Mixin Connection host) {
        var request = Connection.request("export-volume").put("name", name).put("file", absolute(file));
        return copy(request.put("live", live).put("force", force), "exported to " + file, host);
    }

    private static int copy(ObjectNode request, String how, Connection host) {
        var progress = host.json() ? new ProgressLine(host.err(), false) : ProgressLine.onTerminal(host.err());
        try {
            var copied = host.ask(
                    request,
                    item -> progress.at(
                            item.get("done").asLong(), item.get("total").asLong()));
            progress.end();
            var bytes = copied.get("bytes").asLong();
            host.print(
                    copied,
                    "volume %s: %s %s, %s of it data, in %s"
                            .formatted(
                                    copied.get("volume").asText(),
                                    Amounts.bytes(bytes),
                                    how,
                                    Amounts.bytes(copied.get("copied").asLong()),
                                    Amounts.seconds(progress.elapsedSeconds())));
            return 0;
        } finally {
            progress.end();
        }
    }

    private static String absolute(Path file) {
        return file.toAbsolutePath().normalize().toString();
    }
}
