// Command arca-network is the program of the helper: it runs the daemons of OVS and OVN, makes gateways and rules in the
// kernel of its network namespace, forwards queries for names, and serves the control API.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "arca-network:", err)
		os.Exit(1)
	}
}
