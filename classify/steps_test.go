package classify_test

import (
	"image"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/runtime"
)

// A program that prepares an image, runs the model and names the classes gets what Images returns.
func TestClassifier_ClassifiesInSteps(t *testing.T) {
	data, err := digits()
	require.NoError(t, err)
	c := open(t, data)
	file, err := os.ReadFile("../models/mnist/images/7/00000.png")
	require.NoError(t, err)
	img, err := classify.DecodeImage(file, 1000)
	require.NoError(t, err)
	want, err := c.Images(t.Context(), img)
	require.NoError(t, err)

	p, err := c.Prepare(img)
	require.NoError(t, err)
	require.False(t, p.Inverted)
	require.NoError(t, c.CheckValues(p.Pixels))
	var effort runtime.Effort
	out, err := c.Model().Run(t.Context(), map[string]*runtime.Tensor{"image": p.Pixels}, runtime.ReportEffort(func(e runtime.Effort) { effort = e }))
	require.NoError(t, err)
	before := out["probabilities"].Clone()
	got, err := c.Results(out, effort)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.NotZero(t, got[0].Updates)
	got[0].Probabilities[0] = 5
	require.Equal(t, before, out["probabilities"], "the results do not share memory with the outputs")
}

func TestClassifier_StepsRefuseWhatImagesRefuses(t *testing.T) {
	c := open(t, modeltest.Write(t, converttest.Digits(), convert.Options{}))
	_, err := c.Prepare(image.NewGray(image.Rect(0, 0, 5, 5)))
	require.ErrorContains(t, err, "5x5")
	pixels, err := runtime.NewTensor([]int{1, 1, 12, 12}, make([]float32, 144))
	require.NoError(t, err)
	pixels.Float32s()[3] = 255
	require.ErrorIs(t, c.CheckValues(pixels), runtime.ErrValue)
	_, err = c.Results(nil, runtime.Effort{})
	require.ErrorContains(t, err, `output "probabilities"`)
	var none *classify.Classifier
	_, err = none.Prepare(image.NewGray(image.Rect(0, 0, 5, 5)))
	require.Error(t, err)
	require.Error(t, none.CheckValues(pixels))
	_, err = none.Results(nil, runtime.Effort{})
	require.Error(t, err)
}
