package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/metadata"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
)

// staged writes a model with stages and returns its path.
func staged(t *testing.T, s *convert.Staged, opt convert.Options) string {
	t.Helper()
	data, err := convert.StagesToONNX(s, opt)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "staged.onnx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

// Two models become the stages of one, and --stage gives back the same files.
func TestStage_WritesTheModelOfTheStage(t *testing.T) {
	for _, flags := range [][]string{nil, {"--seed", "100"}, {"--no-function"}} {
		dir := t.TempDir()
		few := mustConvert(t, filepath.Join(dir, "few.onnx"), append([]string{"--spikes", "10", "--sampler", "low-discrepancy"}, flags...)...)
		many := mustConvert(t, filepath.Join(dir, "many.onnx"), flags...)
		s := &convert.Staged{}
		for i, data := range [][]byte{few, many} {
			n, err := convert.FromONNX(data)
			require.NoError(t, err)
			s.Stages = append(s.Stages, convert.Stage{Network: n, Threshold: []float64{0.5, 0}[i]})
		}
		opt := convert.Options{}
		if flags != nil {
			opt = map[string]convert.Options{"--seed": {Seed: 100}, "--no-function": {Body: convert.BodyNone}}[flags[0]]
		}
		path := staged(t, s, opt)
		for i, want := range [][]byte{few, many} {
			one := filepath.Join(dir, "one.onnx")
			number := []string{"1", "2"}[i]
			out, errOut, err := command(t, path, "--stage", number, one, "--force")
			require.NoError(t, err)
			require.Empty(t, errOut)
			require.Contains(t, out, "wrote "+filepath.ToSlash(one)+" (")
			require.Contains(t, out, " from stage "+number+" of "+filepath.ToSlash(path))
			require.Equal(t, want, read(t, one))
			out, _, err = command(t, path, one, "--stage", number)
			require.NoError(t, err)
			require.Contains(t, out, "unchanged: ")
		}
	}
}

func TestStage_WritesTheFolderOfTheStage(t *testing.T) {
	n, _, err := pytorch.Load(pytorch.Options{Weights: weights})
	require.NoError(t, err)
	other, _, err := pytorch.Load(pytorch.Options{Weights: weights})
	require.NoError(t, err)
	first := n.Layers[0].(*convert.SbS)
	first.Weights = first.Weights.Clone()
	first.Weights.Float32s()[0] = 0.5
	path := staged(t, &convert.Staged{Stages: []convert.Stage{{Network: n, Threshold: 0.5}, {Network: other}}}, convert.Options{})
	for i, network := range []*convert.Network{n, other} {
		dir, direct := t.TempDir(), t.TempDir()
		_, _, err = command(t, path, filepath.Join(dir, "Weights"), "--stage", []string{"1", "2"}[i])
		require.NoError(t, err)
		_, err = pytorch.Save(filepath.Join(direct, "Weights"), network, pytorch.SaveOptions{})
		require.NoError(t, err)
		name := filepath.Join("Weights", "Weight_L0_S0.npy")
		require.Equal(t, read(t, filepath.Join(direct, name)), read(t, filepath.Join(dir, name)), "stage %d", i+1)
	}
}

func TestStage_IsRefused(t *testing.T) {
	path := staged(t, converttest.Staged(), convert.Options{})
	dir := t.TempDir()
	one, ordinary := filepath.Join(dir, "one.onnx"), filepath.Join(dir, "ordinary.onnx")
	mustConvert(t, ordinary)
	for _, c := range []struct {
		name  string
		args  []string
		want  string
		usage bool
	}{
		{"number above the stages", []string{path, one, "--stage", "4"}, "--stage 4: " + path + " has stages 1 to 3", true},
		{"number 0", []string{path, one, "--stage", "0"}, "want a whole number of at least 1", true},
		{"no stages", []string{ordinary, one, "--stage", "1"}, "--stage 1: " + ordinary + " has no stages", true},
		{"info without stages", []string{"--info", ordinary, "--stage", "1"}, "has no stages", true},
		{"info above the stages", []string{"--info", path, "--stage", "9"}, "has stages 1 to 3", true},
		{"dot above the stages", []string{"--dot", path, "--stage", "9"}, "has stages 1 to 3", true},
		{"folder of no stages", []string{ordinary, dir, "--stage", "1"}, "has no stages", true},
		{"folder without a stage", []string{path, filepath.Join(dir, "Weights")}, "has 3 stages: choose one with --stage N (sbs-convert --info ", true},
		{"from a folder", []string{weights, one, "--stage", "1"}, "--stage applies only to a model", true},
		{"other flags", []string{path, one, "--stage", "1", "--decompose"}, "--decompose applies only when converting from or to PyTorch-SbS", true},
		{"two models", []string{path, one}, "are both files; one argument must be the weights folder, or else --stage must choose a stage", true},
		{"the same file", []string{path, path, "--stage", "1", "--force"}, "is the model to read: choose another name for the model to write", false},
		{"another content", []string{path, ordinary, "--stage", "1"}, "already exists with different content", false},
		{"a file of another format", []string{filepath.Join(weights, "Weight_L0_S0.npy"), one, "--stage", "1"}, "not a valid ONNX model", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := command(t, c.args...)
			require.ErrorContains(t, err, c.want)
			var usage *cli.UsageError
			if c.usage {
				require.ErrorAs(t, err, &usage)
			} else {
				require.NotErrorAs(t, err, &usage)
			}
			require.NoFileExists(t, one)
		})
	}
}

func TestInfo_DescribesStages(t *testing.T) {
	path := staged(t, converttest.Staged(), convert.Options{})
	out, _, err := command(t, "--info", path)
	require.NoError(t, err)
	require.Contains(t, out, "staged.onnx: 3 stages, ")
	require.Contains(t, out, `
stage  spikes  updates per image  threshold  own weights  left here  loss
1      4,4     148                0.15       559 bytes    60.0%      0.050
2      12,12   444                0.2        -            30.0%      0.020
3      40,40   1480               -          `)
	require.Contains(t, out, "\ncalibrated on 1000 images of MNIST/, seed 7: at most 0.1% of the images are lost because they leave early, with a confidence of 95%\n")
	require.Contains(t, out, "\nstage 1: few, from PyTorch-SbS dialect 2, step 3\ninput: image 1x12x12")
	require.Contains(t, out, "\nstage 2: digits, from PyTorch-SbS dialect 2, step 7\n")
	require.Contains(t, out, "operators: SbS with a fallback")

	out, _, err = command(t, "--info", path, "--stage", "2")
	require.NoError(t, err)
	require.Contains(t, out, "\nstage 2: digits")
	require.NotContains(t, out, "\nstage 1: ")
	require.Contains(t, out, "3 stages")

	s := converttest.Staged()
	s.Calibration = nil
	out, _, err = command(t, "--info", staged(t, s, convert.Options{Body: convert.BodyNone}))
	require.NoError(t, err)
	require.Contains(t, out, "the model does not say what the thresholds were calibrated on")
	require.Contains(t, out, "operators: SbS without a fallback")
	require.NotContains(t, out, "left here")
}

func TestInfo_ReportsDamagedStages(t *testing.T) {
	path := staged(t, converttest.Staged(), convert.Options{})
	m, err := onnx.Unmarshal(t.Context(), read(t, path))
	require.NoError(t, err)
	for _, p := range m.GetMetadataProps() {
		if p.GetKey() == metadata.Stages {
			p.Value = "{}"
		}
	}
	data, err := onnx.MarshalStamped(m)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, data, 0o600))
	_, _, err = command(t, "--info", path)
	require.ErrorContains(t, err, path)
	require.ErrorContains(t, err, "there are 0 stages before the last one")
}

func TestDot_PrintsAStage(t *testing.T) {
	s := converttest.Staged()
	path := staged(t, s, convert.Options{})
	for i, stage := range s.Stages {
		ordinary := filepath.Join(t.TempDir(), "ordinary.onnx")
		data, err := convert.ToONNX(stage.Network, convert.Options{})
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(ordinary, data, 0o600))
		want, _, err := command(t, "--dot", ordinary)
		require.NoError(t, err)
		got, _, err := command(t, "--dot", path, "--stage", []string{"1", "2", "3"}[i])
		require.NoError(t, err)
		require.Equal(t, want, got)
		if i == 2 {
			got, _, err = command(t, "--dot", path)
			require.NoError(t, err)
			require.Equal(t, want, got, "without --stage, the last one")
		}
	}
}

// A stage can refer to tensors in other files, as for any model.
func TestStage_ReadsTensorsInExternalFiles(t *testing.T) {
	s := converttest.Staged()
	path := staged(t, s, convert.Options{})
	m, err := onnx.Unmarshal(t.Context(), read(t, path))
	require.NoError(t, err)
	w := m.GetFunctions()[1].GetNode()[0].GetAttribute()[0].GetT()
	require.Equal(t, "L2/SbS/W", w.GetName())
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(path), "w.bin"), w.GetRawData(), 0o600))
	w.RawData, w.DataLocation = nil, onnxpb.TensorProto_EXTERNAL
	w.ExternalData = []*onnxpb.StringStringEntryProto{{Key: "location", Value: "w.bin"}}
	data, err := onnx.Marshal(m)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, data, 0o600))
	one := filepath.Join(t.TempDir(), "one.onnx")
	_, _, err = command(t, path, one, "--stage", "1")
	require.NoError(t, err)
	want, err := convert.ToONNX(s.Stages[0].Network, convert.Options{})
	require.NoError(t, err)
	require.Equal(t, want, read(t, one))
}
