package runtime_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/runtime"
)

// TestNNMF_StandardOperatorsGiveTheSameOutput compares the operator with its definition in
// standard operators, in this runtime.
func TestNNMF_StandardOperatorsGiveTheSameOutput(t *testing.T) {
	for name, n := range converttest.NNMFVariants() {
		in := map[string]*runtime.Tensor{"image": imagesWithDarkCorners(n, 3)}
		want := runLayers(t, modeltest.Write(t, n, convert.Options{}), in)
		got := runLayers(t, modeltest.Write(t, n, convert.Options{Body: convert.BodyInline}), in)
		for layer, w := range want {
			require.LessOrEqual(t, largestDifference(w.Float32s(), got[layer].Float32s()), 1e-6, "%s, %s", name, layer)
		}
	}
}

// runLayers runs a model and returns the output of every layer.
func runLayers(t *testing.T, model []byte, in map[string]*runtime.Tensor) map[string]*runtime.Tensor {
	t.Helper()
	m, err := runtime.New(withLayerOutputs(t, model))
	require.NoError(t, err)
	defer func() { require.NoError(t, m.Close()) }()
	out, err := m.Run(t.Context(), in)
	require.NoError(t, err)
	return out
}

// TestNNMF_OutputDoesNotDependOnTheBatch runs each image alone and in a batch.
func TestNNMF_OutputDoesNotDependOnTheBatch(t *testing.T) {
	for name, n := range converttest.NNMFVariants() {
		x := imagesWithDarkCorners(n, 5)
		model := modeltest.Write(t, n, convert.Options{})
		all := runLayers(t, model, map[string]*runtime.Tensor{"image": x})
		one := x.Len() / 5
		for i := range 5 {
			alone := runLayers(t, model, map[string]*runtime.Tensor{"image": f32([]int{1, 2, 9, 8}, x.Float32s()[i*one:][:one]...)})
			for layer, w := range all {
				size := w.Len() / 5
				require.Equal(t, w.Float32s()[i*size:][:size], alone[layer].Float32s(), "%s, %s", name, layer)
			}
		}
	}
}

func TestInteropNNMF_LayersMatch(t *testing.T) {
	requireOnnxruntime(t)
	for name, n := range converttest.NNMFVariants() {
		for _, body := range []convert.Body{convert.BodyFunction, convert.BodyInline} {
			t.Run(name+"/"+string(body), func(t *testing.T) {
				in := map[string]*runtime.Tensor{"image": imagesWithDarkCorners(n, 3)}
				onnxruntime{t}.compare(modeltest.Write(t, n, convert.Options{}), modeltest.Write(t, n, convert.Options{Body: body}), in, 2e-6)
			})
		}
	}
}
