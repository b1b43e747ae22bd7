// Command caddyd is Caddy as its authors release it, built with DWARF: a large
// program that others wrote, with symbols.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func main() { caddycmd.Main() }
