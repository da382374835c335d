// Command sbs-convert turns a folder of PyTorch-SbS weights into an ONNX model, and
// back.
package main

import (
	"os"

	"github.com/spike-by-spike/sbs/internal/cli"
)

func main() { os.Exit(cli.Main(newCommand)) }
