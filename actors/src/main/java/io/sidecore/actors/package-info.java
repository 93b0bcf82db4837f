/** x. */
package io.sidecore.actors;
