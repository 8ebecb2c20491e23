// Package compose tests real stacks with the real Docker Compose, version 2 and version 5, on an instance of its own:
// build/test-compose.sh builds the clients and names them in ARCA_COMPOSE, a line NAME=PATH for each.
//
// Every test runs once for each client, in a project of its own, which is taken down when it ends.
package compose
