/**
 * WebAssembly modules as guests inside this process: {@link io.sidecore.runtime.guest.wasm.WasmProgram} for modules made of event handlers, {@link io.sidecore.runtime.guest.wasm.WasiProgram} for programs with a {@code _start}. A guest's linear memory is the memory of its VM,
 * so payloads are served where they lie. What a module can reach is what it imports, and all that it can import stands in {@code SidecoreImports} and {@code WasiImports}: no file, no socket, no thread.
 *
 * <p>Sources: WebAssembly Core Specification 2.0; WASI preview 1; the engine is Endive, compiling to bytecode.
 */
@NullMarked
package io.sidecore.runtime.guest.wasm;

import org.jspecify.annotations.NullMarked;
