// Package speccheck compares answers with the Docker Engine API specification, version 1.51, that the module
// github.com/moby/moby/api ships. It is for tests.
//
// An answer may leave out what the schema does not require, and may be null where the schema has an array, an object or
// x-nullable; it may not have a field that the schema does not know, lack a required one, or be of another type.
package speccheck
