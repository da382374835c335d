package training

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
)

// A training with --set and --neurons is that of the changed configuration, and writes that
// configuration.
func TestTrain_ChangesTheConfiguration(t *testing.T) {
	data := bars(t, 48, 0)
	path := dialect2(t)
	text := string(read(t, path))
	for _, pair := range [][2]string{
		{`"learning_rate_gamma_w": 0.1`, `"learning_rate_gamma_w": 0.3`},
		{`[[1, 6], [6, 6], [6, 3]]`, `[[1, 4], [4, 4], [4, 3]]`},
		{`"number_of_spikes": [60]`, `"number_of_spikes": [30, 0, 40]`},
		{`"BARS"`, `"STRIPES"`},
	} {
		require.Contains(t, text, pair[0])
		text = strings.Replace(text, pair[0], pair[1], 1)
	}
	changed := configuration(t, "network.json", text)
	want, got := t.TempDir(), t.TempDir()
	flags := []string{"--data", data, "--epochs", "2", "--no-test", "-o"}
	must(t, append([]string{changed}, append(flags, want)...)...)
	must(t, append([]string{path, "--set", "learning_parameters.learning_rate_gamma_w=0.3", "--neurons", "4", "--set", "number_of_spikes=[30,0,40]", "--set", "data_mode=STRIPES"},
		append(flags, got)...)...)
	require.Equal(t, network(t, filepath.Join(want, "model.onnx")).Layers, network(t, filepath.Join(got, "model.onnx")).Layers)
	written := func(folder string) (values map[string]any) {
		data, err := os.ReadFile(filepath.Join(folder, "network.json"))
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(data, &values))
		return values
	}
	require.Equal(t, written(want), written(got))
}

func TestTrain_RefusesChangesThatDoNotFit(t *testing.T) {
	data := bars(t, 24, 0)
	for _, c := range []struct{ flag, value, want string }{
		{"set", "x", "--set x: want KEY=VALUE"},
		{"set", "learning_rate=1", `--set learning_rate=1: there is no key "learning_rate" in a configuration`},
		{"set", "network_structure.stride=1", `there is no key "network_structure.stride"`},
		{"set", "batch_size=many", `--set:1: batch_size: want a whole number, found the string "many"`},
		{"set", "network_structure.layer_type=[\"LSTM\"]", "layer_type"},
		{"neurons", "4,5", "forward_neuron_numbers cannot be changed to [4 5] neurons: the number of layers with neurons before the last one is 1"},
		{"neurons", "0", "0 outputs, want 1 to"},
	} {
		_, _, err := command(t, dialect2(t), "--data", data, "-o", t.TempDir(), "--"+c.flag, c.value)
		require.ErrorContains(t, err, c.want)
	}
	for _, flag := range []string{"--set=batch_size=2", "--neurons=4"} {
		_, _, err := command(t, model(t, convert.Options{}), "--data", data, flag)
		require.ErrorContains(t, err, strings.Split(flag, "=")[0]+" requires a configuration")
	}
}
