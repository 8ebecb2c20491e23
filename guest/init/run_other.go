//go:build !linux

package main

func run() { println("arca-init runs on Linux alone") }
