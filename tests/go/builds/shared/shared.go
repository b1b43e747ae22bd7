// Command shared is a library for other languages.
package main

import "C"

import "earshot.test/builds/serve"

//export Report
func Report() C.int { return C.int(serve.Report()) }

func main() {}
