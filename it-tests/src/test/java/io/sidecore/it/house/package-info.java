/** The rules of the house, kept by the build: which module may know which, what a class may be called, what a package must say of itself. */
package io.sidecore.it.house;
