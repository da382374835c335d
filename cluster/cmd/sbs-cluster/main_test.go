package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/cluster/engine"
	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/classification"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/clitest"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/sweep"
)

// commandVariable is the environment variable that makes the test binary run the command
// instead of the tests.
const commandVariable = "SBS_CLUSTER_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(commandVariable) != "" {
		os.Exit(cli.Main(newCommand))
	}
	os.Exit(m.Run())
}

// call runs a command in this process and returns what it prints.
func call(t *testing.T, command func([]string) *cobra.Command, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errOut bytes.Buffer
	err = cli.Run(t.Context(), command(args), args, &out, &errOut)
	return out.String(), errOut.String(), err
}

// process returns a process that runs the command.
func process(t *testing.T, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), commandVariable+"=1", "SBS_KERNEL=portable")
	stderr := &bytes.Buffer{}
	cmd.Stderr = stderr
	t.Cleanup(func() {
		if cmd.Process != nil && cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return cmd, stderr
}

// startWorkers starts worker processes.
func startWorkers(t *testing.T, url string, n int, flags ...string) []*exec.Cmd {
	t.Helper()
	workers := make([]*exec.Cmd, n)
	for i := range workers {
		workers[i], _ = process(t, slices.Concat([]string{"worker", "--nats", url, "--workers", "1"}, flags)...)
		require.NoError(t, workers[i].Start())
	}
	return workers
}

// startServer starts a NATS server in this process. change changes its options.
func startServer(t *testing.T, change func(*server.Options)) (*server.Server, string) {
	t.Helper()
	o := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true}
	if change != nil {
		change(o)
	}
	s, err := server.NewServer(o)
	require.NoError(t, err)
	go s.Start()
	require.True(t, s.ReadyForConnections(10*time.Second))
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s, s.ClientURL()
}

// connected connects to a server.
func connected(t *testing.T, url string) *engine.Engine {
	t.Helper()
	e, err := engine.Connect(t.Context(), engine.Options{URL: url})
	require.NoError(t, err)
	t.Cleanup(e.Close)
	return e
}

// waitForResults waits until the only job on the server has some results, and returns its ID.
func waitForResults(t *testing.T, e *engine.Engine, n uint64) (id string) {
	t.Helper()
	require.Eventually(t, func() bool {
		list, err := e.Jobs(t.Context())
		require.NoError(t, err)
		if len(list) != 1 {
			return false
		}
		id = list[0].ID
		return list[0].Results >= n
	}, 20*time.Second, 5*time.Millisecond)
	return id
}

// withoutTime removes the time from an output.
func withoutTime(out string) string {
	return regexp.MustCompile(`in [0-9.]+ s, [0-9]+ images/s|"seconds":[0-9.e-]+`).ReplaceAllString(out, "TIME")
}

// images writes a model and images to a new folder, which becomes the working directory: n images in
// an array with labels (bars), and as many pictures in class folders, of which one is broken (paper).
func images(t *testing.T, n int) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir()) // for processes that are killed
	t.Chdir(t.TempDir())
	data, err := convert.ToONNX(converttest.Digits(), convert.Options{})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile("sbs.onnx", data, 0o600))
	require.NoError(t, os.Mkdir("bars", 0o755))
	clitest.Bars(t, "bars", 0, n)
	clitest.Paper(t, "paper", n)
	require.NoError(t, os.WriteFile("paper/0/broken.png", []byte("\x89PNG\r\n\x1a\n0000"), 0o600))
}

// slow are the arguments of a run of images that takes some seconds in 40 shards.
func slow(t *testing.T) []string {
	t.Helper()
	images(t, 400)
	return []string{"sbs.onnx", "bars", "--spikes", "2000", "--epsilon-schedule", "inverse-sqrt", "--format", "csv"}
}

func TestRun_HasTheOutputOfSbsRun(t *testing.T) {
	t.Setenv(commandVariable, "1") // for local workers
	images(t, 90)
	_, url := startServer(t, nil)
	startWorkers(t, url, 2)
	for name, args := range map[string][]string{
		"array":    {"sbs.onnx", "bars", "--noise", "gaussian=0.3", "--seed", "5"},
		"pictures": {"sbs.onnx", "./paper/", "--limit", "50", "--format", "csv"},
		"dot":      {"sbs.onnx", ".", "--format", "csv"},
		"files":    {"sbs.onnx", "paper/1", "bars/TestPatternStorage.npy", "--format", "json"},
		"broken":   {"sbs.onnx", "paper", "--format", "json"},
		"quiet":    {"./sbs.onnx", "bars", "--quiet", "--top", "2"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "dot" {
				t.Chdir("paper")
				args = append([]string{"../sbs.onnx"}, args[1:]...)
			}
			want, _, wantErr := call(t, classification.Command, args...)
			for _, flags := range [][]string{{"--local-workers", "1"}, {"--local-workers", "2", "--shards", "7"}, {"--local-workers", "4"}, {"--nats", url}, {"--nats", url, "--shared", "--shards", "100"}} {
				if name != "array" && flags[0] == "--local-workers" && flags[1] != "2" {
					continue
				}
				got, stderr, err := call(t, newCommand, slices.Concat([]string{"run"}, args, flags)...)
				require.Equal(t, withoutTime(want), withoutTime(got), "%v %v\n%s", flags, err, stderr)
				if wantErr == nil {
					require.NoError(t, err)
				} else { // a broken image
					require.EqualError(t, err, wantErr.Error())
				}
			}
		})
	}
	list, err := connected(t, url).Jobs(t.Context())
	require.NoError(t, err)
	require.Empty(t, list, "jobs are removed at their end")
}

func TestSweep_HasTheResultsOfSbsSweep(t *testing.T) {
	t.Setenv(commandVariable, "1")
	images(t, 60)
	args := []string{"sbs.onnx", "--data", "bars", "--noise", "gaussian=0:0.4:0.2", "--noise", "contrast=0.5", "--spikes", "5,20", "--seeds", "2", "--epsilon-schedule", "auto"}
	_, _, err := call(t, sweep.Command, append(args, "-o", "want")...)
	require.NoError(t, err)
	_, url := startServer(t, nil)
	startWorkers(t, url, 1)
	for i, flags := range [][]string{{"--local-workers", "1"}, {"--local-workers", "2", "--shards", "3"}, {"--local-workers", "4"}, {"--nats", url}} {
		out := fmt.Sprint("got", i)
		stdout, stderr, err := call(t, newCommand, slices.Concat([]string{"sweep"}, args, flags, []string{"-o", out})...)
		require.NoError(t, err, stderr)
		require.Contains(t, stdout, "wrote "+filepath.Join(out, "results.csv"))
		for _, name := range []string{"results.csv", "results.jsonl", "chart-noise-gaussian.svg"} {
			require.Equal(t, read(t, "want", name), read(t, out, name))
		}
	}
	_, _, err = call(t, newCommand, slices.Concat([]string{"sweep"}, args, []string{"-o", "want"})...)
	require.ErrorContains(t, err, "want already has the results of a sweep")
	_, _, err = call(t, newCommand, slices.Concat([]string{"sweep"}, args, []string{"-o", "more", "--shards", "1000"})...)
	require.ErrorContains(t, err, "--shards 1000: the sweep has only")
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	return string(data)
}

// restartable starts a server, and returns what starts it again at the same address.
func restartable(t *testing.T) (s *server.Server, fixed func(*server.Options), url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := listener.Addr().(*net.TCPAddr).Port
	require.NoError(t, listener.Close())
	store := t.TempDir()
	fixed = func(o *server.Options) { o.Port, o.StoreDir = port, store }
	s, url = startServer(t, fixed)
	return s, fixed, url
}

func TestServer_MayRestart(t *testing.T) {
	args := slow(t)
	want, _, err := call(t, classification.Command, args...)
	require.NoError(t, err)
	s, fixed, url := restartable(t)
	startWorkers(t, url, 2, "--lost-after", "2s")
	cmd, stderr := process(t, slices.Concat([]string{"run", "--nats", url, "--shards", "40", "-o", "out.csv"}, args)...)
	require.NoError(t, cmd.Start())
	waitForResults(t, connected(t, url), 10)
	s.Shutdown()
	s.WaitForShutdown()
	time.Sleep(300 * time.Millisecond)
	startServer(t, fixed)
	require.NoError(t, cmd.Wait(), stderr)
	require.Equal(t, want, read(t, "out.csv"))
}

func TestJobs_ListsAndRemovesThem(t *testing.T) {
	args := slow(t)
	_, url := startServer(t, nil)
	out, _, err := call(t, newCommand, "jobs", "--nats", url)
	require.NoError(t, err)
	require.Equal(t, "there are no jobs\n", out)
	cmd, stderr := process(t, slices.Concat([]string{"run", "--nats", url, "--shards", "40", "-o", "out.csv"}, args)...)
	require.NoError(t, cmd.Start())
	id := waitForResults(t, connected(t, url), 0)
	require.Eventually(t, func() bool {
		out, _, err = call(t, newCommand, "jobs", "--nats", url)
		require.NoError(t, err)
		return strings.Contains(out, "  40  ")
	}, 10*time.Second, 10*time.Millisecond)
	require.Contains(t, out, id)
	_, _, err = call(t, newCommand, "jobs", "--nats", url, "--remove", "x")
	require.ErrorContains(t, err, "there is no job x")
	out, _, err = call(t, newCommand, "jobs", "--nats", url, "--remove", id)
	require.NoError(t, err)
	require.Equal(t, "removed 1 jobs\n", out)
	require.Error(t, cmd.Wait())
	require.Contains(t, stderr.String(), "the job "+id+" is not on the server any more")
}

func TestWaits_CountsCores(t *testing.T) {
	require.Equal(t, "worker a with 1 core waits for jobs", waits("a", 1))
	require.Equal(t, "worker a with 2 cores waits for jobs", waits("a", 2))
}
