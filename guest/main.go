// Command arca-guest is the first process of a sandbox and the agent of its host.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "arca-guest:", err)
		os.Exit(1)
	}
}
