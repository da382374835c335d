package training

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
)

// TestTrain_TrainsAnONOFFNetworkOfJanuary trains a new network from its configuration, with a mean
// because the flag or a Mean file of an earlier training asks for it, and without one otherwise.
func TestTrain_TrainsAnONOFFNetworkOfJanuary(t *testing.T) {
	path, data := dialect2(t), bars(t, 48, 0)
	text := string(read(t, path))
	for _, c := range [][2]string{
		{`["SbS", "Average POOLING", "SbS"]`, `["ONOFF", "SbS", "Average POOLING", "SbS"]`},
		{"[[1, 6], [6, 6], [6, 3]]", "[[1, 2], [2, 6], [6, 6], [6, 3]]"},
		{"[[3, 3], [2, 2], [3, 3]]", "[[1, 1], [3, 3], [2, 2], [3, 3]]"},
		{"[[1, 1], [2, 2], [1, 1]]", "[[1, 1], [1, 1], [2, 2], [1, 1]]"},
	} {
		require.Contains(t, text, c[0])
		text = strings.Replace(text, c[0], c[1], 1)
	}
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	for _, c := range []struct {
		flag, file string
		mean       bool
		note       string
	}{
		{"", "", false, "if the network is from January 2023, which splits around a mean, use --generation 2023-01"},
		{"2023-01", "", true, ""},
		{"2023-07", "", false, ""},
		{"", "Parameters/Mean_L0_S3.npy", true, ""},
	} {
		if c.file != "" {
			require.NoError(t, os.MkdirAll(filepath.Join(filepath.Dir(path), "Parameters"), 0o755))
			array(t, filepath.Join(filepath.Dir(path), c.file), []int{1}, []float32{0.25})
		}
		out := filepath.Join(t.TempDir(), "run")
		args := []string{path, "--data", data, "--epochs", "1", "-o", out}
		if c.flag != "" {
			args = append(args, "--generation", c.flag)
		}
		_, stderr := must(t, args...)
		require.Equal(t, c.note != "", strings.Contains(stderr, "has no Mean file"), stderr)
		require.Contains(t, stderr, c.note)
		require.Equal(t, c.mean, network(t, filepath.Join(out, "model.onnx")).Layers[0].(*convert.OnOff).Mean != nil)
		_, err := os.Stat(filepath.Join(out, "Parameters", "Mean_L0_S1.npy"))
		require.Equal(t, c.mean, err == nil)
		must(t, append(args, "--epochs", "2", "--resume")...)
	}
}

// TestTrain_NotesScalesThatAreMeasuredAnew checks that the note appears for layers with a scale only.
func TestTrain_NotesScalesThatAreMeasuredAnew(t *testing.T) {
	data := bars(t, 48, 0)
	for _, c := range []struct {
		types string
		want  bool
	}{{`["SbS", "Average POOLING", "SbS"]`, true}, {`["BP SBS NNMF", "Average POOLING", "NNMF"]`, true}, {`["NNMF", "Average POOLING", "NNMF"]`, false}} {
		text := strings.Replace(string(read(t, dialect2(t))), `["SbS", "Average POOLING", "SbS"]`, c.types, 1)
		text = strings.Replace(text, `"loss_mode": 1`, `"loss_mode": 1, "kepp_last_grad_scale": false`, 1)
		f := parse(t, configuration(t, "network.json", text), "--data", data, "--epochs", "1")
		j, err := f.newJob(t.Context())
		require.NoError(t, err)
		require.Equal(t, c.want, strings.Contains(strings.Join(j.notes, "\n"), "kepp_last_grad_scale is false"), c.types)
	}
}
