package runtime_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

func TestCrop_IsThatOfTheNetwork(t *testing.T) {
	require.Zero(t, (*runtime.Model)(nil).Crop())
	for _, crop := range []int{0, 1, 3} {
		for _, o := range []convert.Options{{}, {Batch: 3}, {Body: convert.BodyInline}} {
			n := converttest.Digits()
			n.Input.Height += 2*crop - 2*n.Preprocessing.Crop
			n.Input.Width += 2*crop - 2*n.Preprocessing.Crop
			n.Preprocessing.Crop = crop
			m, err := runtime.New(modeltest.Write(t, n, o))
			require.NoError(t, err)
			require.Equal(t, crop, m.Crop(), "%+v", o)
			require.NoError(t, m.Close())
		}
	}
}

// The images of a model with stages must not move further than the crop of any stage.
func TestCrop_IsTheSmallestOfAllStages(t *testing.T) {
	s := converttest.Staged()
	for i, crop := range []int{3, 1, 2} {
		n := s.Stages[i].Network
		n.Preprocessing.Crop = crop
		n.Layers = []convert.Layer{converttest.New(uint64(i)).SbS(converttest.Window(n.Input.Height-2*crop, 1), 1, 3, 20)}
	}
	data := writeStages(t, s)
	require.Equal(t, 1, loadBytes(t, data).Crop())
	for i, crop := range []int{3, 1, 2} {
		require.Equal(t, crop, loadBytes(t, data, runtime.OnlyStage(i+1)).Crop())
	}
}

// Exporters crop images with one Slice node for all axes, or with one for each.
func TestCrop_OfModelsOfOtherPrograms(t *testing.T) {
	for name, c := range map[string]struct {
		nodes   nodes
		outputs string
		want    int
	}{
		"no node":                        {nodes{op("y = Relu(x)")}, "y", 0},
		"both axes":                      {nodes{op("a = Slice(x, 2 3, -3 -4, 2 3)"), op("y = Relu(a)")}, "y", 2},
		"the smallest of four":           {nodes{op("a = Slice(x, 2 3, 9 6, 2 3)"), op("y = Relu(a)")}, "y", 1},
		"one axis after the other":       {nodes{op("a = Slice(x, 2, -2, 2)"), op("b = Slice(a, 3, -2, 3)"), op("y = Relu(b)")}, "y", 2},
		"one axis only":                  {nodes{op("a = Slice(x, 2, -2, 2)"), op("y = Relu(a)")}, "y", 0},
		"twice the same axes":            {nodes{op("a = Slice(x, 1 1, -1 -1, 2 3)"), op("b = Slice(a, 1 1, -1 -1, 2 3)"), op("y = Relu(b)")}, "y", 2},
		"default axes":                   {nodes{op("a = Slice(x, 0 0 1 2, 9 9 -1 -2)"), op("y = Relu(a)")}, "y", 1},
		"starts from the end":            {nodes{op("a = Slice(x, -9 -6, -1 -2, 2 3)"), op("y = Relu(a)")}, "y", 1},
		"large ends":                     {nodes{op("a = Slice(x, 1 1, 99 99, 2 3)"), op("y = Relu(a)")}, "y", 0},
		"steps of 1":                     {nodes{op("a = Slice(x, 1 1, -1 -1, 2 3, 1 1)"), op("y = Relu(a)")}, "y", 1},
		"every second pixel":             {nodes{op("a = Slice(x, 1 1, -1 -1, 2 3, 2 2)"), op("y = Relu(a)")}, "y", 0},
		"after another operator":         {nodes{op("a = Relu(x)"), op("y = Slice(a, 1 1, -1 -1, 2 3)")}, "y", 0},
		"the whole image is used too":    {nodes{op("y = Slice(x, 1 1, -1 -1, 2 3)"), op("z = Relu(x)")}, "y, z", 0},
		"the whole image is an output":   {nodes{op("y = Slice(x, 1 1, -1 -1, 2 3)")}, "x, y", 0},
		"the cropped image is an output": {nodes{op("y = Slice(x, 1 1, -1 -1, 2 3)")}, "y", 1},
		"channels are chosen first":      {nodes{op("a = Slice(x, 0, 1, 1)"), op("b = Slice(a, 1 1, -1 -1, 2 3)"), op("y = Relu(b)")}, "y", 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := network([]*onnxpb.ValueInfoProto{typed("x", ops.Float32, -1, 3, 10, 9)}, c.outputs, c.nodes)
			vectors(t, m)
			require.Equal(t, c.want, load(t, m).Crop())
		})
	}
}

// vectors adds the integer vectors that are named after their entries, such as "2 -3".
func vectors(t *testing.T, m *onnxpb.ModelProto) {
	t.Helper()
	added := map[string]bool{}
	for _, n := range m.GetGraph().GetNode() {
		for _, name := range n.GetInput()[1:] {
			if added[name] {
				continue
			}
			added[name] = true
			var values []int64
			for word := range strings.FieldsSeq(name) {
				v, err := strconv.ParseInt(word, 10, 64)
				require.NoError(t, err)
				values = append(values, v)
			}
			m.Graph.Initializer = append(m.Graph.Initializer, onnx.Int64Tensor(name, values...))
		}
	}
}
