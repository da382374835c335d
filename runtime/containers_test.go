package runtime_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/runtime"
)

// sequenceInfo declares a sequence of tensors of float32.
func sequenceInfo(name string) *onnxpb.ValueInfoProto {
	elem := &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: &onnxpb.TypeProto_Tensor{ElemType: int32(ops.Float32)}}}
	return &onnxpb.ValueInfoProto{Name: name, Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_SequenceType{SequenceType: &onnxpb.TypeProto_Sequence{ElemType: elem}}}}
}

func runModel(t *testing.T, m *runtime.Model, in map[string]*runtime.Tensor) map[string]*runtime.Tensor {
	t.Helper()
	out, err := m.Run(t.Context(), in)
	require.NoError(t, err)
	return out
}

// TestSequence_ItemsOutliveBuffers stores values in a sequence whose buffers later values use.
func TestSequence_ItemsOutliveBuffers(t *testing.T) {
	m := load(t, network([]*onnxpb.ValueInfoProto{typed("x", ops.Float32, 2)}, "s, n, last", nodes{
		op("a = Add(x, one)"), op("s1 = SequenceConstruct(a)"),
		op("b = Add(a, ten)"), op("s2 = SequenceInsert(s1, b)"),
		op("c = Add(b, ten)"), op("d = Add(c, ten)"), op("s3 = SequenceInsert(s2, d, none)"),
		op("s = Identity(s3)"), op("n = SequenceLength(s)"), op("item = SequenceAt(s, two)"), op("last = Add(item, one)"),
	}))
	x := opstest.F32([]int{2}, 1, 2)
	for range 2 { // the second run finds the buffers of the first
		out := runModel(t, m, map[string]*runtime.Tensor{"x": x})
		items := out["s"].Items()
		require.Equal(t, []float32{32, 33}, items[0].Float32s())
		require.Equal(t, []float32{2, 3}, items[1].Float32s())
		require.Equal(t, []float32{12, 13}, items[2].Float32s())
		require.Equal(t, []int64{3}, out["n"].Int64s())
		require.Equal(t, []float32{13, 14}, out["last"].Float32s())
		require.Equal(t, "sequence(float32)", m.Outputs()[0].Type.String())
	}
}

// TestSequence_OutputsShareNoMemory changes the outputs of a run that returns its input, and a
// constant of the model, as items.
func TestSequence_OutputsShareNoMemory(t *testing.T) {
	m := load(t, network([]*onnxpb.ValueInfoProto{sequenceInfo("s")}, "s, r", nodes{op("r = SequenceInsert(s, pair)")}))
	in := opstest.Sequence(ops.Float32, opstest.F32([]int{1}, 5))
	first := runModel(t, m, map[string]*runtime.Tensor{"s": in})
	for _, name := range []string{"s", "r"} {
		for _, x := range first[name].Items() {
			x.Float32s()[0] = 99
		}
	}
	second := runModel(t, m, map[string]*runtime.Tensor{"s": in})
	require.Equal(t, []float32{5}, in.Items()[0].Float32s())
	require.Equal(t, []float32{5}, second["r"].Items()[0].Float32s())
	require.Equal(t, []float32{1, 2}, second["r"].Items()[1].Float32s())
}

// TestSequence_RunsWithOtherTypes gives the same model sequences of other lengths and shapes.
func TestSequence_RunsWithOtherTypes(t *testing.T) {
	m := load(t, network([]*onnxpb.ValueInfoProto{sequenceInfo("s")}, "y", nodes{op("y = ConcatFromSequence(s)", intAttr("axis", 0))}))
	for length := 1; length < 4; length++ {
		var items []*runtime.Tensor
		var want []float32
		for i := range length {
			items = append(items, opstest.F32([]int{1, length}, make([]float32, length)...))
			items[i].Float32s()[0] = float32(i)
			want = append(want, items[i].Float32s()...)
		}
		out := runModel(t, m, map[string]*runtime.Tensor{"s": opstest.Sequence(ops.Float32, items...)})
		require.Equal(t, []int{length, length}, out["y"].Shape())
		require.Equal(t, want, out["y"].Float32s())
	}
	_, err := m.Run(t.Context(), map[string]*runtime.Tensor{"s": opstest.Sequence(ops.Int64)})
	require.ErrorIs(t, err, runtime.ErrInput)
	require.ErrorContains(t, err, "want sequence(float32), got sequence(int64)")
	_, err = m.Run(t.Context(), map[string]*runtime.Tensor{"s": opstest.F32(nil, 1)})
	require.ErrorContains(t, err, "want sequence(float32), got float32()")
}

func TestSequence_IsCarriedByLoopsAndBranches(t *testing.T) {
	body := subgraph("body", "i, c, s", "again, r", nodes{op("again = Identity(c)"), op("v = Mul(x, ten)"), op("w = Identity(v)"), op("r = SequenceInsert(s, w)")})
	m := load(t, network([]*onnxpb.ValueInfoProto{typed("x", ops.Float32, 2), typed("flag", ops.Bool)}, "s, z", nodes{
		op("empty = SequenceEmpty()"), op("s = Loop(three, , empty)", body),
		op("z = If(flag)", subgraph("then_branch", "", "t", nodes{op("t = Identity(s)")}), subgraph("else_branch", "", "e", nodes{op("e = SequenceConstruct(x, x)")})),
	}))
	for _, flag := range []bool{true, false} {
		out := runModel(t, m, map[string]*runtime.Tensor{"x": opstest.F32([]int{2}, 1, 2), "flag": opstest.Tensor(nil, flag)})
		require.Len(t, out["s"].Items(), 3)
		require.Equal(t, []float32{10, 20}, out["s"].Items()[1].Float32s())
		if flag {
			require.Len(t, out["z"].Items(), 3)
		} else {
			require.Equal(t, []float32{1, 2}, out["z"].Items()[1].Float32s())
		}
	}
	err := loadError(t, network([]*onnxpb.ValueInfoProto{typed("x", ops.Float32, 2)}, "s", nodes{
		op("empty = SequenceEmpty()"),
		op("s = Loop(three, , empty)", subgraph("body", "i, c, s", "again, r", nodes{op("again = Identity(c)"), op("r = SequenceConstruct(i)")})),
	}))
	require.ErrorContains(t, err, `"s" enters an iteration as sequence(float32) and leaves it as sequence(int64)`)
}

// TestLoop_PassesOnValuesAsOptional has a body that takes an optional sequence and returns a
// sequence for the next iteration.
func TestLoop_PassesOnValuesAsOptional(t *testing.T) {
	kind := &onnxpb.AttributeProto{Name: "type", Type: onnxpb.AttributeProto_TYPE_PROTO, Tp: sequenceInfo("").GetType()}
	body := subgraph("body", "i, c, o", "again, r", nodes{
		op("again = Identity(c)"), op("has = OptionalHasElement(o)"),
		op("s = If(has)", subgraph("then_branch", "", "t", nodes{op("t = OptionalGetElement(o)")}), subgraph("else_branch", "", "e", nodes{op("e = SequenceEmpty()")})),
		op("r = SequenceInsert(s, x)"),
	})
	m := load(t, network([]*onnxpb.ValueInfoProto{typed("x", ops.Float32, 2)}, "s", nodes{op("o = Optional()", kind), op("s = Loop(three, , o)", body)}))
	out := runModel(t, m, map[string]*runtime.Tensor{"x": opstest.F32([]int{2}, 1, 2)})
	require.Equal(t, ops.Sequence, out["s"].DType())
	require.Len(t, out["s"].Items(), 3)
}

func TestSequenceMap_MapsItems(t *testing.T) {
	body := subgraph("body", "a, b, k", "sum, same, outer", nodes{op("p = Add(a, b)"), op("sum = Add(p, k)"), op("same = Identity(b)"), op("outer = Identity(x)")})
	m := load(t, network([]*onnxpb.ValueInfoProto{sequenceInfo("s"), typed("x", ops.Float32, 2)}, "y, z, u", nodes{
		op("k = Add(x, one)"), op("y, z, u = SequenceMap(s, s, k)", body),
	}))
	in := map[string]*runtime.Tensor{"s": opstest.Sequence(ops.Float32, opstest.F32([]int{2}, 1, 2), opstest.F32([]int{1, 2}, 3, 4)), "x": opstest.F32([]int{2}, 10, 20)}
	out := runModel(t, m, in)
	require.Equal(t, []float32{13, 25}, out["y"].Items()[0].Float32s())
	require.Equal(t, []int{1, 2}, out["y"].Items()[1].Shape())
	require.Equal(t, []float32{3, 4}, out["z"].Items()[1].Float32s())
	require.Equal(t, []float32{10, 20}, out["u"].Items()[1].Float32s())
	in["s"] = opstest.Sequence(ops.Float32)
	_, err := m.Run(t.Context(), in)
	require.ErrorContains(t, err, "input 0 is empty, and the body does not declare output 0")
	for i, o := range body.GetG().GetOutput() {
		body.GetG().GetOutput()[i] = typed(o.GetName(), ops.Float32)
	}
	m = load(t, network([]*onnxpb.ValueInfoProto{sequenceInfo("s"), typed("x", ops.Float32, 2)}, "y, z, u", nodes{
		op("k = Add(x, one)"), op("y, z, u = SequenceMap(s, s, k)", body),
	}))
	require.Empty(t, runModel(t, m, in)["y"].Items())
}

// TestScan_OfOpset8HasABatch sums up two sequences of different lengths.
func TestScan_OfOpset8HasABatch(t *testing.T) {
	body := subgraph("body", "sum, v", "next, seen", nodes{op("next = Add(sum, v)"), op("seen = Identity(next)")})
	pb := network([]*onnxpb.ValueInfoProto{typed("lengths", ops.Int64, 2), typed("start", ops.Float32, 2, 1), typed("x", ops.Float32, 2, 3, 1)}, "sum, seen", nodes{
		op("sum, seen = Scan(lengths, start, x)", body, intAttr("num_scan_inputs", 1)),
	})
	pb.OpsetImport[0].Version = 8
	m := load(t, pb)
	in := map[string]*runtime.Tensor{"lengths": opstest.Ints(3, 1), "start": opstest.F32([]int{2, 1}, 0, 10), "x": opstest.F32([]int{2, 3, 1}, 1, 2, 3, 4, 5, 6)}
	out := runModel(t, m, in)
	requireSame(t, opstest.F32([]int{2, 1}, 6, 14), out["sum"])
	requireSame(t, opstest.F32([]int{2, 3, 1}, 1, 3, 6, 14, 0, 0), out["seen"])
	in["lengths"] = opstest.Ints(3, 4)
	_, err := m.Run(t.Context(), in)
	require.ErrorContains(t, err, "sequence 1 has the length 4, want 0 to 3")
}

// TestSequence_CountsTowardTheLimit collects small tensors, and doubles strings.
func TestSequence_CountsTowardTheLimit(t *testing.T) {
	body := subgraph("body", "i, c, s", "again, r", nodes{op("again = Identity(c)"), op("r = SequenceInsert(s, one)")})
	pb := network([]*onnxpb.ValueInfoProto{typed("n", ops.Int64)}, "s", nodes{op("empty = SequenceEmpty()"), op("s = Loop(n, , empty)", body)})
	m := load(t, pb, runtime.MemoryLimit(1<<20))
	runModel(t, m, map[string]*runtime.Tensor{"n": opstest.I64(nil, 100)})
	_, err := m.Run(t.Context(), map[string]*runtime.Tensor{"n": opstest.I64(nil, 1<<40)})
	require.ErrorIs(t, err, runtime.ErrMemory)

	var list nodes
	previous := "x"
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"} {
		list = append(list, op(name+" = StringConcat("+previous+", "+previous+")"))
		previous = name
	}
	pb = network([]*onnxpb.ValueInfoProto{typed("x", ops.String)}, previous, list)
	pb.OpsetImport[0].Version = 20
	m = load(t, pb, runtime.MemoryLimit(1<<20))
	require.Len(t, first(runModel(t, m, map[string]*runtime.Tensor{"x": opstest.Tensor(nil, "x")})["l"]), 1<<12)
	_, err = m.Run(t.Context(), map[string]*runtime.Tensor{"x": opstest.Tensor(nil, string(make([]byte, 1<<10)))})
	require.ErrorIs(t, err, runtime.ErrMemory)
}

// first returns the first string of a tensor.
func first(x *runtime.Tensor) string {
	texts, _ := ops.Data[string](x)
	return texts[0]
}

// TestZipMap_IsAnOutput runs what exporters write for a classifier of scikit-learn.
func TestZipMap_IsAnOutput(t *testing.T) {
	floats := func(name string, v ...float32) *onnxpb.AttributeProto {
		return &onnxpb.AttributeProto{Name: name, Type: onnxpb.AttributeProto_FLOATS, Floats: v}
	}
	pb := network([]*onnxpb.ValueInfoProto{typed("x", ops.Float32, -1, 2)}, "label, maps", nodes{
		op("label, scores = ai.onnx.ml.LinearClassifier(x)", floats("coefficients", 1, 0, 0, 1), floats("intercepts", 0, 0), intsAttr("classlabels_ints", 5, 6)),
		op("maps = ai.onnx.ml.ZipMap(scores)", intsAttr("classlabels_int64s", 5, 6)),
	})
	pb.OpsetImport = append(pb.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: "ai.onnx.ml", Version: 1})
	m := load(t, pb)
	require.Equal(t, "sequence(map(int64, float32))", m.Outputs()[1].Type.String())
	out := runModel(t, m, map[string]*runtime.Tensor{"x": opstest.F32([]int{2, 2}, 1, 2, 4, 3)})
	require.Equal(t, []int64{6, 5}, out["label"].Int64s())
	keys, values := ops.MapOf(out["maps"].Items()[1])
	require.Equal(t, []int64{5, 6}, keys.Int64s())
	require.Equal(t, []float32{4, 3}, values.Float32s())

	pb.OpsetImport[2].Version = 99
	require.ErrorContains(t, loadError(t, pb), "version 99 of the operators of ai.onnx.ml")
}
