package cli

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/spf13/cobra"
)

// commandVariable is the environment variable that makes the test binary run testCommand
// instead of the tests.
const commandVariable = "SBS_CLI_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(commandVariable) != "" {
		os.Exit(Main(testCommand))
	}
	os.Exit(m.Run())
}

// testCommand returns a command that does what its argument says.
func testCommand([]string) *cobra.Command {
	var n OptionalInt
	cmd := &cobra.Command{
		Use:  "test ACTION",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch args[0] {
			case "fail":
				return errors.New("runtime: it failed")
			case "succeed":
				return nil
			case "wait": // until a signal comes
				fmt.Fprintln(cmd.OutOrStdout(), "ready")
				<-cmd.Context().Done()
				return fmt.Errorf("%w: nothing was written", ErrInterrupted)
			case "hang": // and do not react to signals
				fmt.Fprintln(cmd.OutOrStdout(), "ready")
				<-cmd.Context().Done()
				fmt.Fprintln(cmd.OutOrStdout(), "canceled")
				select {}
			}
			return Usage(fmt.Errorf("unknown action %q", args[0]))
		},
	}
	IntVar(cmd.Flags(), &n, "number", 1, "a `number`")
	return cmd
}
