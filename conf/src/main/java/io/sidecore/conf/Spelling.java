package io.sidecore.conf;

import java.util.Collection;
import java.util.Comparator;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;

/** Finds the word that was probably meant. */
public final class Spelling {
    private Spelling() {}

    /** A clause for the end of a message: the nearest valid word, or all of them when none is near. */
    public static String hint(String word, Collection<String> valid) {
        return nearest(word, valid)
                .map(nearest -> "; did you mean \"" + nearest + "\"?")
                .orElseGet(() -> "; " + (valid.isEmpty() ? "there are none at all" : "known here: " + list(valid)));
    }

    /** The valid word that is nearest, if one is near. */
    public static Optional<String> nearest(String word, Collection<String> valid) {
        return valid.stream()
                .filter(candidate -> near(word, candidate))
                .min(Comparator.comparingInt((String candidate) -> distance(word, candidate))
                        .thenComparing(Comparator.naturalOrder()));
    }

    static String list(Collection<String> words) {
        return words.stream().sorted().collect(Collectors.joining(", "));
    }

    /** A third of the letters may differ, and one in a short word, but never all of them. */
    private static boolean near(String word, String candidate) {
        int length = Math.max(word.length(), candidate.length());
        int distance = distance(word, candidate);
        return distance < length && distance <= Math.max(1, length / 3);
    }

    /** Damerau-Levenshtein distance, case ignored: insertions, deletions, replacements and swaps of neighbours. */
    static int distance(String one, String other) {
        String a = one.toLowerCase(Locale.ROOT);
        String b = other.toLowerCase(Locale.ROOT);
        int[][] cost = new int[a.length() + 1][b.length() + 1];
        for (int i = 0; i <= a.length(); i++) {
            for (int j = 0; j <= b.length(); j++) {
                cost[i][j] = i == 0 ? j : j == 0 ? i : cheapest(cost, a, b, i, j);
            }
        }
        return cost[a.length()][b.length()];
    }

    private static int cheapest(int[][] cost, String a, String b, int i, int j) {
        boolean same = a.charAt(i - 1) == b.charAt(j - 1);
        int least = Math.min(cost[i - 1][j - 1] + (same ? 0 : 1), 1 + Math.min(cost[i - 1][j], cost[i][j - 1]));
        boolean swapped = i > 1 && j > 1 && a.charAt(i - 1) == b.charAt(j - 2) && a.charAt(i - 2) == b.charAt(j - 1);
        return swapped ? Math.min(least, cost[i - 2][j - 2] + 1) : least;
    }
}
