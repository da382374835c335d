package main

import (
	"bytes"
	"encoding/json"
	"image"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/classify"
)

// nodeVariable is the environment variable with the path of node. The tests that compile the
// program, which takes a minute, are skipped without it: make wasm sets it.
const nodeVariable = "SBS_NODE"

// node returns the path of node.
func node(t *testing.T) string {
	t.Helper()
	path := os.Getenv(nodeVariable)
	if path == "" {
		t.Skip(nodeVariable + " is not set: make wasm runs this test")
	}
	return path
}

type result struct {
	Error         string
	Class, Stage  int
	Probabilities []float32
	Updates       int64
}

// TestApp_ReturnsTheNativeResults compares every number with that of package classify on this processor.
func TestApp_ReturnsTheNativeResults(t *testing.T) {
	node := node(t)
	t.Chdir("../..")
	program, support, err := compile(t.Context())
	require.NoError(t, err)
	folder := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, data, 0o600))
		return path
	}
	const model = "models/mnist-fast/model.onnx"
	pictures, err := filepath.Glob("models/mnist/images/*/*.png")
	require.NoError(t, err)
	require.Len(t, pictures, 30)
	args := append([]string{"examples/wasm/testdata/classify.mjs", write("wasm_exec.js", support), write("app.wasm", program), model}, pictures...)
	out, err := exec.CommandContext(t.Context(), node, append(args, write("no-picture.png", []byte("text")))...).Output() //nolint:gosec // node
	require.NoError(t, err, "%s", out)
	var got struct {
		Early, Wrong result
		Opened       struct {
			Classes       []string
			Width, Height int
		}
		Results []result
	}
	require.NoError(t, json.Unmarshal(out, &got))

	require.Equal(t, "No model is open: call sbs.open first.", got.Early.Error)
	require.Equal(t, "The argument must be a Uint8Array.", got.Wrong.Error)
	c, err := classify.Open(model, classify.Resize())
	require.NoError(t, err)
	defer c.Close()
	require.Equal(t, c.Classes(), got.Opened.Classes)
	require.Equal(t, []int{28, 28}, []int{got.Opened.Width, got.Opened.Height})
	require.Len(t, got.Results, 31)
	for i, path := range pictures {
		data, err := os.ReadFile(path) //nolint:gosec // a picture of this repository
		require.NoError(t, err)
		img, _, err := image.Decode(bytes.NewReader(data))
		require.NoError(t, err)
		want, err := c.Images(t.Context(), img)
		require.NoError(t, err)
		require.Equal(t, result{Class: want[0].Class, Stage: want[0].Stage, Probabilities: want[0].Probabilities, Updates: want[0].Updates}, got.Results[i], path)
	}
	require.NotEmpty(t, got.Results[30].Error)
}

func TestRun_WritesAPageThatNeedsNoOtherFile(t *testing.T) {
	node(t)
	t.Chdir("../..")
	path := filepath.Join(t.TempDir(), "page.html")
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{path}, &out))
	require.Contains(t, out.String(), path+": ")
	page, err := os.ReadFile(path) //nolint:gosec // written by the test
	require.NoError(t, err)
	text := string(page)
	require.Equal(t, 30, strings.Count(text, "<img src=\"data:image/png;base64,"))
	require.NotContains(t, text, "src=\"http")
	require.NotContains(t, text, "href=")
	require.Contains(t, text, "DecompressionStream")
	require.Contains(t, text, "Model: model.onnx.")
}

func TestRun_ReportsWhatIsMissing(t *testing.T) {
	var out bytes.Buffer
	require.ErrorContains(t, run(t.Context(), nil, &out), "the first argument must be the file to write, such as page.html")
	require.ErrorContains(t, run(t.Context(), []string{"model.onnx"}, &out), `not "model.onnx"`)
	require.ErrorIs(t, run(t.Context(), []string{"page.html", "missing.onnx"}, &out), os.ErrNotExist)
	require.ErrorIs(t, run(t.Context(), []string{"page.html", "main.go", "missing"}, &out), os.ErrNotExist)
	require.NoFileExists(t, "page.html")
}
