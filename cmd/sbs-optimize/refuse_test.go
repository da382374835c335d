package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/clitest"
	"github.com/spike-by-spike/sbs/internal/converttest"
)

func TestOptimize_RefusesBeforeTheSearch(t *testing.T) {
	model, data := trained(t, "--holdout", "200", "--epochs", "1")
	seen, _ := trained(t, "--epochs", "1")
	other := t.TempDir()
	clitest.Bars(t, other, 300, 90)
	few := t.TempDir()
	clitest.Bars(t, few, 60, 0)
	unlabeled := t.TempDir()
	clitest.Array(t, filepath.Join(unlabeled, "TrainPatternStorage.npy"), []int{200, 12, 12}, make([]float32, 200*144))
	pictures := filepath.Join(t.TempDir(), "pictures.npy")
	clitest.Array(t, pictures, []int{200, 12, 12}, make([]float32, 200*144))
	empty := t.TempDir()
	n := network(t, model)
	n.Layers = n.Layers[:0:0]
	n.Layers = append(n.Layers, &convert.AveragePool{Window: convert.Window{Kernel: [2]int{8, 8}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}}})
	cnn := save(t, n, convert.Options{})
	n = network(t, model)
	n.Layers = append(n.Layers, &convert.ReLU{})
	relu := save(t, n, convert.Options{})
	n = network(t, model)
	n.Layers = n.Layers[:2]
	positions := save(t, n, convert.Options{})
	n = network(t, model)
	for _, l := range layers(n) {
		l.Spikes = 30
	}
	fewer := save(t, n, convert.Options{})
	stages := filepath.Join(t.TempDir(), "stages.onnx")
	content, err := convert.StagesToONNX(converttest.Staged(), convert.Options{})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(stages, content, 0o600))
	junk := filepath.Join(t.TempDir(), "junk.onnx")
	require.NoError(t, os.WriteFile(junk, []byte("junk"), 0o600))

	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"no model", nil, "the model is missing"},
		{"no data", []string{model, "--min-accuracy", "90"}, "the images are missing: give their file or folder with --data"},
		{"no wish", []string{model, "--data", data}, "either --min-accuracy PERCENT or --max-updates N"},
		{"two wishes", []string{model, "--data", data, "--min-accuracy", "90", "--max-updates", "9"}, "either --min-accuracy PERCENT or --max-updates N"},
		{"accuracy above 100", []string{model, "--data", data, "--min-accuracy", "101"}, "--min-accuracy 101: want a percentage above 0, at most 100"},
		{"accuracy is NaN", []string{model, "--data", data, "--min-accuracy", "NaN"}, "--min-accuracy NaN"},
		{"robustness", []string{model, "--data", data, "--min-accuracy", "90", "--keep-robustness", "-1"}, "--keep-robustness -1"},
		{"confidence", []string{model, "--data", data, "--min-accuracy", "90", "--max-accuracy-loss", "1", "--confidence", "100"}, "--confidence 100"},
		{"rate", []string{model, "--data", data, "--min-accuracy", "90", "--lr", "0"}, "--lr 0"},
		{"resume and force", []string{model, "--data", data, "--min-accuracy", "90", "--resume", "--force"}, "cannot be combined"},
		{"no held-out images", []string{seen, "--data", data, "--min-accuracy", "90"}, "train it with sbs-train --holdout N, or give other labeled images with --validation PATH"},
		{"other training images", []string{model, "--data", other, "--min-accuracy", "90"}, "are not the images that the model was trained with (600 images, of which 200 were held back)"},
		{"too few validation images", []string{seen, "--data", data, "--validation", filepath.Join(few, "TrainPatternStorage.npy"), "--min-accuracy", "90"}, "60 images of TrainPatternStorage.npy are too few: it takes at least 100"},
		{"empty validation folder", []string{seen, "--data", data, "--validation", empty, "--min-accuracy", "90"}, "--validation: "},
		{"validation without labels", []string{seen, "--data", data, "--validation", pictures, "--min-accuracy", "90"}, "has no label"},
		{"training without labels", []string{model, "--data", unlabeled, "--min-accuracy", "90"}, "label"},
		{"no training images", []string{seen, "--validation", data, "--min-accuracy", "90"}, "or search without fine-tuning with --trainings 0"},
		{"too few images for the loss", []string{model, "--data", data, "--min-accuracy", "90", "--max-accuracy-loss", "0.1"}, "takes at least 2995 images for the calibration, but there are 100"},
		{"no SbS layer", []string{cnn, "--data", data, "--min-accuracy", "90"}, "the network has no SbS layer"},
		{"stages", []string{stages, "--data", data, "--min-accuracy", "90"}, "the model has stages (metadata ai.sbs.stages): choose one, and write it to a model of its own with sbs-convert"},
		{"validation images that are training images", []string{seen, "--data", data, "--validation", filepath.Join(data, "TrainPatternStorage.npy"), "--min-accuracy", "90"}, "600 of its 600 images are also training images"},
		{"validation images that are test images", []string{seen, "--data", data, "--validation", data, "--min-accuracy", "90"}, "120 of its 120 images are also test images"},
		{"the same without fine-tuning", []string{seen, "--data", data, "--validation", filepath.Join(data, "TrainPatternStorage.npy"), "--min-accuracy", "90", "--trainings", "0"}, "600 of its 600 images are also training images"},
		{"the same for stages", []string{model, seen, "--data", data, "--validation", filepath.Join(data, "TrainPatternStorage.npy"), "--max-accuracy-loss", "5"}, "600 of its 600 images are also training images"},
		{"test images that are training images", []string{model, "--data", data, "--test", filepath.Join(data, "TrainPatternStorage.npy"), "--min-accuracy", "90"}, "--test " + filepath.Join(data, "TrainPatternStorage.npy") + ": 600 of its 600 images are also training images"},
		{"several output positions", []string{positions, "--data", data, "--min-accuracy", "90"}, "the output of the last layer is 6x3x3"},
		{"stages in the wrong order", []string{model, fewer, "--data", data, "--max-accuracy-loss", "5"}, "takes 2220 updates per image and " + fewer + " takes 1110: name the models from the fastest to the most accurate"},
		{"stages with equal updates", []string{model, model, "--data", data, "--max-accuracy-loss", "5"}, "name the models from the fastest"},
		{"stages need probabilities", []string{relu, "--data", data, "--min-accuracy", "90", "--max-accuracy-loss", "5"}, "its last layer is of kind Relu"},
		{"confidence without stages", []string{model, "--data", data, "--min-accuracy", "90", "--confidence", "90"}, "--confidence has no effect without --max-accuracy-loss"},
		{"epochs without trainings", []string{model, "--data", data, "--min-accuracy", "90", "--trainings", "0", "--epochs", "2"}, "--epochs has no effect with --trainings 0"},
		{"missing folder", []string{model, "--data", data, "--min-accuracy", "90", "-o", filepath.Join(empty, "no", "x.onnx")}, "does not exist"},
		{"not a model", []string{junk, "--data", data, "--min-accuracy", "90"}, "junk.onnx"},
		{"output is the model", []string{model, "--data", data, "--min-accuracy", "90", "-o", model}, "is the model to optimize: give another path"},
		{"output is a folder", []string{model, "--data", data, "--min-accuracy", "90", "-o", data}, "is a folder"},
		{"output exists", []string{model, "--data", data, "--min-accuracy", "90", "-o", seen}, "already exists: give another --output"},
		{"several models without a loss", []string{model, seen, "--data", data}, "say with --max-accuracy-loss which share"},
		{"several models with a wish", []string{model, seen, "--data", data, "--max-accuracy-loss", "1", "--min-accuracy", "90"}, "--min-accuracy is for the search with one model"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, errOut, err := command(t, c.args...)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, errOut, "searching")
			require.NotContains(t, errOut, "to resume")
		})
	}
}
