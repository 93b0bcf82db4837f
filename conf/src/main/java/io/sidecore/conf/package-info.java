/** x. */
package io.sidecore.conf;
