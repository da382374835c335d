package tensors

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/npy"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// typed declares a value of any type.
func typed(name string, t *onnxpb.TypeProto) *onnxpb.ValueInfoProto {
	return &onnxpb.ValueInfoProto{Name: name, Type: t}
}

func sequenceType(elem *onnxpb.TypeProto) *onnxpb.TypeProto {
	return &onnxpb.TypeProto{Value: &onnxpb.TypeProto_SequenceType{SequenceType: &onnxpb.TypeProto_Sequence{ElemType: elem}}}
}

func optionalType(elem *onnxpb.TypeProto) *onnxpb.TypeProto {
	return &onnxpb.TypeProto{Value: &onnxpb.TypeProto_OptionalType{OptionalType: &onnxpb.TypeProto_Optional{ElemType: elem}}}
}

func mapType(key ops.DType, value *onnxpb.TypeProto) *onnxpb.TypeProto {
	return &onnxpb.TypeProto{Value: &onnxpb.TypeProto_MapType{MapType: &onnxpb.TypeProto_Map{KeyType: int32(key), ValueType: value}}}
}

func tensorType(d ops.DType) *onnxpb.TypeProto { return value("", d).GetType() }

// sequenceOf declares a sequence of tensors.
func sequenceOf(name string, d ops.DType) *onnxpb.ValueInfoProto {
	return typed(name, sequenceType(tensorType(d)))
}

// echo returns a model whose output y is its input s, of any type.
func echo(t *testing.T, kind *onnxpb.TypeProto) string {
	return save(t, []*onnxpb.ValueInfoProto{typed("s", kind)}, []*onnxpb.ValueInfoProto{typed("y", kind)}, node("Identity", "y", "s"))
}

// archive writes an .npz file.
func archive(t *testing.T, names []string, arrays ...*npy.Array) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "arrays.npz")
	f, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, npy.WriteArchive(f, names, arrays))
	require.NoError(t, f.Close())
	return path
}

func TestRun_TakesSequences(t *testing.T) {
	one, two := array(t, "one.npy", []int{2}, []float32{1, 2}), array(t, "two.npy", []int{1}, []float32{3})
	first, second := &npy.Array{Shape: []int{2}, Data: []float32{1, 2}}, &npy.Array{Shape: []int{1}, Data: []float32{3}}
	numbered := archive(t, []string{"arr_0", "arr_1"}, first, second)
	named := archive(t, []string{"s.1", "s.0", "other"}, second, first, first)
	const want = "y sequence(float32) of 2\ny.0 float32(2): 1 2\ny.1 float32(1): 3\n"
	model := echo(t, sequenceType(tensorType(ops.Float32)))
	for name, args := range map[string][]string{
		"in order":             {"s=" + one, "s=" + two},
		"by number":            {"s.1=" + two, "s.0=" + one},
		"without the name":     {one, two},
		"arrays without names": {"s=" + numbered},
		"arrays by name":       {"s=" + named},
		"one array each":       {"s=" + named + ":other", "s=" + numbered + ":arr_1"},
	} {
		var flags []string
		for _, a := range args {
			flags = append(flags, "--input", a)
		}
		out, err := run(t, model, Settings{}, flags...)
		require.NoError(t, err, name)
		require.Equal(t, want, out, name)
	}
	out, err := run(t, model, Settings{}, "--input", "s=")
	require.NoError(t, err)
	require.Equal(t, "y sequence(float32) of 0\n", out)

	// More items than digits: s.10 comes after s.9.
	var flags []string
	for i := range 12 {
		flags = append(flags, "--input", "s="+array(t, "x.npy", []int{1}, []float32{float32(i)}))
	}
	out, err = run(t, model, Settings{}, flags...)
	require.NoError(t, err)
	require.Contains(t, out, "y.9 float32(1): 9\ny.10 float32(1): 10\ny.11 float32(1): 11\n")
}

func TestRun_TakesOptionalValuesAndMaps(t *testing.T) {
	x := array(t, "x.npy", []int{2}, []float32{1, 2})
	keys := array(t, "keys.npy", []int{2}, []string{"a", "b"})
	for _, c := range []struct {
		kind *onnxpb.TypeProto
		args []string
		want string
	}{
		{optionalType(tensorType(ops.Float32)), []string{"s=" + x}, "y float32(2): 1 2\n"},
		{optionalType(tensorType(ops.Float32)), []string{"s="}, "y optional(float32), absent\n"},
		{optionalType(sequenceType(tensorType(ops.Float32))), []string{"s=" + x, "s=" + x}, "y sequence(float32) of 2\ny.0 float32(2): 1 2\ny.1 float32(2): 1 2\n"},
		{optionalType(sequenceType(tensorType(ops.Float32))), []string{"s="}, "y optional(sequence(float32)), absent\n"},
		{sequenceType(sequenceType(tensorType(ops.Float32))), []string{"s.0=" + x, "s.0=" + x, "s.1.0=" + x}, "y sequence(sequence(float32)) of 2\ny.0 sequence(float32) of 2\ny.0.0 float32(2): 1 2\ny.0.1 float32(2): 1 2\ny.1 sequence(float32) of 1\ny.1.0 float32(2): 1 2\n"},
		{mapType(ops.String, tensorType(ops.Float32)), []string{"s.values=" + x, "s.keys=" + keys}, "y.keys string(2): \"a\" \"b\"\ny.values float32(2): 1 2\n"},
		{sequenceType(mapType(ops.String, tensorType(ops.Float32))), []string{"s.0.values=" + x, "s.0.keys=" + keys}, "y sequence(map(string, float32)) of 1\ny.0.keys string(2): \"a\" \"b\"\ny.0.values float32(2): 1 2\n"},
	} {
		var flags []string
		for _, a := range c.args {
			flags = append(flags, "--input", a)
		}
		out, err := run(t, echo(t, c.kind), Settings{}, flags...)
		require.NoError(t, err, c.want)
		require.Equal(t, c.want, out)
	}
}

// The arrays that --output writes are inputs again, with the names of the inputs.
func TestRun_ReadsTheSequencesThatItWrites(t *testing.T) {
	kind := sequenceType(mapType(ops.Int64, tensorType(ops.Float32)))
	model := save(t, []*onnxpb.ValueInfoProto{typed("s", kind), sequenceOf("u", ops.Int64)}, []*onnxpb.ValueInfoProto{typed("s2", kind), sequenceOf("u2", ops.Int64)}, node("Identity", "s2", "s"), node("Identity", "u2", "u"))
	x := array(t, "x.npy", []int{2}, []float32{1, 2})
	keys := array(t, "keys.npy", []int{2}, []int64{5, 6})
	first := filepath.Join(t.TempDir(), "first.npz")
	want, err := run(t, model, Settings{Output: first, JSON: true}, "--input", "s.0.keys="+keys, "--input", "s.0.values="+x, "--input", "u="+keys, "--input", "u="+keys)
	require.NoError(t, err)
	require.Contains(t, want, `"name": "s.0.keys"`)
	require.Contains(t, want, `"name": "u.1"`)

	f, err := os.Open(first)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	info, err := f.Stat()
	require.NoError(t, err)
	a, err := npy.OpenArchive(f, info.Size())
	require.NoError(t, err)
	var names []string
	var arrays []*npy.Array
	for _, name := range a.Names() {
		b, err := a.Read(name, func(npy.Header) error { return nil })
		require.NoError(t, err)
		names, arrays = append(names, strings.Replace(name, "2.", ".", 1)), append(arrays, b)
	}
	second := filepath.Join(t.TempDir(), "second.npz")
	_, err = run(t, model, Settings{Output: second}, "--input", archive(t, names, arrays...))
	require.NoError(t, err)
	before, err := os.ReadFile(first)
	require.NoError(t, err)
	after, err := os.ReadFile(second)
	require.NoError(t, err)
	require.Equal(t, before, after)
}

func TestRun_RefusesPartsThatDoNotFit(t *testing.T) {
	x := array(t, "x.npy", []int{2}, []float32{1, 2})
	double := array(t, "double.npy", []int{1}, []float64{1})
	arrays := archive(t, []string{"a", "b"}, &npy.Array{Shape: []int{1}, Data: []float32{1}}, &npy.Array{Shape: []int{1}, Data: []float32{1}})
	sequence, optional, dictionary := sequenceType(tensorType(ops.Float32)), optionalType(tensorType(ops.Float32)), mapType(ops.Int64, tensorType(ops.Float32))
	for want, c := range map[string]struct {
		kind *onnxpb.TypeProto
		args []string
	}{
		"--input s=FILE.npy, once per item, or --input s= for no items  sequence(float32)":   {sequence, nil},
		"--input s=FILE.npy, or --input s= for no value  optional(float32)":                  {optional, nil},
		"--input s.keys=FILE.npy --input s.values=FILE.npy  map(int64, float32)":             {dictionary, nil},
		`the array is float64(1), but input "s.0" is float32(...): save a.astype("float32")`: {sequence, []string{"s=" + double}},
		`input "s.1" is given twice: ` + x:                                                   {sequence, []string{"s.1=" + x, "s.1=" + x}},
		`items are missing; only these are given: s.1`:                                       {sequence, []string{"s.1=" + x}},
		`its items are s.0, s.1 and so on`:                                                   {sequence, []string{"s.first=" + x}},
		`input "s" has no part "0.0"`:                                                        {sequence, []string{"s.0.0=" + x}},
		`none of the arrays (a, b) is named s.0`:                                             {sequence, []string{"s=" + arrays}},
		`input "s" is given twice: as empty and as ` + x:                                     {sequence, []string{"s=" + x, "s="}},
		`input "s" is given twice: as empty`:                                                 {sequence, []string{"s=", "s=" + x}},
		`input "s" is given twice`:                                                           {optional, []string{"s=" + x, "s=" + x}},
		`input "s" has no part "0"`:                                                          {optional, []string{"s.0=" + x}},
		`input "s" is a map: give its keys and values as inputs, --input s.keys=`:            {dictionary, []string{"s=" + x}},
		`input "s" is map(int64, float32): want keys and values`:                             {dictionary, []string{"s.values=" + x}},
		`a map cannot be empty in this way`:                                                  {dictionary, []string{"s="}},
		`input "s" is sequence(sequence(float32)): its items are s.0, s.1 and so on`:         {sequenceType(sequence), []string{"s=" + x}},
	} {
		flags := []string{}
		for _, a := range c.args {
			flags = append(flags, "--input", a)
		}
		_, err := run(t, echo(t, c.kind), Settings{}, flags...)
		require.ErrorContains(t, err, want)
	}
}
