// The Go programs under observation. The go line is replaced by the build
// (tests/lib/build.sh) with the version of each toolchain, since it selects
// the defaults of net/http (GODEBUG httpmuxgo121 and others).
module earshot.test

go 1.19

require golang.org/x/net v0.35.0

require golang.org/x/text v0.22.0 // indirect
