// Package command holds the subcommands of the CLI arca, one file each.
//
// Exit codes: 0 it worked; 1 it did not, and one sentence on stderr says why; 2 the command line is wrong;
// `arca status` alone also has 3: the instance does not run.
package command
