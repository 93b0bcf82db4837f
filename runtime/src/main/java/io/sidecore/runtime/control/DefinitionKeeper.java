package io.sidecore.runtime.control;

import com.typesafe.config.Config;

/**
 * Keeps what was created while a host ran, so that it is there again after the next start. {@link Operations} tells it of every definition once it is in force; a definition is the section as it would stand in a file.
 */
public interface DefinitionKeeper {
    /** Forgets everything with the host. */
    DefinitionKeeper NONE = new DefinitionKeeper() {
        @Override
        public void volume(String name, Config section) {}

        @Override
        public void volumeResized(String name, long bytes) {}

        @Override
        public void volumeDeleted(String name) {}

        @Override
        public void export(String name, Config section) {}

        @Override
        public void exportDeleted(String name) {}
    };

    /** A volume was created: {@code sidecore.volumes.NAME}. */
    void volume(String name, Config section);

    /** A volume has another size. */
    void volumeResized(String name, long bytes);

    /** A volume was deleted. */
    void volumeDeleted(String name);

    /** An export was created: an element of {@code sidecore.exports.nbd.volumes}. */
    void export(String name, Config section);

    /** An export was deleted. */
    void exportDeleted(String name);
}
