package classification

import (
	"os"
	"testing"

	"github.com/spike-by-spike/sbs/internal/cli"
)

// commandVariable is the environment variable that makes the test binary run the command
// instead of the tests.
const commandVariable = "SBS_RUN_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(commandVariable) != "" {
		os.Exit(cli.Main(Command))
	}
	os.Exit(m.Run())
}
