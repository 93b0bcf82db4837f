/** x. */
package io.sidecore.cluster;
