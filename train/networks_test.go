package train_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/runtime"
	"github.com/spike-by-spike/sbs/train"
)

// convNet returns a small network of standard operators.
func convNet() *convert.Network {
	m := converttest.New(5)
	w := converttest.Window
	padded := w(3, 1)
	padded.Pads = [2]int{1, 1}
	return &convert.Network{
		Dialect: 2, Step: -1, Input: convert.Size{Channels: 1, Height: 12, Width: 12}, Preprocessing: convert.Preprocessing{Crop: 2, Offset: 1e-20},
		Layers: []convert.Layer{
			m.Conv(padded, 1, 4), &convert.ReLU{}, &convert.MaxPool{Window: w(2, 2)},
			m.Conv(w(2, 1), 4, 5), &convert.ReLU{}, &convert.AveragePool{Window: w(3, 3)}, m.Conv(w(1, 1), 5, 3),
		},
	}
}

// approxNet returns a network like convNet, in which the products of the first two convolutions
// are approximate and those of the last one are those of float32.
func approxNet() *convert.Network {
	n := convNet()
	for i, a := range map[int]sbs.Approximation{
		0: {FracBits: 8, TruncBits: 7, Enabled: true}, 3: {FracBits: 12, TruncBits: 14}, 6: {FracBits: 30, TruncBits: 1, Enabled: true},
	} {
		c := n.Layers[i].(*convert.Conv)
		n.Layers[i] = &convert.ApproxConv{
			Window: c.Window, Weights: c.Weights, Bias: c.Bias, FracBits: a.FracBits, TruncBits: a.TruncBits, Enabled: a.Enabled,
		}
	}
	return n
}

// sbsNet returns a small network of SbS layers, one of them a pooling layer. In dialect 1,
// the layers have epsilon_xy.
func sbsNet(dialect int) *convert.Network {
	m := converttest.New(6)
	w := converttest.Window
	n := &convert.Network{
		Dialect: dialect, Step: -1, Input: convert.Size{Channels: 1, Height: 12, Width: 12}, Preprocessing: convert.Preprocessing{Crop: 2, Offset: 1e-20},
		Layers: []convert.Layer{m.SbS(w(3, 1), 1, 6, 60), m.SbS(w(2, 2), 6, 6, 60), m.SbS(w(3, 1), 6, 3, 60)},
	}
	if dialect == 1 {
		n.Layers[0].(*convert.SbS).EpsilonXY = m.Tensor(0.1, 0.3, 6, 6, 3, 3)
		n.Layers[1].(*convert.SbS).EpsilonXY = m.Tensor(0.1, 0.3, 3, 3)
		n.Layers[2].(*convert.SbS).EpsilonXY = m.Tensor(0.1, 0.3, 1, 1, 3, 3)
	}
	pooling := n.Layers[1].(*convert.SbS)
	pooling.Pooling = true
	for i := range pooling.Weights.Float32s() {
		pooling.Weights.Float32s()[i] = 0
		if k, n := i/6, i%6; k/4 == n {
			pooling.Weights.Float32s()[i] = 0.25
		}
	}
	return n
}

// fullNet returns sbsNet with spikes that are drawn from the whole input of each layer.
func fullNet(dialect int) *convert.Network {
	n := sbsNet(dialect)
	for i, l := range n.Layers {
		s := l.(*convert.SbS)
		s.FullLayer, s.Spikes = true, []int{400, 400, 60}[i]
		s.EpsilonT = sbs.Schedule{Power: -0.5}.EpsilonT(s.Spikes)
	}
	return n
}

// bars returns 12x12 images of a vertical, horizontal or diagonal bar, which are the three
// classes.
func bars(seed uint64, images int) train.Batch {
	r := rand.New(rand.NewPCG(seed, 0))
	b := train.Batch{Labels: make([]int, images)}
	v := make([]float32, images*144)
	for i := range b.Labels {
		b.Labels[i] = r.IntN(3)
		x, y := 4+r.IntN(3), 4+r.IntN(3)
		for j := range 5 {
			at := [][2]int{{2 + j, x}, {y, 2 + j}, {2 + j, 2 + j + r.IntN(2)}}[b.Labels[i]]
			v[i*144+(at[0]+1)*12+at[1]] = 0.5 + r.Float32()/2
		}
	}
	b.Images = opstest.F32([]int{images, 1, 12, 12}, v...)
	return b
}

func newTrainer(t testing.TB, n *convert.Network, cfg train.Config) *train.Trainer {
	t.Helper()
	trainer, err := train.New(modeltest.Write(t, n, convert.Options{}), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, trainer.Close()) })
	return trainer
}

// modelOf returns the file of a model with the given nodes, with the input x, images of 3x3
// pixels, and the output y.
func modelOf(t testing.TB, list ...*onnxpb.NodeProto) []byte {
	t.Helper()
	dims := []*onnxpb.TensorShapeProto_Dimension{
		{Value: &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: "batch"}},
	}
	for _, size := range []int64{1, 3, 3} {
		dims = append(dims, &onnxpb.TensorShapeProto_Dimension{Value: &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: size}})
	}
	data, err := onnx.Marshal(&onnxpb.ModelProto{
		IrVersion: 8, OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: 17}},
		Graph: &onnxpb.GraphProto{
			Node: list, Output: []*onnxpb.ValueInfoProto{{Name: "y"}},
			Input: []*onnxpb.ValueInfoProto{{Name: "x", Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{
				TensorType: &onnxpb.TypeProto_Tensor{ElemType: int32(ops.Float32), Shape: &onnxpb.TensorShapeProto{Dim: dims}},
			}}}},
		},
	})
	require.NoError(t, err)
	return data
}

func step(t testing.TB, trainer *train.Trainer, b train.Batch) train.Result {
	t.Helper()
	r, err := trainer.Step(t.Context(), b)
	require.NoError(t, err)
	return r
}

func fileOf(t testing.TB, trainer *train.Trainer) []byte {
	t.Helper()
	data, err := trainer.Bytes()
	require.NoError(t, err)
	return data
}

func networkOf(t testing.TB, trainer *train.Trainer) *convert.Network {
	t.Helper()
	n, err := convert.FromONNX(fileOf(t, trainer))
	require.NoError(t, err)
	return n
}

// outputOf runs a model and returns its only output.
func outputOf(t testing.TB, m *runtime.Model, images *runtime.Tensor) []float32 {
	t.Helper()
	out, err := m.Run(t.Context(), map[string]*runtime.Tensor{m.Inputs()[0].Name: images})
	require.NoError(t, err)
	return out[m.Outputs()[0].Name].Float32s()
}
