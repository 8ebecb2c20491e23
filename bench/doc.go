// Command bench measures Arca beside Debian's dockerd in the same run and writes a table in Markdown: each figure of
// both, their ratio, and the machine's load when it was taken.
//
//	build/bench.sh [-only TEXT] [-bytes N] [-many N] [-o FILE]
package main
