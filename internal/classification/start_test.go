package classification

import (
	"context"
	"io"

	"github.com/spike-by-spike/sbs/internal/cli"
)

// run runs the command with the given arguments and streams.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	return cli.Run(ctx, Command(args), args, stdout, stderr)
}
