package training

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/clitest"
	"github.com/spike-by-spike/sbs/internal/trainlog"
)

// environment is the variable that makes the test program behave as the command.
const environment = "SBS_TRAIN_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(environment) != "" {
		os.Exit(cli.Main(Command))
	}
	os.Exit(m.Run())
}

// process is the command in a separate process.
type process struct {
	*exec.Cmd
	stderr bytes.Buffer
	ended  chan struct{}
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0], args...), ended: make(chan struct{})}
	p.Env = append(os.Environ(), environment+"=1")
	p.Stderr = &p.stderr
	require.NoError(t, p.Start())
	go func() {
		defer close(p.ended)
		_ = p.Wait() // the tests look at the exit code
	}()
	return p
}

// interrupt sends a signal after some more updates. It reports whether the training was
// still in progress.
func (p *process) interrupt(t *testing.T, log string, s os.Signal) bool {
	t.Helper()
	before := len(recordsIn(log))
	for len(recordsIn(log)) <= before+20 {
		select {
		case <-p.ended:
			require.Zero(t, p.ProcessState.ExitCode(), p.stderr.String())
			return false
		case <-time.After(time.Millisecond):
		}
	}
	require.NoError(t, p.Process.Signal(s))
	<-p.ended
	return true
}

func recordsIn(log string) []trainlog.Record {
	r, err := trainlog.ReadMetrics(filepath.Join(log, "metrics.jsonl"))
	if err != nil {
		return nil // the training has not started
	}
	return r
}

// TestResume_AfterASignal checks the exit codes of interrupted trainings, and that the
// command that they print resumes them with the result of an uninterrupted training.
func TestResume_AfterASignal(t *testing.T) {
	clitest.DefaultSignals(t)
	data, path := bars(t, 480, 24), model(t, convert.Options{})
	dir := t.TempDir()
	args := func(out string) []string {
		return []string{path, "--data", data, "-o", filepath.Join(dir, out+".onnx"), "--epochs", "20", "--lr", "0.05", "--batches-per-update", "3"}
	}
	must(t, append(args("whole"), "--quiet")...)
	want := read(t, filepath.Join(dir, "whole.onnx"))
	same := func(t *testing.T, out string) {
		t.Helper()
		require.Equal(t, want, read(t, filepath.Join(dir, out+".onnx")))
		sameTraining(t, filepath.Join(dir, "whole-log"), filepath.Join(dir, out+"-log"))
	}

	t.Run("kill", func(t *testing.T) {
		killed, a, log := 0, args("kill"), filepath.Join(dir, "kill-log")
		for range 3 {
			if !start(t, a...).interrupt(t, log, os.Kill) {
				break
			}
			killed++
			require.NoFileExists(t, filepath.Join(log, "curves.png"), "the training must not be complete")
			a = append(args("kill"), "--resume")
		}
		require.Positive(t, killed)
		must(t, append(args("kill"), "--resume", "--quiet")...)
		same(t, "kill")
	})
	t.Run("kill at the start", func(t *testing.T) {
		a := append(args("early"), "--resume") // from the first start on
		for n := range 8 {
			p := start(t, a...)
			time.Sleep(time.Duration(8*n) * time.Millisecond)
			_ = p.Process.Kill() // the training may have ended
			<-p.ended
		}
		must(t, append(a, "--quiet")...)
		same(t, "early")
	})
	t.Run("hang up without a reader", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("a process cannot send this signal on Windows")
		}
		read, write, err := os.Pipe()
		require.NoError(t, err)
		p := &process{Cmd: exec.Command(os.Args[0], args("unread")...), ended: make(chan struct{})}
		p.Env = append(os.Environ(), environment+"=1")
		p.Stdout, p.Stderr = write, write
		require.NoError(t, p.Start())
		require.NoError(t, write.Close())
		require.NoError(t, read.Close()) // as if a program such as tee had ended
		go func() {
			defer close(p.ended)
			_ = p.Wait() // the test looks at the exit code
		}()
		log := filepath.Join(dir, "unread-log")
		require.True(t, p.interrupt(t, log, syscall.SIGHUP), "the training must be in progress")
		require.Equal(t, 129, p.ProcessState.ExitCode())
		c, err := readCheckpoint(filepath.Join(log, "checkpoint"))
		require.NoError(t, err)
		records := recordsIn(log)
		require.EqualValues(t, records[len(records)-1].Update, c.Position.SubBatches/3, "the last update must be saved")
		must(t, append(args("unread"), "--resume", "--quiet")...)
		same(t, "unread")
	})
	for name, s := range map[string]syscall.Signal{"interrupt": syscall.SIGINT, "terminate": syscall.SIGTERM, "hang up": syscall.SIGHUP} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS == "windows" {
				t.Skip("a process cannot send this signal on Windows")
			}
			out := strings.ReplaceAll(name, " ", "-")
			p := start(t, args(out)...)
			require.True(t, p.interrupt(t, filepath.Join(dir, out+"-log"), s), "the training must be in progress")
			require.Equal(t, 128+int(s), p.ProcessState.ExitCode(), p.stderr.String())
			before, after, found := strings.Cut(p.stderr.String(), "to resume, run\n  sbs-train ")
			require.True(t, found, before)
			line, after, _ := strings.Cut(after, "\n")
			require.Equal(t, "sbs-train: interrupted\n", after)
			must(t, strings.Fields(line)...)
			same(t, out)
		})
	}
}

// parse returns the flags of a command line.
func parse(t *testing.T, args ...string) *flags {
	t.Helper()
	var f flags
	s := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.register(s)
	require.NoError(t, s.Parse(args))
	require.Len(t, s.Args(), 1)
	f.path = s.Arg(0)
	return &f
}

// TestResumeCommand_HasTheSameFlags checks that a shell reads the printed command as the
// flags of the interrupted one, with --resume instead of --force.
func TestResumeCommand_HasTheSameFlags(t *testing.T) {
	require.Equal(t, "sbs-train 'a b' --data 'it'\\''s' --output '' --resume",
		parse(t, "a b", "-o", "", "--resume=true", "--force", "--data", "it's").resumeCommand())
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no shell")
	}
	for _, args := range [][]string{
		{"model.onnx", "--data", "a", "--data", "b c,d", "--freeze", "L0,L2", "--no-test", "--resize=false", "--force=true"},
		{"--lr=1e-05", "--epochs", "2", "--spikes", "40", "--epsilon-0", "3", "--data", "--force", "--", "-model.onnx"},
		{"$HOME/`x`\\\"*~;&|<>()\n\t#!.onnx", "-o", "--resume", "--test", "é%^{}[]?", "--seed", "18446744073709551615"},
	} {
		f := parse(t, args...)
		line, ok := strings.CutPrefix(f.resumeCommand(), "sbs-train ")
		require.True(t, ok)
		printed, err := exec.Command(sh, "-c", `printf '%s\0' `+line).Output()
		require.NoError(t, err)
		got := parse(t, strings.Split(strings.TrimSuffix(string(printed), "\x00"), "\x00")...)
		require.Equal(t, strings.TrimPrefix(f.path, "-"), strings.TrimPrefix(got.path, "./-"))
		require.True(t, got.resume)
		require.False(t, got.force)
		values := func(f *flags) map[string]string {
			v := map[string]string{}
			f.set.Visit(func(flag *pflag.Flag) {
				if flag.Name != "force" && flag.Name != "resume" {
					v[flag.Name] = flag.Value.String()
				}
			})
			return v
		}
		require.Equal(t, values(f), values(got))
	}
}

// TestHelp_NamesPlaceholders checks that the help shows neither types nor zero values of
// the program.
func TestHelp_NamesPlaceholders(t *testing.T) {
	out, _ := must(t, "--help")
	require.Contains(t, out, "sbs-train model.onnx --data MNIST/")
	require.Contains(t, out, "-o, --output path ")
	for _, line := range strings.Split(out, "\n") {
		for _, internal := range []string{" uint ", " int ", " float ", " strings ", " stringArray ", "(default 0)", "(default -1)", "(default [])"} {
			require.NotContains(t, line, internal)
		}
	}
}
