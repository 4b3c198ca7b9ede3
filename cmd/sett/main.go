// Command sett runs a node and talks to one.
package main

import "os"

func main() { os.Exit(0) }
