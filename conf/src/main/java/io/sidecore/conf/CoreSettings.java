package io.sidecore.conf;

import java.util.List;

/** {@code sidecore.cores}: which cores of the machine are sidecores, polling for the VIFs that are placed on them. */
public sealed interface CoreSettings {
    /** How many sidecores there are; 0: none. */
    int serviceCount();

    /** So many sidecores; the host chooses which. */
    record Count(int serviceCount) implements CoreSettings {}

    /** These sidecores, by the numbers the operating system gives to cores; distinct, in the order written. */
    record Listed(List<Integer> service) implements CoreSettings {
        public Listed {
            service = List.copyOf(service);
        }

        @Override
        public int serviceCount() {
            return service.size();
        }
    }
}
