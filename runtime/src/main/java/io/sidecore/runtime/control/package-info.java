/**
 * The management of a running host from outside: {@link io.sidecore.runtime.control.Operations what can be done}, in one place for every way to ask for it, and the control socket, by which the command line asks. The client's side knows neither
 * actors nor logging: it must start fast.
 *
 * <p>The protocol: a client connects, sends one JSON object on one line, and reads JSON objects, one a line, until the host closes the connection.
 *
 * <pre>
 *   → {"do":"resize-volume","name":"data","size":"2 GiB"}
 *   ← {"item":{...}}                        any number: elements of a list, events, how far it is
 *   ← {}                                    now and then where items may be long in coming: the host is still there
 *   ← {"done":{...}}                        it is done; or
 *   ← {"error":"...","mistake":true}        it is not, and why; mistake: what was asked is wrong and would be wrong again
 * </pre>
 *
 * Some operations hear more while they go on: JSON objects on lines as long as a request may be, {@code {"input":"..."}} say. A client that closes its sending side has said everything.
 */
@NullMarked
package io.sidecore.runtime.control;

import org.jspecify.annotations.NullMarked;
