//go:build !go1.22

package main

// A pattern that ends in a slash stands for all below it.
const wildcard = ""
