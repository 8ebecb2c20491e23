// Package testcontainers runs the tests of testdata/client, which use testcontainers-go and are a module of their own, against
// an instance of its own: build/test-testcontainers.sh builds them and names the program in ARCA_TESTCONTAINERS.
package testcontainers
