//go:build unix

package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/clitest"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/sweep"
)

// commandVariable is the environment variable that makes the test binary run the command
// instead of the tests.
const commandVariable = "SBS_SWEEP_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(commandVariable) != "" {
		os.Exit(cli.Main(sweep.Command))
	}
	os.Exit(m.Run())
}

// TestSweep_LosesAtMostTheRowAtWork ends a sweep with several signals, each time after two more rows,
// and compares the result with that of a sweep that was not interrupted.
func TestSweep_LosesAtMostTheRowAtWork(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	clitest.DefaultSignals(t)
	t.Chdir(t.TempDir())
	data, err := convert.ToONNX(converttest.Digits(), convert.Options{})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile("sbs.onnx", data, 0o600))
	require.NoError(t, os.Mkdir("bars", 0o755))
	clitest.Bars(t, "bars", 0, 100)
	start := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"sbs.onnx", "--data", "bars", "--noise", "gaussian=0:0.4:0.2", "--spikes", "1000",
			"--epsilon-schedule", "inverse-sqrt", "--seeds", "4", "--workers", "1"}, args...)...)
		cmd.Env = append(os.Environ(), commandVariable+"=1", "SBS_KERNEL=portable")
		return cmd
	}
	require.NoError(t, start("-o", "whole", "--quiet").Run())

	rows := func() int {
		content, err := os.ReadFile("out/results.jsonl")
		if err != nil {
			return 0
		}
		return bytes.Count(content, []byte("\n"))
	}
	before := 0
	for _, c := range []struct {
		signal syscall.Signal
		code   int
	}{{syscall.SIGINT, 130}, {syscall.SIGKILL, -1}, {syscall.SIGTERM, 143}, {syscall.SIGKILL, -1}} {
		cmd := start("-o", "out", "--resume")
		stderr, err := cmd.StderrPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(stderr)
		for lines.Scan() && !strings.Contains(lines.Text(), "12 rows") {
		}
		for rows() < before+2 {
			time.Sleep(time.Millisecond)
		}
		require.NoError(t, cmd.Process.Signal(c.signal))
		var rest []string
		for lines.Scan() {
			rest = append(rest, lines.Text())
		}
		require.Error(t, cmd.Wait())
		require.Equal(t, c.code, cmd.ProcessState.ExitCode())
		if c.signal != syscall.SIGKILL {
			require.Regexp(t, `^to resume, run\n  sbs-sweep sbs.onnx --data bars .* --resume\nsbs-sweep: interrupted$`, strings.Join(rest, "\n"))
		}
		require.GreaterOrEqual(t, rows(), before+2)
		require.Less(t, rows(), 12)
		before = rows()
	}
	require.NoError(t, start("-o", "out", "--resume", "--quiet").Run())
	for _, name := range []string{"results.csv", "results.jsonl", "sweep.json", "chart-noise-gaussian.png"} {
		want, err := os.ReadFile(filepath.Join("whole", name))
		require.NoError(t, err)
		have, err := os.ReadFile(filepath.Join("out", name))
		require.NoError(t, err)
		require.Equal(t, string(want), string(have), name)
	}
}
