//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/clitest"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/serve"
	"github.com/spike-by-spike/sbs/internal/serve/oip"
)

// commandVariable is the environment variable that makes the test binary run the command
// instead of the tests.
const commandVariable = "SBS_SERVE_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(commandVariable) != "" {
		os.Exit(cli.Main(serve.Command, syscall.SIGHUP))
	}
	os.Exit(m.Run())
}

// process is a server in a process of its own.
type process struct {
	cmd         *exec.Cmd
	http, grpc  string        // addresses
	log         func() string // so far
	logComplete chan struct{}
}

// start starts sbs-serve, and waits until it is ready.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{logComplete: make(chan struct{})}
	args = append([]string{"--listen", "localhost:0", "--grpc-listen", "localhost:0", "--log-format", "json"}, args...)
	p.cmd = exec.CommandContext(t.Context(), os.Args[0], args...)
	p.cmd.Env = append(os.Environ(), commandVariable+"=1")
	stderr, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	var mu sync.Mutex
	var log strings.Builder
	p.log = func() string {
		mu.Lock()
		defer mu.Unlock()
		return log.String()
	}
	ready := make(chan struct{})
	go func() {
		defer close(p.logComplete)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			mu.Lock()
			fmt.Fprintln(&log, lines.Text())
			mu.Unlock()
			var entry struct{ Msg, Protocol, Address string }
			_ = json.Unmarshal(lines.Bytes(), &entry) // a panic is no JSON
			switch {
			case entry.Msg == "listening" && entry.Protocol == "http":
				p.http = entry.Address
			case entry.Msg == "listening":
				p.grpc = entry.Address
			case entry.Msg == "ready":
				close(ready)
			}
		}
	}()
	select {
	case <-ready:
	case <-p.logComplete:
		require.Fail(t, "the server ends", p.log())
	case <-time.After(30 * time.Second):
		require.Fail(t, "the server is not ready", p.log())
	}
	return p
}

// wait waits for the end of the server, and returns its exit code.
func (p *process) wait() int {
	<-p.logComplete
	_ = p.cmd.Wait() // the exit code says more
	return p.cmd.ProcessState.ExitCode()
}

// TestServe_LosesNoRequestAfterSIGTERM ends a server whose clients send requests all the time, over
// connections that they keep. A request may fail only because nobody listens anymore.
func TestServe_LosesNoRequestAfterSIGTERM(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	clitest.DefaultSignals(t)
	path := filepath.Join(t.TempDir(), "digits.onnx")
	n := converttest.Digits()
	require.NoError(t, os.WriteFile(path, modeltest.Write(t, n, convert.Options{}), 0o600))
	p := start(t, path, "--drain", "500ms")
	x := modeltest.Pixels(1, 2, n.Input)
	body, err := json.Marshal(map[string]any{"inputs": []any{map[string]any{"name": "image", "shape": x.Shape(), "datatype": "FP32", "data": x.Float32s()}}})
	require.NoError(t, err)
	var answered, after atomic.Int64
	var ending atomic.Bool
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			c := &http.Client{Transport: &http.Transport{}}
			for {
				late := ending.Load()
				response, err := c.Post("http://"+p.http+"/v2/models/digits/infer", "application/json", bytes.NewReader(body))
				var dial *net.OpError
				if errors.As(err, &dial) && dial.Op == "dial" {
					return // there is no connection
				}
				if err == nil {
					_, err = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
				}
				if err != nil || response.StatusCode != http.StatusOK {
					t.Errorf("a request is lost: %v", err)
					return
				}
				answered.Add(1)
				if late {
					after.Add(1)
				}
			}
		})
		group.Go(func() {
			conn, err := grpc.NewClient(p.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = conn.Close() }()
			client := oip.NewGRPCInferenceServiceClient(conn)
			shape := []int64{2, 1, 12, 12}
			for {
				late := ending.Load()
				_, err := client.ModelInfer(t.Context(), &oip.ModelInferRequest{ModelName: "digits", Inputs: []*oip.ModelInferRequest_InferInputTensor{
					{Name: "image", Datatype: "FP32", Shape: shape, Contents: &oip.InferTensorContents{Fp32Contents: x.Float32s()}},
				}})
				if err != nil {
					if !strings.Contains(err.Error(), "dial tcp") {
						t.Errorf("a call is lost: %v", err)
					}
					return
				}
				answered.Add(1)
				if late {
					after.Add(1)
				}
			}
		})
	}
	require.Eventually(t, func() bool { return answered.Load() > 200 }, 30*time.Second, time.Millisecond)
	ending.Store(true)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	group.Wait()
	require.Zero(t, p.wait(), "%s", p.log())
	require.Positive(t, after.Load(), "requests after the signal")
	require.Contains(t, p.log(), "all requests are answered")
	t.Logf("%d answers, %d of them to requests after SIGTERM", answered.Load(), after.Load())
}

// TestServe_LoadsModelsAgainOnSIGHUP replaces a model.
func TestServe_LoadsModelsAgainOnSIGHUP(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	clitest.DefaultSignals(t)
	path := filepath.Join(t.TempDir(), "digits.onnx")
	n := converttest.Digits()
	require.NoError(t, os.WriteFile(path, modeltest.Write(t, n, convert.Options{}), 0o600))
	p := start(t, path, "--reload-interval", "0")
	describe := func() string {
		response, err := http.Get("http://" + p.http + "/v2/models/digits")
		require.NoError(t, err)
		defer func() { require.NoError(t, response.Body.Close()) }()
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return string(text)
	}
	require.Contains(t, describe(), "L0:40,L2:40")
	n.Layers[0].(*convert.SbS).Spikes = 7
	require.NoError(t, os.WriteFile(path, modeltest.Write(t, n, convert.Options{}), 0o600))
	time.Sleep(50 * time.Millisecond)
	require.Contains(t, describe(), "L0:40,L2:40", "with an interval of 0, only the signal counts")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGHUP))
	require.Eventually(t, func() bool { return strings.Contains(describe(), "L0:7,L2:40") }, 10*time.Second, 5*time.Millisecond)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGINT))
	require.Zero(t, p.wait(), "%s", p.log())
}
