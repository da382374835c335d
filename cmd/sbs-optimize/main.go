// Command sbs-optimize finds out how few spikes a network needs.
package main

import (
	"os"

	"github.com/spike-by-spike/sbs/internal/cli"
)

func main() { os.Exit(cli.Main(newCommand)) }
