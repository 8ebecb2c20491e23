module github.com/seccomp/libseccomp-golang

go 1.26

require upstream.invalid/libseccomp-golang v0.12.0
