// Command sbs-run classifies images with an ONNX model.
package main

import (
	"os"

	"github.com/spike-by-spike/sbs/internal/classification"
	"github.com/spike-by-spike/sbs/internal/cli"
)

func main() { os.Exit(cli.Main(classification.Command)) }
