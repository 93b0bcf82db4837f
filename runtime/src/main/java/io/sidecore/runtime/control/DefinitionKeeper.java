package io.sidecore.runtime.control;

import com.typesafe.config.Config;
import io.sidecore.runtime.HostException;

/**
 * Keeps what was created while a host ran, so that it is there again after the next start. {@link Operations} tells it of every definition once it is in force; a definition is the section as it would stand in a file. What a method has returned
 * from survives; where one throws a {@link HostException}, what was kept before is kept still.
 */
public interface DefinitionKeeper {
    /** Forgets everything with the host. */
    DefinitionKeeper NONE = new DefinitionKeeper() {
        @Override
        public void volume(String name, Config section) {}

        @Override
        public void volumeResized(String name, long bytes) {}

        @Override
        public boolean volumeDeleted(String name) {
            return false;
        }

        @Override
        public void export(String name, Config section) {}

        @Override
        public boolean exportDeleted(String name) {
            return false;
        }

        @Override
        public void vm(String name, Config section) {}

        @Override
        public boolean vmDeleted(String name) {
            return false;
        }
    };

    /** A volume was created: {@code sidecore.volumes.NAME}. */
    void volume(String name, Config section);

    /** A volume has another size. Nothing happens if it is one that the configuration declares. */
    void volumeResized(String name, long bytes);

    /** A volume was deleted. Returns whether it was kept. */
    boolean volumeDeleted(String name);

    /** An export was created: an element of {@code sidecore.exports.nbd.volumes}. */
    void export(String name, Config section);

    /** An export was deleted. Returns whether it was kept. */
    boolean exportDeleted(String name);

    /** A VM was created: {@code sidecore.vms.NAME}. */
    void vm(String name, Config section);

    /** A VM was deleted. Returns whether it was kept. */
    boolean vmDeleted(String name);
}
