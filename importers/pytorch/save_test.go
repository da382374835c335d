package pytorch

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/npy"
)

// throughONNX writes a network as a model and reads the model.
func throughONNX(t *testing.T, n *convert.Network) *convert.Network {
	t.Helper()
	data, err := convert.ToONNX(n, convert.Options{})
	require.NoError(t, err)
	back, err := convert.FromONNX(data)
	require.NoError(t, err)
	return back
}

// roundTrip converts a folder to ONNX and back to a new folder, compares all arrays byte
// for byte, and reads the new folder. It returns the new weights folder, the files that
// only the new folder has, and the report.
func roundTrip(t *testing.T, opt Options) (weights string, extra []string, report *SaveReport) {
	t.Helper()
	n, loaded, err := Load(opt)
	require.NoError(t, err)
	root := filepath.Dir(opt.Weights)
	again := filepath.Join(t.TempDir(), filepath.Base(root))
	weights = filepath.Join(again, filepath.Base(opt.Weights))
	report, err = Save(weights, throughONNX(t, n), SaveOptions{})
	require.NoError(t, err)
	rounded := map[string]bool{}
	for _, s := range n.Sources {
		rounded[strings.TrimSuffix(s.Path, ".gz")] = s.Rounded > 0
	}
	compared := 0
	for _, f := range report.Files {
		rel, err := filepath.Rel(again, f.Path)
		require.NoError(t, err)
		require.False(t, f.Kept)
		if filepath.Ext(rel) != ".npy" || rounded[filepath.ToSlash(rel)] {
			continue
		}
		want, packed := uncompressed(t, filepath.Join(root, rel))
		if want == nil {
			extra = append(extra, filepath.ToSlash(rel))
			continue
		}
		got, err := os.ReadFile(f.Path)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got), rel)
		require.Equal(t, !packed, f.AsSource, rel)
		compared++
	}
	read := 0
	for _, l := range loaded.Layers {
		read += len(l.Files)
	}
	for _, r := range rounded {
		if r {
			compared++
		}
	}
	require.Equal(t, read, compared, "every file that was read must exist again")

	opt.Weights, opt.Config, opt.EpsilonXY, opt.AllowUntrained = weights, nil, "", false
	back, _, err := Load(opt)
	require.NoError(t, err)
	back.Sources, n.Sources, n.Training, back.Training = nil, nil, nil, nil
	require.Equal(t, n, back, "the new folder must give the same network")
	return weights, extra, report
}

// uncompressed returns the bytes of a file, decompressed if only its .gz exists, or nil if
// neither exists.
func uncompressed(t *testing.T, path string) (data []byte, packed bool) {
	t.Helper()
	if data, err := os.ReadFile(path); err == nil {
		return data, false
	}
	f, err := os.Open(path + ".gz")
	if err != nil {
		return nil, false
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	data, err = io.ReadAll(z)
	require.NoError(t, err)
	return data, true
}

func TestSave_WritesTheArraysByteForByte(t *testing.T) {
	for name, f := range map[string]files{"dialect 1": dialect1(), "dialect 2": dialect2(), "convolutions": convolutions()} {
		t.Run(name, func(t *testing.T) {
			if name == "dialect 1" { // float32 cannot hold these
				f["EpsXY/EpsXY_L0_S7.npy"], f["EpsXY/EpsXY_L1_S7.npy.gz"] = array([]int{2, 2, 3, 3}, 0.125), array([]int{1, 1}, 0.25)
			}
			opt := options(f.write(t))
			if name != "dialect 1" {
				opt.Mean = nil
			}
			_, extra, report := roundTrip(t, opt)
			require.Empty(t, extra)
			require.Empty(t, report.Warnings)
		})
	}
	t.Run("shape of a mean", func(t *testing.T) {
		f := convolutions()
		f["Weights/Mean_L0_S3.npy"] = array(nil, 0.25)
		roundTrip(t, options(f.write(t)))
		f["Weights/Mean_L0_S3.npy"] = array([]int{4, 4}, 0.25)
		roundTrip(t, options(f.write(t)))
	})
	t.Run("one folder", func(t *testing.T) {
		f := files{}
		for name, content := range dialect1() {
			f["Weights/"+filepath.Base(name)] = content
		}
		f["Weights/Weight_L1_S7.npy"] = &npy.Array{Shape: []int{16, 4}, Data: pooled(4, 4)}
		f["Weights/EpsXY_L0_S7.npy"], f["Weights/EpsXY_L1_S7.npy.gz"] = array([]int{2, 2}, 0.125), array([]int{1, 1}, 0.25)
		weights, _, _ := roundTrip(t, options(f.write(t)))
		require.FileExists(t, filepath.Join(weights, "tiny.json"))
		require.FileExists(t, filepath.Join(weights, "EpsXY_L0_S7.npy"))
		require.FileExists(t, filepath.Join(weights, "Weight_L1_S7.npy"), "the source has the pooling weights in a file")
	})
}

// pooled returns the weights of a pooling layer.
func pooled(area, channels int) []float32 {
	w := make([]float32, area*channels*channels)
	for k := range area * channels {
		w[k*channels+k/area] = 1 / float32(area)
	}
	return w
}

func TestSave_WritesTheConfiguration(t *testing.T) {
	f := dialect2()
	f.replace(t, "def.json", `"loss_mode": 1`, `"loss_mode": 1, "learning_rate_gamma_w": 1e-05, "mine": "<ä>"`)
	f.replace(t, "network.json", `"sbs",`, `"SbS with LOCAL learning",`)
	opt := options(f.write(t))
	opt.Mean = nil
	n, _, err := Load(opt)
	require.NoError(t, err)
	require.True(t, n.Layers[2].(*convert.SbS).Local)
	n = throughONNX(t, n)
	require.True(t, n.Layers[2].(*convert.SbS).Local)
	require.JSONEq(t, `{"augmentation":{},"data_mode":"","data_path":"./DATA/","epsilon_0":0.5,
		"learning_parameters":{"eps_xy_intitial":0.25,"learning_rate_gamma_w":1e-05,"loss_mode":1,"mine":"<ä>","w_trainable":[true]},
		"network_structure":{}}`, string(n.Training))
	n.Step = 9
	weights := filepath.Join(t.TempDir(), "Parameters")
	_, err = Save(weights, n, SaveOptions{})
	require.NoError(t, err)
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(weights, "..", name))
		require.NoError(t, err)
		return string(b)
	}
	require.JSONEq(t, `{"network_structure":{"number_of_output_neurons":3,"layer_type":["SbS","Average POOLING","SbS LOCAL"],
		"forward_neuron_numbers":[[1,4],[4,4],[4,3]],"forward_kernel_size":[[3,3],[2,2],[1,1]],"strides":[[1,1],[2,2],[1,1]]}}`, read("network.json"))
	require.JSONEq(t, `{"data_mode":"","data_path":"./DATA/"}`, read("dataset.json"))
	require.JSONEq(t, `{"number_of_spikes":[9],"forgetting_offset":0.5,"epsilon_0":0.5,"weight_path":"./Parameters/",
		"augmentation":{"crop_width_in_pixel":2},
		"learning_parameters":{"eps_xy_intitial":0.25,"learning_rate_gamma_w":1e-05,"loss_mode":1,"mine":"<ä>","w_trainable":[true]}}`, read("def.json"))
	require.Contains(t, read("def.json"), "1e-05", "the digits of a number are kept")

	// Changed parameters are in the configuration.
	for _, i := range []int{0, 2} {
		s := n.Layers[i].(*convert.SbS)
		s.Epsilon0, s.Spikes, s.EpsilonT = 0.3, 9-i, s.EpsilonT[:9-i]
	}
	weights = filepath.Join(t.TempDir(), "Weights")
	_, err = Save(weights, n, SaveOptions{})
	require.NoError(t, err)
	require.Contains(t, read("def.json"), `"epsilon_0": 0.3,`)
	opt.Weights = weights
	back, _, err := Load(opt)
	require.NoError(t, err)
	require.Equal(t, n.Layers, back.Layers)
}

func TestSave_WritesTheStepAndEpsilonsOfDialect1(t *testing.T) {
	n, _, err := Load(options(dialect1().write(t)))
	require.NoError(t, err)
	for _, l := range n.Layers {
		l.(*convert.SbS).Epsilon0 *= 0.7
	}
	n.Step = 12
	weights := filepath.Join(t.TempDir(), "net", "Weights")
	report, err := Save(weights, n, SaveOptions{})
	require.NoError(t, err)
	require.Len(t, report.Warnings, 2, "the float64 files are rounded")
	require.Contains(t, report.Warnings[0], "EpsXY_L0_S12.npy: 36 of the 36 float64 values of EpsXY/EpsXY_L0_S7.npy were rounded")
	back, r, err := Load(options(weights))
	require.NoError(t, err)
	require.Equal(t, StepConfiguration, r.StepChoice, "learning_step selects the step")
	require.Equal(t, 12, back.Step)
	require.Equal(t, n.Layers, back.Layers)
	data, err := npy.ReadFile(os.DirFS(filepath.Join(weights, "..", "EpsXY")), "EpsXY_L0_S12.npy", 100)
	require.NoError(t, err)
	require.IsType(t, []float64{}, data.Data, "the type of the source")

	// A trainable layer without an EpsXY file gets one.
	f := dialect1()
	f["EpsXY/EpsXY_L1_S7.npy.gz"] = nil
	opt := options(f.write(t))
	opt.AllowUntrained = true
	n, _, err = Load(opt)
	require.NoError(t, err)
	weights = filepath.Join(t.TempDir(), "Weights")
	_, err = Save(weights, n, SaveOptions{})
	require.NoError(t, err)
	back, _, err = Load(options(weights))
	require.NoError(t, err)
	require.Equal(t, float32(1), back.Layers[1].(*convert.SbS).Epsilon0)
	require.Equal(t, []float32{0.1, 0.1, 0.1, 0.1}, back.Layers[1].(*convert.SbS).EpsilonXY.Float32s())

	e, err := newExporter(n, "")
	require.NoError(t, err)
	e.generated = maxGenerated
	_, err = e.constantEpsilonXY(1, n.Layers[1].(*convert.SbS))
	require.ErrorContains(t, err, "layer 1 (SbSPooling): PyTorch-SbS needs an EpsXY file of shape [1 1 2 2]; together with those of other layers (67108864 elements) it exceeds 67108864 elements")
}

func TestSave_KeepsEqualFilesAndRefusesToReplaceOthers(t *testing.T) {
	source := dialect2().write(t)
	opt := options(source)
	opt.Mean = nil
	n, _, err := Load(opt)
	require.NoError(t, err)
	weights := filepath.Join(t.TempDir(), "Weights")
	_, err = Save(weights, n, SaveOptions{})
	require.NoError(t, err)
	report, err := Save(weights, n, SaveOptions{})
	require.NoError(t, err)
	for _, f := range report.Files {
		require.True(t, f.Kept, f.Path)
	}
	before := snapshot(t, filepath.Dir(weights))

	n.Layers[0].(*convert.SbS).Weights.Float32s()[0] = 0.5
	_, err = Save(weights, n, SaveOptions{})
	require.ErrorContains(t, err, "Weight_L0_S7.npy: already exists with different content; nothing was written")
	require.Equal(t, before, snapshot(t, filepath.Dir(weights)))
	require.NoError(t, CheckSave(weights, n, SaveOptions{Force: true}, func(int) bool { return true }))
	require.NoError(t, CheckSave(weights, n, SaveOptions{Force: true}, nil))
	require.ErrorContains(t, CheckSave(weights, n, SaveOptions{}, nil), "Weight_L0_S7.npy: already exists with different content")
	require.Equal(t, before, snapshot(t, filepath.Dir(weights)))
	report, err = Save(weights, n, SaveOptions{Force: true})
	require.NoError(t, err)
	require.False(t, report.Files[0].Kept)
	require.True(t, report.Files[1].Kept)

	// The configuration of the source has comments, so its content differs.
	n.Step = 8
	_, err = Save(source, n, SaveOptions{})
	require.ErrorContains(t, err, "network.json: already exist with different content")
	report, err = Save(source, n, SaveOptions{ArraysOnly: true})
	require.NoError(t, err)
	require.Len(t, report.Files, 2)

	for name, content := range map[string]string{
		"Weights/Weight_L02_S8.npy":   "",
		"Weights/Weight_L2_S8.npy.gz": "",
		"Weights/other.json":          `{"network_structure": {}}`,
		"Weights/network.json":        `{}`,
	} {
		root := t.TempDir()
		require.NoError(t, os.MkdirAll(filepath.Join(root, "Weights"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(content), 0o600))
		_, err = Save(filepath.Join(root, "Weights"), n, SaveOptions{Force: true})
		require.ErrorContains(t, err, filepath.Base(name))
		require.Len(t, snapshot(t, root), 1)
	}
	two := t.TempDir()
	for _, name := range []string{"a.json", "b.json"} {
		require.NoError(t, os.WriteFile(filepath.Join(two, name), []byte(`{"network_structure": {}}`), 0o600))
	}
	_, err = Save(filepath.Join(two, "Weights"), n, SaveOptions{})
	require.ErrorContains(t, err, "each have a network_structure; choose another folder, or write only the arrays")

	root := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "Weights", "Weight_L0_S8.npy"), 0o755))
	_, err = Save(filepath.Join(root, "Weights"), n, SaveOptions{Force: true})
	require.ErrorContains(t, err, "not a regular file")
}

// Each case puts one file into the way of a network and saves the network, or checks
// whether it could be saved now and at step 10.
func TestSave_RefusesArraysOfOtherNetworks(t *testing.T) {
	two, _, err := Load(options(dialect2().write(t)))
	require.NoError(t, err)
	one, _, err := Load(options(dialect1().write(t)))
	require.NoError(t, err)
	one.Step, two.Step = 8, 8
	later := func(step int) bool { return step == 8 || step == 10 }
	const foreign, exists = "does not belong to this network", "already exists"
	for _, c := range []struct {
		network *convert.Network
		file    string
		force   bool
		save    string // what the error of Save contains; "" for no error
		check   string // likewise, of CheckSave
	}{
		{one, "Weights/Weight_L1_S8.npy", true, foreign, foreign}, // a layer with fixed pooling weights
		{one, "Weights/Weight_L1_S8.npy.gz", false, foreign, foreign},
		{one, "Weights/Weight_L1_S10.npy", false, "", foreign},
		{one, "Weights/Weight_L1_S9.npy", false, "", ""},
		{one, "EpsXY/EpsXY_L2_S8.npy", false, foreign, foreign},   // a layer whose epsilon_xy is not trained
		{one, "Weights/EpsXY_L0_S8.npy", false, foreign, foreign}, // Load would prefer this folder
		{one, "Weights/Weight_L9_S8.npy", false, "", ""},
		{one, "Weights/Weight_L0_S10.npy", false, "", "Weight_L0_S10.npy " + exists},
		{one, "EpsXY/EpsXY_L0_S10.npy", false, "", "EpsXY_L0_S10.npy " + exists},
		{one, "Weights/Weight_L0_S10.npy", true, "", ""},
		{one, "Weights/Weight_L0_S10.npy.gz", true, "", "Weight_L0_S10.npy.gz " + exists},
		{one, "Weights/Weight_L0_S9.npy.gz", false, "", ""},
		{two, "Weights/Weight_L1_S8.npy", false, "", ""},
		{two, "Weights/Bias_L0_S8.npy", false, "", ""},
		{two, "Weights/EpsXY_L0_S8.npy", false, "", ""},
	} {
		root := t.TempDir()
		for _, folder := range []string{"Weights", "EpsXY"} {
			require.NoError(t, os.Mkdir(filepath.Join(root, folder), 0o700))
		}
		require.NoError(t, os.WriteFile(filepath.Join(root, c.file), nil, 0o600))
		weights, opt := filepath.Join(root, "Weights"), SaveOptions{Force: c.force}
		check := func(err error, want string) {
			if want == "" {
				require.NoError(t, err, c.file)
				return
			}
			require.ErrorContains(t, err, want, c.file)
			require.True(t, strings.HasPrefix(err.Error(), "pytorch: "))
		}
		check(CheckSave(weights, c.network, opt, later), c.check)
		require.Len(t, snapshot(t, root), 1, "CheckSave writes nothing")
		_, err := Save(weights, c.network, opt)
		check(err, c.save)
		if c.save != "" {
			require.Len(t, snapshot(t, root), 1, c.file)
		}
	}
}

// snapshot returns all files of a folder.
func snapshot(t *testing.T, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out[path] = string(b)
		return err
	}))
	return out
}

// Paths in the metadata of a model may be hostile.
func TestSave_WritesOnlyBelowTheFolder(t *testing.T) {
	n, _, err := Load(options(dialect1().write(t)))
	require.NoError(t, err)
	for i, s := range n.Sources {
		n.Sources[i].Path = "../../../" + s.Path
		if strings.HasPrefix(s.Path, "EpsXY") {
			n.Sources[i].Path = "../../.secret/../" + filepath.Base(s.Path)
		}
	}
	n.Sources[0].Path = "../.profile.json"
	n.Sources[1].Shape = []int{1 << 30, 1 << 30}
	root := t.TempDir()
	report, err := Save(filepath.Join(root, "a", "b", "Weights"), n, SaveOptions{})
	require.NoError(t, err)
	for _, f := range report.Files {
		require.Contains(t, f.Path, filepath.Join(root, "a", "b"))
	}
	require.FileExists(t, filepath.Join(root, "a", "b", "tiny_net.json"))
	require.FileExists(t, filepath.Join(root, "a", "b", "EpsXY", "EpsXY_L0_S7.npy"))
}

func TestSave_RefusesNetworksThatADialectCannotDescribe(t *testing.T) {
	two := func(change func(n *convert.Network)) *convert.Network {
		n := converttest.Digits()
		n.Training = nil
		change(n)
		return n
	}
	one := func(change func(n *convert.Network)) *convert.Network {
		n, _, err := Load(options(dialect1().write(t)))
		require.NoError(t, err)
		change(n)
		return n
	}
	sbsOf := func(n *convert.Network, i int) *convert.SbS { return n.Layers[i].(*convert.SbS) }
	for _, c := range []struct {
		network *convert.Network
		want    string
	}{
		{two(func(n *convert.Network) { n.Dialect = 0 }), "the network has dialect 0 of PyTorch-SbS, want 1 or 2"},
		{two(func(n *convert.Network) { n.Dialect = 3 }), "dialect 3"},
		{two(func(n *convert.Network) { n.Dialect = 1 }), "layer 1 (AveragePool) cannot be written for dialect 1"},
		{two(func(n *convert.Network) { sbsOf(n, 0).Epsilon0 = 0.5 }), "different forgetting, epsilon_0"},
		{two(func(n *convert.Network) { sbsOf(n, 2).AlphaIterations = 1 }), "layer 2 (SbS) has alpha iterations, which dialect 2 does not support"},
		{two(func(n *convert.Network) { sbsOf(n, 0).EpsilonXY = converttest.New(1).Tensor(0, 1, 6, 6) }), "layer 0 (SbS) has an epsilon_xy, which dialect 2 does not support"},
		{two(func(n *convert.Network) { n.Training = []byte(`[`) }), "not valid JSON: line 2, column 1: parsing value: unexpected end of the file"},
		{two(func(n *convert.Network) { n.Training = []byte(`{"epsilon_0": "a"}`) }), "epsilon_0: want a number"},
		{one(func(n *convert.Network) { sbsOf(n, 0).Forgetting = 1 }), "layer 0 (SbS) uses forgetting, which dialect 1 does not support"},
		{one(func(n *convert.Network) { sbsOf(n, 0).Local = true }), "layer 0 (SbS) learns locally"},
		{one(func(n *convert.Network) { n.Dialect, n.Layers = 2, n.Layers[2:] }), "for an input of"},
	} {
		_, err := Save(filepath.Join(t.TempDir(), "Weights"), c.network, SaveOptions{})
		require.ErrorContains(t, err, c.want)
		require.True(t, strings.HasPrefix(err.Error(), "pytorch: "))
	}
	_, err := Save("", two(func(*convert.Network) {}), SaveOptions{})
	require.ErrorContains(t, err, "no weights folder")

	report, err := Save(filepath.Join(t.TempDir(), "Weights"), two(func(n *convert.Network) {
		sbsOf(n, 0).Sampler, sbsOf(n, 2).EpsilonT[3] = "low_discrepancy", 7
		n.Preprocessing.Offset = 0.5
	}), SaveOptions{})
	require.NoError(t, err)
	require.Len(t, report.Warnings, 4, "and one about the float64 source of the weights")
}

// NumPy compares the folders. The environment variable SBS_NPY_CHECKER names the script
// that does it: .ci/check_npy.py.
func TestSave_WritesArraysThatNumPyReads(t *testing.T) {
	script := os.Getenv("SBS_NPY_CHECKER")
	if script == "" {
		t.Skip("SBS_NPY_CHECKER is not set")
	}
	args := []string{script}
	for _, f := range []files{dialect1(), dialect2(), convolutions()} {
		opt := options(f.write(t))
		weights, _, _ := roundTrip(t, opt)
		args = append(args, filepath.Dir(opt.Weights), filepath.Dir(weights))
	}
	want := "8 arrays equal, 2 rounded to float32\n"
	if os.Getenv("SBS_SHARED") != "" {
		for _, name := range []string{"mnist-sbs", "mnist-cnn", "mnist-dialect1", "mnist-dialect1-2d-incomplete"} {
			folder := shared(t, "weights/"+name)
			weights, _, _ := roundTrip(t, Options{Weights: filepath.Join(folder, "Weights"), AllowUntrained: true})
			args = append(args, folder, filepath.Dir(weights))
		}
		want = "30 arrays equal, 11 rounded to float32\n"
	}
	out, err := exec.Command("/usr/bin/python3", args...).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, want, string(out))
}
