/** What the data path costs: counts are asserted, times are printed. The comparison with other servers is {@code it-tests/bench}. */
package io.sidecore.it.performance;
