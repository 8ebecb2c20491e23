// Command arca-init is the first process of a container that asked for an init: it starts its arguments, passes
// signals on, reaps orphans, and exits as its child does.
package main

func main() { run() }
