package main

import (
	"bytes"
	"image"
	_ "image/png"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
	"github.com/spike-by-spike/sbs/train"
)

func TestRun_PrintsBothAnswers(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &out))
	require.Regexp(t, `^with Sharpen:
	row	0\.9\d
	diagonal	0\.0\d
	column	0\.0\d
with Sharpen and a Relu that removes noise:
	row	1\.00
`, out.String())
}

func TestModel_NeedsTheOperator(t *testing.T) {
	_, err := runtime.New(modelFile)
	require.ErrorIs(t, err, runtime.ErrUnknownOperator)
	require.ErrorIs(t, err, runtime.ErrModel)
	require.ErrorContains(t, err, "Sharpen")
}

// The gradient passes through Sharpen to the weights of the Spike-By-Spike layer.
func TestTraining_PassesThroughTheOperator(t *testing.T) {
	trainer, err := train.New(modelFile, train.Config{Operators: []ops.Operator{Sharpen()}, RateW: .2})
	require.NoError(t, err)
	defer trainer.Close()
	images, err := runtime.NewTensor([]int{3, 1, 2, 2}, []float32{
		1, 0, 0, 0,
		0, 1, 0, 0,
		0, 0, 1, 0,
	})
	require.NoError(t, err)
	var losses []float64
	for range 50 {
		r, err := trainer.Step(t.Context(), train.Batch{Images: images, Labels: []int{0, 1, 2}})
		require.NoError(t, err)
		losses = append(losses, r.LossPerImage)
	}
	require.Less(t, losses[49], losses[0]/2)
	model, err := trainer.Model(runtime.WithOperators(Sharpen()))
	require.NoError(t, err)
	defer model.Close()
	classifier, err := classify.New(model)
	require.NoError(t, err)
	defer classifier.Close()
	results, err := classifier.Run(t.Context(), images)
	require.NoError(t, err)
	for i, r := range results {
		require.Equal(t, i, r.Class)
	}
}

// Another module can use every public package: weights become a model, which classifies
// an image.
func TestPublicPackages_WorkInAnotherModule(t *testing.T) {
	network, report, err := pytorch.Load(pytorch.Options{Weights: "../../models/mnist/Weights"})
	require.NoError(t, err)
	require.Empty(t, report.Warnings)
	data, err := convert.ToONNX(network, convert.Options{})
	require.NoError(t, err)
	again, err := convert.FromONNX(data)
	require.NoError(t, err)
	require.Equal(t, network.Classes, again.Classes)
	model, err := runtime.New(data, runtime.WithSampler(runtime.LowDiscrepancy))
	require.NoError(t, err)
	defer model.Close()
	classifier, err := classify.New(model)
	require.NoError(t, err)
	defer classifier.Close()

	f, err := os.Open("../../models/mnist/images/7/00000.png")
	require.NoError(t, err)
	defer f.Close() //nolint:errcheck // the file is only read
	img, _, err := image.Decode(f)
	require.NoError(t, err)
	results, err := classifier.Images(t.Context(), img)
	require.NoError(t, err)
	require.Equal(t, "7", results[0].Name)
}
