package runtime_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// onnxruntime runs models with onnxruntime in Node.js. SBS_ONNXRUNTIME is a folder with
// onnxruntime-node in node_modules: make interop installs it and runs the tests.
type onnxruntime struct{ t *testing.T }

func requireOnnxruntime(t *testing.T) onnxruntime {
	t.Helper()
	if os.Getenv("SBS_ONNXRUNTIME") == "" {
		t.Skip("SBS_ONNXRUNTIME is not set: no onnxruntime to compare with (make interop)")
	}
	return onnxruntime{t}
}

// feed is an input of a run and foreign its result: see .ci/onnxruntime.js.
type (
	feed struct {
		Type string `json:"type"`
		Dims []int  `json:"dims"`
		File string `json:"file"`
	}
	foreign struct {
		Version    string
		Error      string
		CPUSeconds float64
		Outputs    []struct {
			Name, Type string
			Dims       []int
		}
		values map[string]*runtime.Tensor
		stderr string // with the warnings of onnxruntime
	}
)

// foreignRun is a model and its inputs.
type foreignRun struct {
	model  []byte
	inputs map[string]*runtime.Tensor
}

// run runs a model repeatedly with the same inputs.
func (o onnxruntime) run(model []byte, inputs map[string]*runtime.Tensor, repeat int) foreign {
	o.t.Helper()
	r := o.runAll([]foreignRun{{model, inputs}}, repeat)[0]
	require.Empty(o.t, r.Error)
	return r
}

// runAll runs models in one process.
func (o onnxruntime) runAll(runs []foreignRun, repeat int) []foreign {
	o.t.Helper()
	root := o.t.TempDir()
	dir := func(i int) string { return filepath.Join(root, fmt.Sprint(i)) }
	jobs := make([]map[string]any, len(runs))
	for i, r := range runs {
		require.NoError(o.t, os.Mkdir(dir(i), 0o700))
		path := filepath.Join(dir(i), "model.onnx")
		require.NoError(o.t, os.WriteFile(path, r.model, 0o600))
		feeds := map[string]feed{}
		for name, v := range r.inputs {
			f := feed{Type: v.DType().String(), Dims: append([]int{}, v.Shape()...), File: filepath.Join(dir(i), fmt.Sprint("input", len(feeds)))}
			require.NoError(o.t, os.WriteFile(f.File, encoded(v), 0o600))
			feeds[name] = f
		}
		jobs[i] = map[string]any{"model": path, "feeds": feeds, "outputs": dir(i), "repeat": repeat}
	}
	job, err := json.Marshal(jobs)
	require.NoError(o.t, err)
	cmd := exec.Command("node", "../.ci/onnxruntime.js")
	cmd.Stdin = bytes.NewReader(job)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(o.t, cmd.Run(), stderr.String())
	var results []foreign
	require.NoError(o.t, json.Unmarshal(stdout.Bytes(), &results), stdout.String())
	require.Len(o.t, results, len(runs))
	warnings := stderr.String()
	for i := range results {
		r := &results[i]
		r.stderr = warnings
		r.values = map[string]*runtime.Tensor{}
		for k, out := range r.Outputs {
			b, err := os.ReadFile(filepath.Join(dir(i), fmt.Sprint(k)))
			require.NoError(o.t, err)
			r.values[out.Name] = o.decode(out.Type, out.Dims, b)
		}
	}
	return results
}

// encoded returns the bytes of a tensor in a file.
func encoded(v *runtime.Tensor) []byte {
	var b []byte
	var err error
	if words, ok := ops.Data[string](v); ok {
		b, err = json.Marshal(words)
	} else {
		b, err = binary.Append(nil, binary.LittleEndian, v.Elements())
	}
	if err != nil {
		panic(err) // all element types have an encoding
	}
	return b
}

// decode returns the tensor whose elements are in a file.
func (o onnxruntime) decode(dtype string, shape []int, data []byte) *runtime.Tensor {
	for d := ops.Float32; d <= ops.BFloat16; d++ {
		if d.String() != dtype {
			continue
		}
		v, err := ops.Zeros(d, shape)
		require.NoError(o.t, err)
		if words, ok := ops.Data[string](v); ok {
			require.NoError(o.t, json.Unmarshal(data, &words))
			return v
		}
		require.NoError(o.t, binary.Read(bytes.NewReader(data), binary.LittleEndian, v.Elements()))
		return v
	}
	require.Fail(o.t, "unknown element type "+dtype)
	return nil
}
