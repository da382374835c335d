//go:build unix

package classification

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/clitest"
)

func TestRun_EndsWithTheCodeOfTheSignal(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	clitest.DefaultSignals(t)
	model := prototypes(t, convert.Options{})
	// More images than a test can wait for: the first batch is printed in less than a
	// second, all of them take minutes.
	args := []string{model, "--spikes", "3000", "--epsilon-schedule", "inverse-sqrt"}
	for range 500 {
		args = append(args, digits)
	}
	for signal, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143, syscall.SIGHUP: 129} {
		t.Run(signal.String(), func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
			cmd.Env = append(os.Environ(), commandVariable+"=1", "SBS_KERNEL=portable")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			stdout, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			lines := bufio.NewScanner(stdout)
			require.True(t, lines.Scan(), "the command prints the first image")
			require.NoError(t, cmd.Process.Signal(signal))
			for lines.Scan() {
				require.False(t, strings.HasPrefix(lines.Text(), "accuracy"), "an interrupted run prints no summary")
			}
			require.Error(t, cmd.Wait())
			require.Equal(t, want, cmd.ProcessState.ExitCode())
			require.Equal(t, "sbs-run: interrupted\n", stderr.String())
		})
	}
}

// TestRun_EndsTheJSONDocumentAfterASignal interrupts a command after its first results.
func TestRun_EndsTheJSONDocumentAfterASignal(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	clitest.DefaultSignals(t)
	args := []string{prototypes(t, convert.Options{}), "--spikes", "3000", "--epsilon-schedule", "inverse-sqrt", "--format", "json"}
	for range 500 {
		args = append(args, digits)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), commandVariable+"=1", "SBS_KERNEL=portable")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	reader := bufio.NewReader(stdout)
	first, err := reader.ReadString('\n')
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	rest, err := io.ReadAll(reader)
	require.NoError(t, err)
	require.Error(t, cmd.Wait())
	require.Equal(t, 130, cmd.ProcessState.ExitCode())
	var document struct {
		Results []jsonResult `json:"results"`
		Summary jsonSummary  `json:"summary"`
	}
	require.NoError(t, json.Unmarshal(append([]byte(first), rest...), &document))
	require.NotEmpty(t, document.Results)
	require.Equal(t, len(document.Results), document.Summary.Images)
	require.Equal(t, "interrupted", document.Summary.Error)
}
