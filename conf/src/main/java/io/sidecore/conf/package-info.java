/**
 * What a user says about a host: HOCON ({@code reference.conf} holds every key), and the same as immutable typed records.
 *
 * <p>The package exists so that no other code sees a configuration key: a host is started from {@link io.sidecore.conf.Settings}, read
 * once, complete and checked. All mistakes of a file are found together, each with file, line, key, what was expected and the nearest
 * valid word ({@link io.sidecore.conf.SettingsException}).
 *
 * <p>A key is declared by the code that reads it ({@code SettingsReader}), and there only: that is how unknown keys are known. The package
 * may use Typesafe Config and nothing else.
 */
@NullMarked
package io.sidecore.conf;

import org.jspecify.annotations.NullMarked;
