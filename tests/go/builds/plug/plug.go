// Command plug is a plugin of host's.
package main

import "earshot.test/builds/serve"

// Report is what host looks up.
func Report() int { return serve.Report() }

func main() {}
