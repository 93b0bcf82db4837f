/** PL-4: what a host tells those that watch it: metrics, health, flight recordings, logs. */
package io.sidecore.it.metrics;
