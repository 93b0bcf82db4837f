/** x. */
package io.sidecore.devices;
