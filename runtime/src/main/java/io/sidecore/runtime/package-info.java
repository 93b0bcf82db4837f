/** x. */
package io.sidecore.runtime;
