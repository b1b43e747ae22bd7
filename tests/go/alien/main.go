// Command alien is built for processors Earshot does not know.
package main

func main() { println("alien") }
