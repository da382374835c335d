// Command sbs-train trains Spike-By-Spike networks: new ones from a configuration of
// PyTorch-SbS, or models that exist.
package main

import (
	"os"

	"github.com/spike-by-spike/sbs/internal/cli"
)

func main() { os.Exit(cli.Main(newCommand)) }
