// Command sbs-train trains Spike-By-Spike networks: it fine-tunes a model, or trains a
// new network from a PyTorch-SbS configuration.
package main

import (
	"os"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/training"
)

func main() { os.Exit(cli.Main(training.Command)) }
