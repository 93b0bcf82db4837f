package io.sidecore.runtime.guest;

import io.sidecore.runtime.Sidecore;
import io.sidecore.runtime.vm.Console;
import io.sidecore.runtime.vm.Messages;
import java.nio.file.Path;

/**
 * Where a guest finds what it needs.
 *
 * @param vm the name of its VM
 * @param folder for its files while it runs; need not be there
 * @param host its host
 * @param console the serial console of its VM
 * @param messages what it and its host say to each other
 */
public record GuestPlace(String vm, Path folder, Sidecore host, Console console, Messages messages) {}
