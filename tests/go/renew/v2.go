//go:build v2

package main

import "strings"

const version = 2

//go:noinline
func pad(s string) string {
	if len(s) > 1000 {
		return strings.ToUpper(s[:10]) + s[20:30] + s[40:50] + strings.ToLower(s[60:70]) + s[80:90] + s[91:95] + s[96:99]
	}
	return ""
}
