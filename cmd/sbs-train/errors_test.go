package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
)

func TestErrors(t *testing.T) {
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
	bytes, err := convert.ToONNX(several, convert.Options{})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(positions, bytes, 0o600))
	end := several.Layers[0].(*convert.SbS)
	several.Layers = append(several.Layers[:1:1], &convert.Reconstruction{Weights: end.Weights})
	reconstruction := filepath.Join(t.TempDir(), "reconstruction.onnx")
	bytes, err = convert.ToONNX(several, convert.Options{})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(reconstruction, bytes, 0o600))
	config := dialect2(t)
	outside := configuration(t, "network.json", strings.Replace(string(read(t, config)), `"epoch_id_max"`, `"weight_path": "../x", "epoch_id_max"`, 1))
	colourful := configuration(t, "network.json", strings.NewReplacer("BARS", "CIFAR10", `"learning_parameters"`,
		`"augmentation": {"jitter_brightness": 2e6}, "learning_parameters"`).Replace(string(read(t, config))))
	plain := converttest.Digits()
	plain.Layers = []convert.Layer{converttest.New(1).Conv(converttest.Window(8, 1), 1, 3)}
	logits := filepath.Join(t.TempDir(), "logits.onnx")
	bytes, err = convert.ToONNX(plain, convert.Options{})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(logits, bytes, 0o600))
	occupied := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(occupied, "network.json"), []byte(`{"network_structure": {}}`), 0o600))
	inactive := configuration(t, "network.json", strings.Replace(string(read(t, config)), `"loss_mode"`, `"learning_active": false, "loss_mode"`, 1))

	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"nothing", nil, "it takes one model or configuration"},
		{"no data", []string{path}, "give their file or folder with --data PATH"},
		{"missing model", []string{"missing.onnx", "--data", data}, "missing.onnx"},
		{"missing data", []string{path, "--data", "missing"}, "missing"},
		{"no model", []string{junk, "--data", data}, "junk.onnx"},
		{"no training set", []string{path, "--data", t.TempDir()}, "contains no"},
		{"missing test", []string{path, "--data", data, "--test", "missing"}, "missing"},
		{"size", []string{path, "--data", large}, "the array has images of shape [16 16], but the network needs 1x12x12"},
		{"size for a configuration", []string{config, "--data", large}, "gives"},
		{"label", []string{path, "--data", labels}, "label 3"},
		{"label for a configuration", []string{config, "--data", labels}, "label 3"},
		{"positions", []string{positions, "--data", data}, "so that it gives one position with the classes"},
		{"reconstruction", []string{reconstruction, "--data", data}, "the network ends with a reconstruction of its input and not with classes"},
		{"freeze", []string{path, "--data", data, "--freeze", "L9"}, "the layers are called L0 to L2"},
		{"freeze all", []string{path, "--data", data, "--freeze", "L0,L2"}, "nothing is left to train"},
		{"loss", []string{path, "--data", data, "--loss", "x"}, `--loss "x": want one of`},
		{"schedule", []string{path, "--data", data, "--lr-schedule", "x"}, `--lr-schedule "x": want one of`},
		{"rate", []string{path, "--data", data, "--lr", "-1"}, "--lr -1"},
		{"batch", []string{path, "--data", data, "--batch", "0"}, "--batch 0: want at least 1"},
		{"test or not", []string{path, "--data", data, "--no-test", "--test", data}, "--no-test"},
		{"resume or anew", []string{path, "--data", data, "--resume", "--force"}, "--resume"},
		{"onto itself", []string{path, "--data", data, "-o", path}, "write another one"},
		{"folder", []string{path, "--data", data, "-o", data, "--force"}, "is a folder: name the file"},
		{"new folder", []string{path, "--data", data, "-o", "new/"}, "--output new/ is a folder"},
		{"no checkpoint", []string{path, "--data", data, "--resume"}, "no training to go on with"},
		{"outside", []string{outside, "--data", data}, `weight_path "../x"`},
		{"inactive", []string{inactive, "--data", data}, "learning_active is false"},
		{"augmentation", []string{colourful, "--data", data}, "a jitter of brightness, contrast or saturation is 2e+06"},
		{"mixture of logits", []string{logits, "--data", data, "--loss", "mixture"}, "use --loss cross-entropy"},
		{"no spikes", []string{logits, "--data", data, "--spikes", "9"}, "the network has no SbS layer"},
		{"no epsilons", []string{logits, "--data", data, "--epsilon-0", "2"}, "the network has no SbS layer"},
		{"no epsilon_xy", []string{path, "--data", data, "--lr-epsilon-xy", "0.1"}, "no layer has an epsilon_xy that is trained"},
		{"configuration there", []string{config, "--data", data, "-o", occupied}, "network.json: already exists with different content"},
		{"sampler", []string{path, "--data", data, "--sampler", "x"}, "--sampler"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, errOut, err := command(t, c.args...)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, errOut, "update 1", "found before training")
		})
	}
}
