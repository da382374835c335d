package tensors

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/npy"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// run runs a model with flags. The flags of sbs-run are not all here: Settings has the others.
func run(t *testing.T, model string, s Settings, args ...string) (string, error) {
	t.Helper()
	var f Flags
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.Register(set)
	require.NoError(t, set.Parse(args))
	if err := f.Check(set); err != nil {
		return "", err
	}
	var out, warnings bytes.Buffer
	err := f.Run(t.Context(), model, "model.onnx", s, &out, &warnings)
	require.Empty(t, warnings.String())
	return out.String(), err
}

// value declares a tensor. A dimension is a size or a name; ? is an unnamed one.
func value(name string, dtype ops.DType, dims ...any) *onnxpb.ValueInfoProto {
	shape := &onnxpb.TensorShapeProto{}
	for _, d := range dims {
		dim := &onnxpb.TensorShapeProto_Dimension{}
		switch d := d.(type) {
		case int:
			dim.Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: int64(d)}
		case string:
			if d != "?" {
				dim.Value = &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: d}
			}
		}
		shape.Dim = append(shape.Dim, dim)
	}
	return &onnxpb.ValueInfoProto{Name: name, Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{
		TensorType: &onnxpb.TypeProto_Tensor{ElemType: int32(dtype), Shape: shape},
	}}}
}

// node is a node without attributes.
func node(operator, output string, inputs ...string) *onnxpb.NodeProto {
	return &onnxpb.NodeProto{OpType: operator, Input: inputs, Output: []string{output}}
}

// save writes a model.
func save(t *testing.T, in, out []*onnxpb.ValueInfoProto, nodes ...*onnxpb.NodeProto) string {
	t.Helper()
	data, err := onnx.Marshal(&onnxpb.ModelProto{
		IrVersion: 10, OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: 21}},
		Graph: &onnxpb.GraphProto{Name: "g", Input: in, Output: out, Node: nodes},
	})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

// identity returns a model whose output y is its input x.
func identity(t *testing.T, dtype ops.DType, dims ...any) string {
	return save(t, []*onnxpb.ValueInfoProto{value("x", dtype, dims...)}, []*onnxpb.ValueInfoProto{value("y", dtype, dims...)}, node("Identity", "y", "x"))
}

// array writes an array to a file of the given name in a new folder.
func array(t *testing.T, name string, shape []int, data any) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, npyBytes(t, shape, data), 0o600))
	return path
}

func npyBytes(t *testing.T, shape []int, data any) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, npy.Write(&b, &npy.Array{Shape: shape, Data: data}))
	return b.Bytes()
}

// Every element type goes in and out with the same bytes.
func TestRun_KeepsElementsOfAllTypes(t *testing.T) {
	small := []float32{0, 1, -2, 0.5}
	for dtype, data := range map[ops.DType]any{
		ops.Float32: []float32{0, 1.1, -2, 3e38}, ops.Float64: []float64{0, 1.1, -2, 1e300}, ops.Float16: []npy.Half{0, 0x3c00, 0x8001, 0x7c00},
		ops.Int8: []int8{1, -2, 127, -128}, ops.Int16: []int16{1, -2, 3, -32768}, ops.Int32: []int32{1, -2, 3, 4}, ops.Int64: []int64{1, -2, 3, -1 << 63},
		ops.Uint8: []uint8{1, 2, 3, 255}, ops.Uint16: []uint16{1, 2, 3, 65535}, ops.Uint32: []uint32{1, 2, 3, 1 << 31}, ops.Uint64: []uint64{1, 2, 3, 1 << 63},
		ops.Bool: []bool{true, false, true, true}, ops.String: []string{"a", "", "ü→😀", "long text"},
		ops.BFloat16: small, ops.Float8E4M3FN: small, ops.Float8E4M3FNUZ: small, ops.Float8E5M2: small, ops.Float8E5M2FNUZ: small, ops.Float4E2M1: small,
		ops.Float8E8M0: []float32{1, 2, 0.25, 1 << 20}, ops.Int4: []int8{-8, 7, 0, 1}, ops.Uint4: []uint8{0, 15, 1, 2}, ops.Int2: []int8{-2, 1, 0, -1}, ops.Uint2: []uint8{0, 3, 1, 2},
	} {
		t.Run(dtype.String(), func(t *testing.T) {
			file, folder := array(t, "x.npy", []int{2, 2}, data), filepath.Join(t.TempDir(), "new", "out")
			out, err := run(t, identity(t, dtype, 2, "n"), Settings{Output: folder}, "--input", "x="+file)
			require.NoError(t, err)
			require.Equal(t, "y "+dtype.String()+"(2, 2): "+filepath.ToSlash(filepath.Join(folder, "y.npy"))+"\n", out)
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			got, err := os.ReadFile(filepath.Join(folder, "y.npy"))
			require.NoError(t, err)
			require.Equal(t, want, got)

			again, err := run(t, identity(t, dtype, 2, "n"), Settings{}, "--random", "--size", "n=3", "--runs", "2")
			require.NoError(t, err)
			require.Contains(t, again, "input x "+dtype.String()+"(2, 3), random\n")
		})
	}
}

// twoInputs returns a model that adds and compares, with names that are no file names.
func twoInputs(t *testing.T) string {
	return save(t,
		[]*onnxpb.ValueInfoProto{value("a=1", ops.Float32, "batch", 2), value("in/b:0", ops.Float32, 1, 2)},
		[]*onnxpb.ValueInfoProto{value("out/sum:0", ops.Float32, "batch", 2), value("Out_sum_0", ops.Bool, "batch", 2)},
		node("Add", "out/sum:0", "a=1", "in/b:0"), node("Less", "Out_sum_0", "a=1", "in/b:0"))
}

func TestRun_TakesInputsByName(t *testing.T) {
	model := twoInputs(t)
	a, b := array(t, "a.npy", []int{1, 2}, []float32{1, 2}), array(t, "b=c.npy", []int{1, 2}, []float32{10, 0})
	const want = "out/sum:0 float32(1, 2): 11 2\nOut_sum_0 bool(1, 2): true false\n"
	out, err := run(t, model, Settings{}, "--input", "a=1="+a, "--input", "in/b:0="+b)
	require.NoError(t, err)
	require.Equal(t, want, out)

	var z bytes.Buffer
	require.NoError(t, npy.WriteArchive(&z, []string{"in/b:0", "a=1"}, []*npy.Array{{Shape: []int{1, 2}, Data: []float32{10, 0}}, {Shape: []int{1, 2}, Data: []float32{1, 2}}}))
	archive := filepath.Join(t.TempDir(), "in.npz")
	require.NoError(t, os.WriteFile(archive, z.Bytes(), 0o600))
	for _, args := range [][]string{
		{"--input", archive},
		{"--input", "a=1=" + archive, "--input", "in/b:0=" + b},
		{"--input", "a=1=" + a, "--input", "in/b:0=" + archive + ":in/b:0"},
		{"--input", "a=1=" + a, "--input", archive + ":in/b:0"},
	} {
		out, err := run(t, model, Settings{}, args...)
		require.NoError(t, err, args)
		require.Equal(t, want, out, args)
	}

	// The names of the two files would differ in case only.
	folder := t.TempDir()
	_, err = run(t, model, Settings{Output: folder}, "--input", archive)
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(folder, "out_sum_0.npy"))
	require.FileExists(t, filepath.Join(folder, "Out_sum_0-2.npy"))

	result := filepath.Join(t.TempDir(), "out.npz")
	_, err = run(t, model, Settings{Output: result}, "--input", archive)
	require.NoError(t, err)
	data, err := os.ReadFile(result)
	require.NoError(t, err)
	outputs, err := npy.OpenArchive(bytes.NewReader(data), int64(len(data)))
	require.NoError(t, err)
	require.Equal(t, []string{"out/sum:0", "Out_sum_0"}, outputs.Names())

	single := identity(t, ops.Float32, 1, 2)
	file := filepath.Join(t.TempDir(), "y.npy")
	_, err = run(t, single, Settings{Output: file}, "--input", a)
	require.NoError(t, err)
	require.FileExists(t, file)
}

// TestRun_TakesOptionalInputs runs a model with a default value, and with an input without rank.
func TestRun_TakesOptionalInputs(t *testing.T) {
	unranked := value("x", ops.Float32)
	unranked.GetType().GetTensorType().Shape = nil
	model := save(t, []*onnxpb.ValueInfoProto{value("w", ops.Float32, 2), unranked}, []*onnxpb.ValueInfoProto{{Name: "y"}}, node("Mul", "y", "x", "w"))
	m, _, err := onnx.ReadFile(t.Context(), model)
	require.NoError(t, err)
	m.Graph.Initializer = []*onnxpb.TensorProto{onnx.Float32Tensor("w", []int{2}, []float32{10, 100})}
	data, err := onnx.Marshal(m)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(model, data, 0o600))
	x, w := array(t, "x.npy", []int{1, 2}, []float32{1, 2}), array(t, "w.npy", []int{2}, []float32{3, 4})
	for want, args := range map[string][]string{
		"y float32(1, 2): 10 200\n": {"--input", x},
		"y float32(1, 2): 3 8\n":    {"--input", "x=" + x, "--input", "w=" + w},
	} {
		out, err := run(t, model, Settings{}, args...)
		require.NoError(t, err)
		require.Equal(t, want, out)
	}
	_, err = run(t, model, Settings{}, "--random")
	require.ErrorContains(t, err, "x float32(...): --size x=...")
	_, err = run(t, model, Settings{}, "--random", "--size", "x=3x2", "--runs", "1")
	require.NoError(t, err)
	_, err = run(t, model, Settings{}, "--input", "z="+x)
	require.ErrorContains(t, err, "its inputs are x float32(...), w float32(2) (optional)")
}

func TestRun_RefusesInputsThatDoNotFit(t *testing.T) {
	one, two := identity(t, ops.Float32, "batch", 2), twoInputs(t)
	good := array(t, "x.npy", []int{1, 2}, []float32{1, 2})
	double := array(t, "double.npy", []int{1, 2}, []float64{1, 2})
	long := array(t, "long.npy", []int{1, 3}, []float32{1, 2, 3})
	objects := filepath.Join(t.TempDir(), "objects.npy")
	require.NoError(t, os.WriteFile(objects, bytes.Replace(npyBytes(t, []int{1, 2}, []bool{true, true}), []byte("|b1"), []byte("|O1"), 1), 0o600))
	sequences := save(t, []*onnxpb.ValueInfoProto{sequenceOf("s", ops.Float32), value("x", ops.Float32)}, []*onnxpb.ValueInfoProto{{Name: "y"}}, node("Identity", "y", "x"))
	for name, c := range map[string]struct {
		model string
		args  []string
		want  string
		usage bool
	}{
		"missing":           {two, []string{"--input", "a=1=" + good}, "the model needs an input that --input does not give (or --random, for random numbers):\n  --input in/b:0=FILE.npy  float32(1, 2)", true},
		"unknown":           {one, []string{"--input", "z=" + good}, `the model has no input "z"; its inputs are x float32(batch, 2)`, true},
		"empty name":        {one, []string{"--input", "x="}, `--input x=: the file is missing`, true},
		"twice":             {one, []string{"--input", "x=" + good, "--input", good}, `input "x" is given twice`, true},
		"without a name":    {two, []string{"--input", good}, "name the input, as in --input NAME=", true},
		"another type":      {one, []string{"--input", double}, `the array is float64(1, 2), but input "x" is float32(batch, 2): save a.astype("float32")`, false},
		"another shape":     {one, []string{"--input", long}, `long.npy: the array is float32(1, 3), but input "x" is float32(batch, 2): the shapes do not fit`, false},
		"objects":           {one, []string{"--input", objects}, "strings with a.astype('U')", false},
		"no file":           {one, []string{"--input", "x=missing.npy"}, "missing.npy", false},
		"no .npz":           {one, []string{"--input", "x=" + good + ":x"}, "x.npy:x", false},
		"a type to store":   {identity(t, ops.BFloat16, 2), []string{"--input", array(t, "u.npy", []int{2}, []uint16{1, 2})}, `save a.astype("float32"), which stands for bfloat16, a type that NumPy lacks`, false},
		"a lost number":     {identity(t, ops.BFloat16, 1), []string{"--input", array(t, "f.npy", []int{1}, []float32{1.001})}, "element 0 is 1.001, which bfloat16 does not have (the nearest is 1): round the array first", false},
		"out of range":      {identity(t, ops.Int4, 1), []string{"--input", array(t, "i.npy", []int{1}, []int8{8})}, "element 0 is 8, want -8 to 7", false},
		"a random sequence": {sequences, []string{"--random"}, `input "s": --random cannot make sequence(float32): give it with --input s=FILE.npy, once per item, or --input s= for no items`, true},
		"size of nothing":   {one, []string{"--random", "--size", "z=3"}, "the model has no input and no dimension of this name; its dimensions are batch", true},
		"size that differs": {one, []string{"--random", "--size", "x=1x3"}, "--size x=1x3 does not fit the input, which is float32(batch, 2)", true},
		"size of a file":    {one, []string{"--random", "--size", "x=1x2", "--input", good}, "its values come from", true},
		"no number":         {one, []string{"--random", "--size", "batch=-1"}, `"-1" is not a size`, false},
		"no size":           {one, []string{"--random", "--size", "batch"}, "want NAME=SIZE", false},
		"size without":      {one, []string{"--input", good, "--size", "batch=2"}, "--size applies only with --random", false},
		"unknown sizes": {save(t, []*onnxpb.ValueInfoProto{value("x", ops.Float32, "?", 3, "?", "?"), value("ids", ops.Int64, "batch", "tokens")}, []*onnxpb.ValueInfoProto{value("y", ops.Float32, "?", 3, "?", "?")}, node("Identity", "y", "x")),
			[]string{"--random"}, "--random needs the sizes of these inputs:\n  x float32(?, 3, ?, ?): --size x=1x3xNxN\n  ids int64(batch, tokens): --size tokens=N", true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := run(t, c.model, Settings{}, c.args...)
			require.ErrorContains(t, err, c.want)
			var usage *cli.UsageError
			if c.usage {
				require.ErrorAs(t, err, &usage)
			}
		})
	}
}

func TestRun_ReplacesFilesOnlyWithForce(t *testing.T) {
	model, x := identity(t, ops.Float32, 2), array(t, "x.npy", []int{2}, []float32{1, 2})
	folder := t.TempDir()
	y := filepath.Join(folder, "y.npy")
	for _, output := range []string{folder, y, filepath.Join(folder, "y.npz")} {
		target := output
		if output == folder {
			target = y
		}
		require.NoError(t, os.WriteFile(target, []byte("old"), 0o600))
		_, err := run(t, model, Settings{Output: output}, "--input", x)
		require.ErrorContains(t, err, target+" already exists")
		old, err := os.ReadFile(target)
		require.NoError(t, err)
		require.Equal(t, "old", string(old))
		_, err = run(t, model, Settings{Output: output, Force: true}, "--input", x)
		require.NoError(t, err)
		data, err := os.ReadFile(target)
		require.NoError(t, err)
		require.NotEqual(t, "old", string(data))
	}
	_, err := run(t, model, Settings{Output: x, Force: true}, "--input", x)
	require.ErrorContains(t, err, "which is only read")
	_, err = run(t, model, Settings{Output: model, Force: true}, "--input", x)
	require.ErrorContains(t, err, "is a file: give a folder")
	_, err = run(t, twoInputs(t), Settings{Output: y}, "--random")
	require.ErrorContains(t, err, "the model has 2 outputs: give a folder or an .npz file")
	z := filepath.Join(folder, "z.npy")
	y1 := value("y", ops.Float32, 2)
	twice := save(t, []*onnxpb.ValueInfoProto{value("x", ops.Float32, 2)}, []*onnxpb.ValueInfoProto{y1, y1}, node("Identity", "y", "x"))
	_, err = run(t, twice, Settings{Output: z}, "--input", x)
	require.NoError(t, err, "one output that the file lists twice")
	var many []*onnxpb.ValueInfoProto
	var nodes []*onnxpb.NodeProto
	for i := range maxFiles + 1 {
		many = append(many, value(fmt.Sprint("y", i), ops.Float32, 2))
		nodes = append(nodes, node("Identity", fmt.Sprint("y", i), "x"))
	}
	_, err = run(t, save(t, []*onnxpb.ValueInfoProto{value("x", ops.Float32, 2)}, many, nodes...), Settings{Output: folder}, "--input", x)
	require.ErrorContains(t, err, "the outputs are 201 arrays, at most 200 are written as files of their own: give an .npz file")
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, entries, 3, "no temporary file is left")
}

func TestRun_ProfilesAModel(t *testing.T) {
	model := twoInputs(t)
	out, err := run(t, model, Settings{}, "--random", "--runs", "3", "--profile", "--size", "batch=4")
	require.NoError(t, err)
	for _, want := range []string{
		"input a=1 float32(4, 2), random\ninput in/b:0 float32(1, 2), random\noutput out/sum:0 float32(4, 2): ",
		"\n3 runs: median ", "\nmemory: ", "\noperator ", "\n(between nodes) ", "\nnode ",
	} {
		require.Contains(t, out, want)
	}
	require.Regexp(t, `(?m)^out/sum:0 +Add +float32\(4, 2\) +1 .*% .* bytes$`, out)

	out, err = run(t, model, Settings{JSON: true}, "--random", "--runs", "3", "--profile")
	require.NoError(t, err)
	var j jsonReport
	require.NoError(t, json.Unmarshal([]byte(out), &j))
	require.Equal(t, 3, j.Timing.Runs)
	require.LessOrEqual(t, j.Timing.Min, j.Timing.Median)
	require.LessOrEqual(t, j.Timing.Median, j.Timing.P99)
	require.Equal(t, int64(8+2), j.Memory.Values, "two floats and two bools")
	require.Len(t, j.Profile.Nodes, 2)
	require.Equal(t, jsonOperator{Operator: "Add", Nodes: 1, Calls: 1}, func() jsonOperator {
		o := j.Profile.Operators[0]
		if o.Operator != "Add" {
			o = j.Profile.Operators[1]
		}
		o.Time = 0
		return o
	}())

	first, err := run(t, model, Settings{Seed: 1}, "--random", "--runs", "1")
	require.NoError(t, err)
	second, err := run(t, model, Settings{Seed: 1}, "--random", "--runs", "1")
	require.NoError(t, err)
	before := func(s string) string { s, _, _ = strings.Cut(s, "\nloaded"); return s }
	require.Equal(t, before(first), before(second), "the seed gives the numbers")
}

func TestRun_ReportsAnInterruption(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f := Flags{random: true}
	require.ErrorIs(t, f.Run(ctx, twoInputs(t), "model.onnx", Settings{}, &bytes.Buffer{}, &bytes.Buffer{}), cli.ErrInterrupted)
}

// full fails to write, as a full disk does.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestRun_ReportsAFullOutput(t *testing.T) {
	for _, f := range []Flags{{random: true}, {random: true, profile: true}} {
		require.ErrorContains(t, f.Run(t.Context(), twoInputs(t), "model.onnx", Settings{}, full{}, &bytes.Buffer{}), "no space left")
	}
}

func TestFlatten_NamesThePartsOfContainers(t *testing.T) {
	x := func(v ...float32) *ops.Tensor { y, _ := ops.NewTensor([]int{len(v)}, v); return y }
	keys, err := ops.NewTensor([]int{2}, []string{"a", "b"})
	require.NoError(t, err)
	m, err := ops.NewMap(keys, x(1, 2))
	require.NoError(t, err)
	maps, err := ops.NewSequence(ops.TypeOf(m), []*ops.Tensor{m})
	require.NoError(t, err)
	absent, err := ops.NewOptional(ops.TypeOf(keys), nil)
	require.NoError(t, err)
	for want, v := range map[string]*ops.Tensor{
		`p sequence(map(string, float32)) of 1|p.0.keys string(2): "a" "b"|p.0.values float32(2): 1 2`: maps,
		"p optional(string), absent": absent,
		"p float32(1): 3":            x(3),
		"p float32(0): no elements":  x(),
	} {
		list, err := flatten("p", v)
		require.NoError(t, err)
		var lines []string
		for _, r := range list {
			lines = append(lines, r.text())
		}
		require.Equal(t, want, strings.Join(lines, "|"))
	}
}

func TestFileName_IsPossibleOnEverySystem(t *testing.T) {
	for name, want := range map[string]string{
		"y": "y", "a/b:0": "a_b_0", "..": "_..", "": "_", ".x": "_.x", "a\x00b\n": "a_b_", "ü": "ü", "x\xff": "x_",
		strings.Repeat("é", 150): strings.Repeat("é", 100),
	} {
		require.Equal(t, want, fileName(name))
	}
}
