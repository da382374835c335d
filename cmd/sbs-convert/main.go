// Command sbs-convert converts a folder of PyTorch-SbS weights to an ONNX model, and back.
package main

import (
	"os"

	"github.com/spike-by-spike/sbs/internal/cli"
)

func main() { os.Exit(cli.Main(newCommand)) }
