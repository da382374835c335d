package training

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
)

// TestTrain_RefusesBeforeTraining checks the errors about wrong flags and files. They must
// come before the first update.
func TestTrain_RefusesBeforeTraining(t *testing.T) {
	data, path := bars(t, 30, 0), model(t, convert.Options{})
	labels := bars(t, 30, 0)
	array(t, filepath.Join(labels, "TrainLabelStorage.npy"), []int{30}, append(make([]uint64, 29), 3))
	large := t.TempDir()
	array(t, filepath.Join(large, "TrainPatternStorage.npy"), []int{3, 16, 16}, make([]float32, 3*256))
	array(t, filepath.Join(large, "TrainLabelStorage.npy"), []int{3}, make([]uint64, 3))
	junk := filepath.Join(t.TempDir(), "junk.onnx")
	require.NoError(t, os.WriteFile(junk, []byte("junk"), 0o600))
	several := converttest.Digits()
	several.Layers = several.Layers[:2]
	positions := filepath.Join(t.TempDir(), "positions.onnx")
	content, err := convert.ToONNX(several, convert.Options{})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(positions, content, 0o600))
	end := several.Layers[0].(*convert.SbS)
	several.Layers = append(several.Layers[:1:1], &convert.Reconstruction{Weights: end.Weights})
	several.Training = nil // whose loss_mode does not fit a reconstruction
	reconstruction := filepath.Join(t.TempDir(), "reconstruction.onnx")
	content, err = convert.ToONNX(several, convert.Options{})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(reconstruction, content, 0o600))
	config := dialect2(t)
	outside := configuration(t, "network.json", strings.Replace(string(read(t, config)), `"epoch_id_max"`, `"weight_path": "../x", "epoch_id_max"`, 1))
	colorful := configuration(t, "network.json", strings.NewReplacer("BARS", "CIFAR10", `"learning_parameters"`,
		`"augmentation": {"jitter_brightness": 2e6}, "learning_parameters"`).Replace(string(read(t, config))))
	plain := converttest.Digits()
	plain.Layers = []convert.Layer{converttest.New(1).Conv(converttest.Window(8, 1), 1, 3)}
	logits := filepath.Join(t.TempDir(), "logits.onnx")
	content, err = convert.ToONNX(plain, convert.Options{})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(logits, content, 0o600))
	stages := filepath.Join(t.TempDir(), "stages.onnx")
	content, err = convert.StagesToONNX(converttest.Staged(), convert.Options{})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(stages, content, 0o600))
	occupied := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(occupied, "network.json"), []byte(`{"network_structure": {}}`), 0o600))
	inactive := configuration(t, "network.json", strings.Replace(string(read(t, config)), `"loss_mode"`, `"learning_active": false, "loss_mode"`, 1))
	skipping := configuration(t, "network.json", strings.Replace(string(read(t, config)), `"loss_mode"`, `"sbs_skip_gradient_calculation": [true, false, true], "loss_mode"`, 1))

	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"no arguments", nil, "expected one model or configuration, got 0 arguments"},
		{"no data", []string{path}, "give their file or folder with --data PATH"},
		{"stages", []string{stages, "--data", data}, "stages.onnx: the model has stages (metadata ai.sbs.stages): choose one, and write it to a model of its own with sbs-convert STAGED.onnx --stage N ONE.onnx"},
		{"missing model", []string{"missing.onnx", "--data", data}, "missing.onnx"},
		{"missing data", []string{path, "--data", "missing"}, "missing"},
		{"file is not a model", []string{junk, "--data", data}, "junk.onnx"},
		{"no training set", []string{path, "--data", t.TempDir()}, "contains no"},
		{"missing test", []string{path, "--data", data, "--test", "missing"}, "missing"},
		{"size of the images", []string{path, "--data", large}, "the array has shape [3 16 16], but the network needs images of 1x12x12"},
		{"size of the images for a configuration", []string{config, "--data", large}, "the output of the last layer is 3x3x3"},
		{"label without a class", []string{path, "--data", labels}, "the images have 4 classes (labels 0 to 3), but the model has 3 classes (a, b, c)"},
		{"label without a class for a configuration", []string{config, "--data", labels}, "label 3"},
		{"several output positions", []string{positions, "--data", data}, "so that the output has height 1 and width 1"},
		{"reconstruction", []string{reconstruction, "--data", data, "--loss", "cross-entropy"}, "compares classes, but the network ends with a reconstruction of its input: use --loss mixture"},
		{"unknown layer", []string{path, "--data", data, "--freeze", "L9"}, "the layers are L0 to L2"},
		{"all layers frozen", []string{path, "--data", data, "--freeze", "L0,L2"}, "nothing is left to train"},
		{"generation of a model", []string{path, "--data", data, "--generation", "2023-01"}, "--generation requires a configuration"},
		{"unknown generation", []string{config, "--data", data, "--generation", "2022-05"}, "2023-01"},
		{"no gradient", []string{skipping, "--data", data}, "nothing is left to train: learning_parameters.sbs_skip_gradient_calculation is true for L0, L2, so that neither these layers nor those before them are trained"},
		{"unknown loss", []string{path, "--data", data, "--loss", "x"}, "--loss x: want one of cross-entropy, mixture"},
		{"unknown schedule", []string{path, "--data", data, "--lr-schedule", "x"}, "--lr-schedule x: want one of constant, cosine, plateau"},
		{"negative rate", []string{path, "--data", data, "--lr", "-1"}, "--lr -1: want a number above 0"},
		{"NaN rate", []string{path, "--data", data, "--lr", "NaN", "--lr-epsilon-xy", "0"}, "--lr NaN: want a number above 0"},
		{"batch of 0 images", []string{path, "--data", data, "--batch", "0"}, "--batch 0: want a whole number of at least 1"},
		{"test and no test", []string{path, "--data", data, "--no-test", "--test", data}, "--no-test cannot be combined with --test"},
		{"resume and force", []string{path, "--data", data, "--resume", "--force"}, "--resume and --force cannot be combined"},
		{"output is the input", []string{path, "--data", data, "-o", path}, "is the model that is trained: give another path"},
		{"output is a folder", []string{path, "--data", data, "-o", data, "--force"}, "is a folder: give the path of the model to write"},
		{"output is a new folder", []string{path, "--data", data, "-o", "new/"}, "--output new/ is a folder"},
		{"a model without a checkpoint", []string{path, "--data", data, "-o", logits, "--resume"}, "logits.onnx already exists, but there is no checkpoint in "},
		{"path leads out of the folder", []string{outside, "--data", data}, `weight_path "../x"`},
		{"learning is not active", []string{inactive, "--data", data}, "learning_active is false"},
		{"augmentation out of range", []string{colorful, "--data", data}, "a jitter of brightness, contrast or saturation is 2e+06"},
		{"mixture of logits", []string{logits, "--data", data, "--loss", "mixture"}, "use --loss cross-entropy"},
		{"spikes without an SbS layer", []string{logits, "--data", data, "--spikes", "9"}, "the network has no SbS layer"},
		{"epsilon without an SbS layer", []string{logits, "--data", data, "--epsilon-0", "2"}, "the network has no SbS layer"},
		{"rate of epsilon_xy without epsilon_xy", []string{path, "--data", data, "--lr-epsilon-xy", "0.1"}, "no layer has an epsilon_xy that is trained"},
		{"another configuration exists", []string{config, "--data", data, "-o", occupied}, "network.json: already exists with different content"},
		{"unknown sampler", []string{path, "--data", data, "--sampler", "x"}, "--sampler"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, errOut, err := command(t, c.args...)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, errOut, "update 1", "the error must come before training")
		})
	}
}
