// Package repotest holds the rules of the whole repository, as tests: a package tells what it is, components do not
// import each other, no file names a machine.
package repotest
