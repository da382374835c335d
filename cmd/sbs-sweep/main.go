// Command sbs-sweep measures the accuracy of networks under noise, with different numbers of
// spikes and samplers.
package main

import (
	"os"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/sweep"
)

func main() { os.Exit(cli.Main(sweep.Command)) }
