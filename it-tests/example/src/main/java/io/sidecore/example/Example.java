package io.sidecore.example;

import io.sidecore.conf.Settings;
import io.sidecore.runtime.Sidecore;
import java.io.IOException;

/** Serves two disks: one that the settings declare, and one on a medium of the program's own, guarded, until Enter is pressed. */
public final class Example {
    private Example() {}

    public static void main(String[] arguments) throws IOException {
        var settings = Settings.builder()
                .volume("scratch", volume -> volume.size(1 << 30).memory())
                .nbd(nbd -> nbd.listen("unix:example.sock").export("scratch"))
                .build();
        try (var host = Sidecore.start(settings)) {
            host.events().watch(event -> System.out.println(event.kind() + " " + event.name() + " " + event.what()));
            host.storage().create("undo", new UndoMedium(64 << 20));
            host.storage().export("undo", new BootSectorGuard());
            host.uris().forEach(System.out::println);
            System.in.read();
        }
    }
}
