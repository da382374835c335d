// Command sbs-serve serves models with the Open Inference Protocol.
package main

import (
	"os"
	"syscall"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/serve"
)

func main() { os.Exit(cli.Main(serve.Command, syscall.SIGHUP)) } // SIGHUP loads the models again
