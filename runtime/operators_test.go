package runtime_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/runtime"
)

// TestWithOperators_AddsAndReplaces records the calls of operators that the test adds.
func TestWithOperators_AddsAndReplaces(t *testing.T) {
	var calls []string
	operator := func(domain, name string, f func(x float32) float32) ops.Operator {
		return ops.Operator{
			Domain: domain, Name: name, MinInputs: 1, MaxInputs: 1, MinOutputs: 1, MaxOutputs: 1,
			New: func(ops.Node) (ops.Op, error) {
				return mapped(func(x float32) float32 {
					calls = append(calls, name)
					return f(x)
				}), nil
			},
		}
	}
	twice := operator("f", "Twice", func(x float32) float32 { return 2 * x })
	neg := operator("", "Neg", func(x float32) float32 { return 1 - x })
	pb := network(nil, "y", nodes{op("a = f.Twice(x)"), op("y = Neg(a)")})
	pb.Graph.Input = append(pb.Graph.Input, info("x", 1))
	in := values{"x": f32([]int{1}, 3)}
	out, err := load(t, pb, runtime.WithOperators(twice)).Run(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, []float32{-6}, out["y"].Float32s())
	out, err = load(t, pb, runtime.WithOperators(twice), runtime.WithOperators(neg)).Run(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, []float32{-5}, out["y"].Float32s())
	require.Equal(t, []string{"Twice", "Twice", "Neg"}, calls)
	require.ErrorIs(t, loadError(t, pb), runtime.ErrUnknownOperator)

	// Operators that break the contract of ops.Op cause errors.
	for want, bad := range map[string]func(ops.Node) (ops.Op, error){
		"neither an Op nor an error": func(ops.Node) (ops.Op, error) { return nil, nil },
		"types for 1 outputs":        func(ops.Node) (ops.Op, error) { return broken{types: 2}, nil },
		"did not compute output 0":   func(ops.Node) (ops.Op, error) { return broken{types: 1, open: true}, nil },
		"replaced output 0":          func(ops.Node) (ops.Op, error) { return broken{types: 1, aliases: true}, nil },
		"output 0 of the operator is its input": func(ops.Node) (ops.Op, error) {
			return broken{types: 1, open: true, aliases: true}, nil
		},
		"the operator fails on purpose": func(ops.Node) (ops.Op, error) { return broken{types: 1, fails: true}, nil },
	} {
		twice.New = bad
		err := func() error {
			data := marshal(t, pb)
			m, err := runtime.New(data, runtime.WithOperators(twice))
			if err != nil {
				return err
			}
			_, err = m.Run(t.Context(), in)
			return err
		}()
		require.ErrorContains(t, err, want)
	}
}

// mapped applies a function to every element.
type mapped func(x float32) float32

func (mapped) Infer(in []*ops.Input) ([]ops.Type, error) { return []ops.Type{in[0].Type}, nil }

func (f mapped) Run(_ *ops.Context, in, out []*ops.Tensor) error {
	for i, x := range in[0].Float32s() {
		out[0].Float32s()[i] = f(x)
	}
	return nil
}

// broken is an operator that breaks the contract of ops.Op: it infers too many types, leaves
// its output open, returns its input, or fails.
type broken struct {
	types                int
	open, aliases, fails bool
}

func (b broken) Infer(in []*ops.Input) ([]ops.Type, error) {
	t := in[0].Type
	if b.open {
		t.Shape = []ops.Dim{{Size: -1}}
	}
	return slices.Repeat([]ops.Type{t}, b.types), nil
}

func (b broken) Run(_ *ops.Context, in, out []*ops.Tensor) error {
	if b.fails {
		return errBroken
	}
	if b.aliases {
		out[0] = in[0]
	}
	return nil
}

// countingSbS is an SbS operator that keeps one number per spike in its Scratch.
type countingSbS struct {
	ops.Op
	spikes int
}

func (c countingSbS) Run(ctx *ops.Context, in, out []*ops.Tensor) error {
	counts := ops.Scratch[[]int](ctx)
	if *counts == nil {
		*counts = make([]int, c.spikes)
	}
	if len(*counts) != c.spikes {
		return fmt.Errorf("the scratch is that of an operator with %d spikes, want %d", len(*counts), c.spikes)
	}
	h, err := ops.Run(c.Op, &ops.Context{Context: ctx}, in)
	if err == nil {
		copy(out[0].Float32s(), h[0].Float32s())
	}
	return err
}

// TestWithOperators_ScratchBelongsToOneOp replaces the SbS operator and changes the
// number of spikes from run to run: every number of spikes is a new Op, and an Op must
// not find what another one has left in the Scratch.
func TestWithOperators_ScratchBelongsToOneOp(t *testing.T) {
	counting := sbs.Operator()
	newSbS := counting.New
	counting.New = func(n ops.Node) (ops.Op, error) {
		op, err := newSbS(n)
		if err != nil {
			return nil, err
		}
		params, _ := sbs.OpParams(op)
		return countingSbS{op, params.Spikes}, nil
	}
	n := converttest.Digits()
	plain, replaced := open(t, n), open(t, n, runtime.WithOperators(counting))
	image := modeltest.Pixels(3, 2, n.Input)
	for _, spikes := range []int{7, 9, 7, 0, 9} {
		require.Equal(t, run(t, plain, image, runtime.Spikes(spikes)), run(t, replaced, image, runtime.Spikes(spikes)), "%d spikes", spikes)
	}
}

func TestWithOperators_RefusesNilOpOfChangedLayer(t *testing.T) {
	created := 0
	once := sbs.Operator()
	newSbS := once.New
	once.New = func(n ops.Node) (ops.Op, error) {
		if created++; created > 2 { // the model has two SbS nodes
			return nil, nil
		}
		return newSbS(n)
	}
	n := converttest.Digits()
	m := open(t, n, runtime.WithOperators(once))
	_, err := m.Run(t.Context(), values{"image": modeltest.Pixels(3, 1, n.Input)}, runtime.Spikes(5))
	require.ErrorContains(t, err, `node "L0/SbS" (ai.sbs.SbS): `)
	require.ErrorContains(t, err, "neither an Op nor an error")
}

// tooManyTypes infers one type too many once all sizes of its input are known.
type tooManyTypes struct {
	mapped
	outputs int
}

func (o tooManyTypes) Infer(in []*ops.Input) ([]ops.Type, error) {
	n := o.outputs
	if _, known := in[0].Sizes(); known {
		n++
	}
	return slices.Repeat([]ops.Type{in[0].Type}, n), nil
}

// tooFewTypes infers one type too few once all sizes of its input are known.
type tooFewTypes struct{ tooManyTypes }

func (o tooFewTypes) Infer(in []*ops.Input) ([]ops.Type, error) {
	types, err := o.tooManyTypes.Infer(in)
	if len(types) > o.outputs {
		types = types[:o.outputs-1]
	}
	return types, err
}

// TestWithOperators_CountsTypesInEveryPhase breaks the contract of Infer. The sizes of
// the input are known when the model is loaded, when the first run is planned, or while
// that run computes.
func TestWithOperators_CountsTypesInEveryPhase(t *testing.T) {
	for phase, c := range map[string]struct {
		batch    int64
		produces string
	}{
		"load": {1, "Neg(x)"}, "plan": {-1, "Neg(x)"}, "run": {-1, "NonZero(x)"},
	} {
		for name, infers := range map[string]ops.Op{"too many": tooManyTypes{outputs: 2}, "too few": tooFewTypes{tooManyTypes{outputs: 2}}} {
			t.Run(phase+"/"+name, func(t *testing.T) {
				wrong := ops.Operator{
					Domain: "f", Name: "Wrong", MinInputs: 1, MaxInputs: 1, MinOutputs: 2, MaxOutputs: 2,
					New: func(ops.Node) (ops.Op, error) { return infers, nil },
				}
				data := marshal(t, network([]*onnxpb.ValueInfoProto{info("x", c.batch, 3)}, "y", nodes{op("a = " + c.produces), op("y, z = f.Wrong(a)")}))
				m, err := runtime.New(data, runtime.WithOperators(wrong))
				if phase != "load" {
					require.NoError(t, err)
					_, err = m.Run(t.Context(), values{"x": f32([]int{1, 3}, 1, 2, 3)})
				}
				require.ErrorContains(t, err, "types for 2 outputs")
				var node *runtime.NodeError
				require.ErrorAs(t, err, &node)
				require.Equal(t, "f.Wrong", node.Operator)
			})
		}
	}
}

// inner runs another model.
type inner struct {
	mapped
	model *runtime.Model
}

func (o inner) Run(ctx *ops.Context, in, _ []*ops.Tensor) error {
	_, err := o.model.Run(ctx, values{"x": in[0]})
	return err
}

// TestWithOperators_NamesTheNodeOfAnInnerModel checks that an error names the node of the model that
// the caller runs, also if the operator has an error of a model of its own.
func TestWithOperators_NamesTheNodeOfAnInnerModel(t *testing.T) {
	part := load(t, network([]*onnxpb.ValueInfoProto{info("x", -1)}, "y", nodes{op("y = Reshape(x, two)")}))
	runs := ops.Operator{Domain: "f", Name: "Inner", MinInputs: 1, MaxInputs: 1, MinOutputs: 1, MaxOutputs: 1, New: func(ops.Node) (ops.Op, error) { return inner{model: part}, nil }}
	m := load(t, network([]*onnxpb.ValueInfoProto{info("x", -1)}, "z", nodes{op("z = f.Inner(x)")}), runtime.WithOperators(runs))
	_, err := m.Run(t.Context(), values{"x": f32([]int{3}, 1, 2, 3)})
	var node *runtime.NodeError
	require.ErrorAs(t, err, &node)
	require.Equal(t, "f.Inner", node.Operator)
	require.ErrorAs(t, node.Err, &node)
	require.Equal(t, "Reshape", node.Operator)
}

// TestWithOperators_DynamicsChangeSbSOnly adds another operator to the domain of SbS.
// Options for SbS layers must not change its attributes, and it draws no spikes.
func TestWithOperators_DynamicsChangeSbSOnly(t *testing.T) {
	twice := ops.Operator{
		Domain: sbs.Domain, Name: "Twice", MinInputs: 1, MaxInputs: 1, MinOutputs: 1, MaxOutputs: 1,
		New: func(n ops.Node) (ops.Op, error) {
			return mapped(func(x float32) float32 { return 2 * x }), n.Attributes.Only()
		},
	}
	pb := network([]*onnxpb.ValueInfoProto{info("x", 1)}, "y", nodes{op("y = ai.sbs.Twice(x)")})
	pb.OpsetImport = append(pb.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: sbs.Domain, Version: sbs.Version})
	m := load(t, pb, runtime.WithOperators(twice))
	require.Empty(t, m.SbSLayers())
	in := values{"x": f32([]int{1}, 3)}
	out, err := m.Run(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, []float32{6}, out["y"].Float32s())
	_, err = m.Run(t.Context(), in, runtime.InjectUniforms(values{"y": f32([]int{1}, 0.5)}))
	require.ErrorIs(t, err, runtime.ErrInput)
	_, err = runtime.New(marshal(t, pb), runtime.WithOperators(twice), runtime.Spikes(5))
	require.ErrorContains(t, err, "the model has none")
}
