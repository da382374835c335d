package onnxgo_test

import (
	"context"
	"maps"
	goruntime "runtime"
	"testing"
	"time"

	"github.com/owulveryck/onnx-go"
	"github.com/stretchr/testify/require"
	"gorgonia.org/tensor"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
	"github.com/spike-by-spike/sbs/runtime/onnxgo"
)

// networks returns networks with all kinds of layers.
func networks(t *testing.T) map[string]*convert.Network {
	all := converttest.Variants()
	maps.Copy(all, converttest.ImageLayers())
	all["digits"] = converttest.Digits()
	all["every layer"] = converttest.EveryLayer()
	m := converttest.New(4)
	all["cnn"] = &convert.Network{Step: -1, Input: convert.Size{Channels: 1, Height: 12, Width: 12}, Layers: []convert.Layer{
		m.Conv(converttest.Window(3, 1), 1, 6), &convert.ReLU{}, &convert.MaxPool{Window: converttest.Window(2, 2)},
		m.Conv(converttest.Window(5, 1), 6, 10),
	}}
	prototypes, _, err := pytorch.Load(pytorch.Options{Weights: "../../models/mnist-prototypes/Weights"})
	require.NoError(t, err)
	all["mnist-prototypes"] = prototypes
	return all
}

func write(t *testing.T, n *convert.Network, opt convert.Options) []byte {
	t.Helper()
	data, err := convert.ToONNX(n, opt)
	require.NoError(t, err)
	return data
}

// images returns a batch of random images as tensors of this module and of gorgonia.
func images(t *testing.T, n *convert.Network, batch int) (*ops.Tensor, *tensor.Dense) {
	t.Helper()
	shape := []int{batch, n.Input.Channels, n.Input.Height, n.Input.Width}
	x := converttest.New(9).Tensor(0, 1, shape...)
	return x, tensor.New(tensor.WithShape(shape...), tensor.WithBacking(x.Float32s()))
}

// output returns the only output of a model.
func output(t *testing.T, m *onnx.Model) *tensor.Dense {
	t.Helper()
	out, err := m.GetOutputTensors()
	require.NoError(t, err)
	require.Len(t, out, 1)
	d, ok := out[0].(*tensor.Dense)
	require.True(t, ok, "the output is a %T", out[0])
	return d
}

// TestBackend_RunsNetworksLikeRuntime compares all values that the file declares, bit for
// bit.
func TestBackend_RunsNetworksLikeRuntime(t *testing.T) {
	for name, n := range networks(t) {
		for _, opt := range []convert.Options{{Batch: 2}, {Batch: 2, Body: convert.BodyNone, Seed: 3}, {}} {
			t.Run(name, func(t *testing.T) {
				data := write(t, n, opt)
				reference, err := runtime.New(data)
				require.NoError(t, err)
				b := onnxgo.New()
				m := onnx.NewModel(b)
				require.NoError(t, m.UnmarshalBinary(data))
				batches := []int{2}
				if opt.Batch == 0 {
					batches = []int{1, 3, 3}
				}
				for _, batch := range batches {
					x, g := images(t, n, batch)
					options := []runtime.RunOption{runtime.Seed(5), runtime.FirstImage(7)}
					observed := map[string]*ops.Tensor{}
					want, err := reference.Run(context.Background(), map[string]*ops.Tensor{"image": x},
						append(options, runtime.Observe(func(name string, x *ops.Tensor) { observed[name] = x }))...)
					require.NoError(t, err)

					require.NoError(t, m.SetInput(0, g))
					require.NoError(t, b.RunContext(context.Background(), options...))
					got := output(t, m)
					out := want[reference.Outputs()[0].Name]
					require.Equal(t, out.Shape(), []int(got.Shape()))
					require.Equal(t, out.Float32s(), got.Data())

					declared := 0
					for name, x := range observed {
						node, ok := m.GetNodeByName(name)
						require.True(t, ok, name)
						got := node.(onnx.DataCarrier).GetTensor()
						require.Equal(t, x.Float32s(), got.Data(), name)
						declared++
					}
					require.GreaterOrEqual(t, declared, len(n.Layers))
				}
			})
		}
	}
}

func TestRun_IsRunContextWithoutOptions(t *testing.T) {
	n := converttest.Digits()
	data := write(t, n, convert.Options{})
	reference, err := runtime.New(data, runtime.Spikes(10))
	require.NoError(t, err)
	x, g := images(t, n, 2)
	want, err := reference.Run(context.Background(), map[string]*ops.Tensor{"image": x})
	require.NoError(t, err)

	b := onnxgo.New(runtime.Spikes(10), runtime.Workers(1))
	m, err := b.Decode(data)
	require.NoError(t, err)
	require.NoError(t, m.SetInput(0, g))
	require.NoError(t, b.Run())
	require.Equal(t, want["probabilities"].Float32s(), output(t, m).Data())

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, b.RunContext(ctx), context.Canceled)
	out, err := m.GetOutputTensors()
	require.NoError(t, err)
	require.Nil(t, out[0], "a failed run must not leave the outputs of an earlier one")
}

// TestBackend_RunsModelsWithSeveralInputs has a network that takes its random numbers as inputs.
func TestBackend_RunsModelsWithSeveralInputs(t *testing.T) {
	n := converttest.Digits()
	data := write(t, n, convert.Options{Batch: 2, Inject: convert.InjectUniforms})
	reference, err := runtime.New(data)
	require.NoError(t, err)
	b := onnxgo.New()
	m, err := b.Decode(data)
	require.NoError(t, err)
	require.Len(t, m.Input, 3)
	inputs := map[string]*ops.Tensor{}
	for i, v := range reference.Inputs() {
		shape, known := v.Sizes()
		require.True(t, known)
		x := converttest.New(uint64(i)).Tensor(0, 1, shape...)
		inputs[v.Name] = x
		require.NoError(t, m.SetInput(i, tensor.New(tensor.WithShape(shape...), tensor.WithBacking(x.Float32s()))))
	}
	want, err := reference.Run(context.Background(), inputs)
	require.NoError(t, err)
	require.NoError(t, b.Run())
	require.Equal(t, want["probabilities"].Float32s(), output(t, m).Data())
}

func TestSetInput_RefusesWrongTensors(t *testing.T) {
	n := converttest.Digits()
	b := onnxgo.New()
	require.ErrorContains(t, b.Run(), "no model")
	m, err := b.Decode(write(t, n, convert.Options{Batch: 2}))
	require.NoError(t, err)
	require.Equal(t, []int{2, 1, 12, 12}, []int(m.GetInputTensors()[0].Shape()), "the declared shape")
	require.ErrorIs(t, b.Run(), runtime.ErrInput)
	require.ErrorContains(t, b.Run(), `"image", float32(2, 1, 12, 12), is not set`)

	_, three := images(t, n, 3)
	require.NoError(t, m.SetInput(0, three))
	err = b.Run()
	require.ErrorIs(t, err, runtime.ErrInput)
	require.ErrorContains(t, err, "want float32(2, 1, 12, 12)")
	require.ErrorContains(t, err, "got float32(3, 1, 12, 12)")

	require.NoError(t, m.SetInput(0, tensor.New(tensor.WithShape(2, 1, 12, 12), tensor.Of(tensor.Float64))))
	require.ErrorContains(t, b.Run(), "got float64(2, 1, 12, 12)")

	require.ErrorContains(t, m.SetInput(0, nil), `input "image": the tensor is missing, or is not a *tensor.Dense`)
	require.ErrorContains(t, m.SetInput(0, (*tensor.Dense)(nil)), "the tensor is missing")
	require.ErrorIs(t, m.SetInput(0, tensor.New(tensor.WithBacking([]string{"a", "b"}))), ops.ErrDType)
	require.ErrorContains(t, m.SetInput(0, tensor.New(tensor.WithBacking([]float32{1, 2}, []bool{true, false}))), "mask")
	require.Error(t, m.SetInput(-1, three))

	set := func(name string) error {
		node, ok := m.GetNodeByName(name)
		require.True(t, ok)
		return node.(onnx.DataCarrier).SetTensor(three)
	}
	require.ErrorContains(t, set("L0"), "computed by the model")
	require.ErrorContains(t, set("L0/SbS/W"), "is an initializer")

	_, err = b.Decode(write(t, n, convert.Options{}))
	require.ErrorContains(t, err, "has a model: use a new one")
}

func TestRun_RefusesAnotherImageSizeWithSymbolicBatch(t *testing.T) {
	b := onnxgo.New()
	m, err := b.Decode(write(t, converttest.Digits(), convert.Options{}))
	require.NoError(t, err)
	require.NoError(t, m.SetInput(0, tensor.New(tensor.WithShape(2, 1, 11, 12), tensor.Of(tensor.Float32))))
	require.ErrorContains(t, b.Run(), "want float32(1, 12, 12) and any symbolic dimensions of the file, got float32(2, 1, 11, 12)")
}

func TestBackend_RefusesNilAndZero(t *testing.T) {
	data := write(t, converttest.Digits(), convert.Options{})
	for name, b := range map[string]*onnxgo.Backend{"nil": nil, "zero": {}} {
		t.Run(name, func(t *testing.T) {
			_, err := b.Decode(data)
			require.ErrorContains(t, err, "nil or zero: use New")
			require.ErrorContains(t, b.Run(), "nil or zero: use New")
		})
	}
	b := onnxgo.New()
	m, err := b.Decode(data)
	require.NoError(t, err)
	_, x := images(t, converttest.Digits(), 1)
	require.NoError(t, m.SetInput(0, x))
	require.ErrorContains(t, b.RunContext(nil), "the context is nil") //nolint:staticcheck // nil is the case
	require.ErrorIs(t, b.RunContext(t.Context(), nil), runtime.ErrOption)

	b = onnxgo.New(nil)
	m, err = b.Decode(data)
	require.NoError(t, err)
	require.NoError(t, m.SetInput(0, x))
	require.ErrorIs(t, b.Run(), runtime.ErrOption)
}

// TestApplyOperation_ErrorNamesTheFirstOfSeveralAttributes makes two mistakes several times:
// the error must not depend on chance.
func TestApplyOperation_ErrorNamesTheFirstOfSeveralAttributes(t *testing.T) {
	texts := tensor.New(tensor.WithShape(1), tensor.WithBacking([]string{"x"}))
	for range 20 {
		err := onnxgo.New().ApplyOperation(onnx.Operation{Name: "F", Attributes: map[string]any{"b": texts, "a": texts}})
		require.ErrorContains(t, err, "operation F: attribute a: ")
	}
}

// TestBackend_EndsItsGoroutines changes the batch, so that the model is compiled again, and
// uses the Backend after Close.
func TestBackend_EndsItsGoroutines(t *testing.T) {
	n := converttest.Digits()
	data := write(t, n, convert.Options{})
	before := goruntime.NumGoroutine()
	b := onnxgo.New(runtime.Workers(2))
	m, err := b.Decode(data)
	require.NoError(t, err)
	require.NoError(t, b.Close(), "before the first run")
	for batch := range 10 {
		_, x := images(t, n, batch+1)
		require.NoError(t, m.SetInput(0, x))
		require.NoError(t, b.Run())
	}
	_, x := images(t, n, 2)
	require.NoError(t, m.SetInput(0, x))
	require.NoError(t, b.Run())
	want := output(t, m).Data()
	require.NoError(t, b.Close())
	require.NoError(t, b.Run())
	require.Equal(t, want, output(t, m).Data())
	require.NoError(t, b.Close())
	require.NoError(t, b.Close())
	require.NoError(t, (*onnxgo.Backend)(nil).Close())
	for end := time.Now().Add(5 * time.Second); goruntime.NumGoroutine() > before && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	require.LessOrEqual(t, goruntime.NumGoroutine(), before)
}
