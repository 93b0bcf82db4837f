package io.sidecore.conf;

import java.util.List;

/** Some cores of the machine. */
public sealed interface CoreChoice {
    /** How many there are; 0: none. */
    int count();

    /** So many; the host chooses which. */
    record Count(int count) implements CoreChoice {}

    /** These, by the numbers the operating system gives to cores; distinct, in the order written. */
    record Listed(List<Integer> cores) implements CoreChoice {
        public Listed {
            cores = List.copyOf(cores);
        }

        @Override
        public int count() {
            return cores.size();
        }
    }
}
