package serve

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/runtime"
)

const proto = "../../third_party/open-inference-protocol"

// TestClients_OfOtherLanguages runs clients in Python and JavaScript. SBS_GRPC_PYTHON is a Python
// with grpcio and protobuf, and SBS_GRPC_JS a folder with node_modules that have @grpc/grpc-js and
// @grpc/proto-loader (make clients).
func TestClients_OfOtherLanguages(t *testing.T) {
	t.Run("python3-grpcio", func(t *testing.T) {
		python := os.Getenv("SBS_GRPC_PYTHON")
		if python == "" {
			t.Skip("SBS_GRPC_PYTHON is not set: no gRPC client in Python (make clients)")
		}
		folder := t.TempDir()
		out, err := exec.CommandContext(t.Context(), "protoc", "-I", proto, "--python_out="+folder, "open_inference_grpc.proto").CombinedOutput()
		require.NoError(t, err, "%s", out)
		checkClient(t, folder, python, "testdata/client.py")
	})
	t.Run("@grpc-grpc-js", func(t *testing.T) {
		modules := os.Getenv("SBS_GRPC_JS")
		if modules == "" {
			t.Skip("SBS_GRPC_JS is not set: no gRPC client in JavaScript (make clients)")
		}
		t.Setenv("NODE_PATH", filepath.Join(modules, "node_modules"))
		checkClient(t, filepath.Join(proto, "open_inference_grpc.proto"), "node", "testdata/client.js")
	})
}

// checkClient runs a client, and compares its answers with runs of the model.
func checkClient(t *testing.T, generated string, command ...string) {
	path, m := digits(t)
	s := begin(t, path)
	x := pixels(1, 6)
	list := make([][]float32, 6)
	for i := range list {
		list[i] = rows(t, x, i, i+1).Float32s()
	}
	text, err := json.Marshal(list)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), command[0], append(command[1:], s.grpc, generated, "digits", string(text))...)
	cmd.Stderr = os.Stderr
	printed, err := cmd.Output()
	require.NoError(t, err)
	var got struct {
		Live, Ready, Model         bool
		Server, Input, Code, Error string
		Answers                    []struct {
			ID     string
			Values []float32
		}
	}
	require.NoError(t, json.Unmarshal(printed, &got), "%s", printed)
	require.True(t, got.Live && got.Ready && got.Model)
	require.Equal(t, []string{"sbs-serve", "image", "NOT_FOUND"}, []string{got.Server, got.Input, got.Code})
	require.Contains(t, got.Error, `there is no model "other"`)
	require.Len(t, got.Answers, 12)
	for i, a := range got.Answers {
		n := i/2 + 1
		require.Equal(t, strconv.Itoa(n), a.ID)
		require.Equal(t, alone(t, m, rows(t, x, 0, n), runtime.Seed(3)), a.Values)
	}
	t.Logf("%v: %d answers", command, len(got.Answers))
}
