// Package doctor looks at a machine and says in one sentence each what would keep Arca from working, and the remedy.
package doctor
