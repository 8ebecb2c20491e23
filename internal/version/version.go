package version

// Version is set by the linker (build/build.sh).
var Version = "dev"
