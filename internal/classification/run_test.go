package classification

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/npy"
	"github.com/spike-by-spike/sbs/internal/onnx"
)

const (
	weights = "../../models/mnist-prototypes/Weights"
	digits  = "../../models/mnist/images"
)

// command runs the command and returns what it prints.
func command(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errOut bytes.Buffer
	err = run(t.Context(), args, &out, &errOut)
	return out.String(), errOut.String(), err
}

// prototypes converts the network of models/mnist-prototypes.
func prototypes(t *testing.T, opt convert.Options) string {
	t.Helper()
	n, _, err := pytorch.Load(pytorch.Options{Weights: weights})
	require.NoError(t, err)
	return save(t, n, opt)
}

func save(t *testing.T, n *convert.Network, opt convert.Options) string {
	t.Helper()
	data, err := convert.ToONNX(n, opt)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

func TestRun_PrintsTextWithAccuracyAndConfusionMatrix(t *testing.T) {
	out, errOut, err := command(t, prototypes(t, convert.Options{}), digits)
	require.NoError(t, err)
	require.Empty(t, errOut, "no progress bar in a pipe")
	lines := strings.Split(out, "\n")
	require.Equal(t, digits+"/0/00003.png\t0\t0.9493\t0:0.9493 6:0.0507 1:0.0000", lines[0])
	require.Contains(t, out, "wrong: the label is 2")
	require.Contains(t, out, "accuracy 90.00% (27 of 30)")
	require.Contains(t, out, "confusion matrix")
	require.Contains(t, out, " 9 . . . . . . . 1 . 2")
}

type document struct {
	Results []jsonResult
	Summary jsonSummary
}

func TestRun_PrintsJSON(t *testing.T) {
	out, _, err := command(t, prototypes(t, convert.Options{}), digits, "--format", "json", "--top", "2")
	require.NoError(t, err)
	var d document
	require.NoError(t, json.Unmarshal([]byte(out), &d))
	require.Len(t, d.Results, 30)
	require.Equal(t, digits+"/0/00003.png", d.Results[0].Image)
	require.Equal(t, "0", *d.Results[0].Label)
	require.Len(t, d.Results[0].Top, 2)
	require.Equal(t, "0", d.Results[0].Top[0].Class)
	require.InDelta(t, 0.9493, d.Results[0].Top[0].Probability, 1e-4)
	require.Equal(t, 30, d.Summary.Images)
	require.Equal(t, 30, d.Summary.Labeled)
	require.InDelta(t, 0.9, *d.Summary.Accuracy, 1e-9)
	require.Len(t, d.Summary.Confusion, 10)

	out, _, err = command(t, prototypes(t, convert.Options{}), digits, "--format", "json", "--quiet")
	require.NoError(t, err)
	d = document{}
	require.NoError(t, json.Unmarshal([]byte(out), &d), out)
	require.Empty(t, d.Results)
	require.Equal(t, 27, d.Summary.Correct)
}

func TestRun_PrintsCSV(t *testing.T) {
	out, errOut, err := command(t, prototypes(t, convert.Options{}), digits, "--format", "csv", "--limit", "4")
	require.NoError(t, err)
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 5)
	require.Equal(t, []string{"image", "label", "class", "probability", "class_1", "probability_1", "class_2", "probability_2", "class_3", "probability_3", "error"}, rows[0])
	require.Equal(t, digits+"/0/00003.png", rows[1][0])
	require.Equal(t, "3", rows[4][2])
	require.Contains(t, errOut, "note: 4 images, an equal share of every class folder (--limit)")
	require.Contains(t, errOut, "accuracy 100.00%")
}

// Every image must have one line of text and its own name in JSON, whatever characters
// the names of its file and class contain.
func TestRun_QuotesNamesThatWouldBreakTheOutput(t *testing.T) {
	n, _, err := pytorch.Load(pytorch.Options{Weights: weights})
	require.NoError(t, err)
	for i := range n.Classes {
		n.Classes[i] += "\n"
	}
	model := save(t, n, convert.Options{})
	good, err := os.ReadFile(filepath.Join(digits, "7/00000.png"))
	require.NoError(t, err)
	t.Chdir(t.TempDir())
	for _, name := range []string{"a\nb.png", "c\td.png", "e f.png", "x\xfe.png", "x\xff.png", "ü.png"} {
		if err := os.WriteFile(name, good, 0o600); err != nil {
			t.Skip("the file system does not accept such names:", err)
		}
	}
	labels := writeLabels(t, strings.Repeat("3\n", 6))

	out, _, err := command(t, model, ".", "--labels", labels)
	require.NoError(t, err)
	for i, want := range []string{`"a\nb.png"`, `"c\td.png"`, "e f.png", `"x\xfe.png"`, `"x\xff.png"`, "ü.png"} {
		line := strings.Split(strings.Split(out, "\n")[i], "\t")
		require.Len(t, line, 5)
		require.Equal(t, []string{want, `"7\n"`}, line[:2])
		require.Contains(t, line[3], `"7\n":1.0000 `)
		require.Equal(t, `wrong: the label is "3\n"`, line[4])
	}
	out, _, err = command(t, model, ".", "--format", "json")
	require.NoError(t, err)
	var d document
	require.NoError(t, json.Unmarshal([]byte(out), &d))
	for i, want := range []string{"a\nb.png", "c\td.png", "e f.png", `"x\xfe.png"`, `"x\xff.png"`, "ü.png"} {
		require.Equal(t, want, d.Results[i].Image)
	}
}

func TestRun_ResultsDependOnTheSeedButNotOnWorkersOrBatches(t *testing.T) {
	model := prototypes(t, convert.Options{})
	want, _, err := command(t, model, digits, "--format", "csv", "--workers", "1")
	require.NoError(t, err)
	for _, c := range [][]string{
		{model, digits, "--workers", "2"},
		{model, digits, "--workers", "3"},
		{prototypes(t, convert.Options{Batch: 1}), digits},
		{prototypes(t, convert.Options{Batch: 7}), digits},
	} {
		got, _, err := command(t, append(c, "--format", "csv")...)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	got, _, err := command(t, model, digits, "--format", "csv", "--seed", "1")
	require.NoError(t, err)
	require.NotEqual(t, want, got)
	got, _, err = command(t, model, digits, "--format", "csv", "--spikes", "100")
	require.NoError(t, err)
	require.NotEqual(t, want, got)
}

func TestRun_RefusesSpikeFlagsForModelsWithoutSbSOperators(t *testing.T) {
	model := prototypes(t, convert.Options{Body: convert.BodyInline})
	for _, flag := range []string{"--spikes=3", "--sampler=iid", "--epsilon-schedule=constant", "--epsilon-0=0.5"} {
		_, _, err := command(t, model, digits, flag)
		require.ErrorContains(t, err, "a model converted with --decompose")
	}
}

func TestRun_DynamicsFlagsChangeTheModel(t *testing.T) {
	model := prototypes(t, convert.Options{})
	out, _, err := command(t, model, digits, "--quiet", "--spikes", "1000", "--sampler", "low-discrepancy", "--epsilon-schedule", "inverse-sqrt")
	require.NoError(t, err, "with a schedule there may be more spikes than the model has")
	require.Contains(t, out, "accuracy 100.00%")

	// The model has 400 spikes per layer and the schedule inverse-sqrt with epsilon_0 1.
	results := func(flags ...string) string {
		out, _, err := command(t, append([]string{model, digits, "--format", "csv", "--spikes", "20,300"}, flags...)...)
		require.NoError(t, err)
		return out
	}
	require.Equal(t, results("--epsilon-schedule", "inverse-sqrt", "--epsilon-0", "14.3,1.19"), results("--epsilon-schedule", "auto"))
	require.Equal(t, results("--epsilon-schedule", "inverse-sqrt,constant", "--epsilon-0", "14.3,0.5"), results("--epsilon-schedule", "auto,constant", "--epsilon-0", "auto,0.5"))
	_, _, err = command(t, model, digits, "--epsilon-schedule", "auto,auto,auto")
	require.ErrorContains(t, err, "there are values for 3 SbS layers, but the model has 2: L0/SbS, L1/SbS")
	_, _, err = command(t, model, digits, "--epsilon-schedule", "auto", "--epsilon-0", "0.3")
	require.ErrorContains(t, err, "--epsilon-schedule auto chooses epsilon_0, so a layer cannot also have --epsilon-0 0.3")
}

func TestRun_ClassifiesTheOtherImagesIfOneIsBroken(t *testing.T) {
	dir := t.TempDir()
	good, err := os.ReadFile(filepath.Join(digits, "7/00000.png"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "1.png"), good[:100], 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "2.png"), good, 0o600))
	model := prototypes(t, convert.Options{})

	out, errOut, err := command(t, model, dir)
	require.EqualError(t, err, "1 of 2 images could not be classified")
	require.Contains(t, errOut, "1.png")
	require.Contains(t, out, "2.png\t7\t")
	require.Contains(t, out, "1 could not be classified")

	out, _, err = command(t, model, dir, "--format", "json")
	require.Error(t, err)
	var d document
	require.NoError(t, json.Unmarshal([]byte(out), &d))
	require.NotEmpty(t, d.Results[0].Error)
	require.Nil(t, d.Summary.Accuracy)

	out, _, err = command(t, model, dir, "--format", "csv")
	require.Error(t, err)
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	require.NoError(t, err)
	require.NotEmpty(t, rows[1][10])
}

func TestRun_PrintsAtMostTenFailures(t *testing.T) {
	small := save(t, converttest.Digits(), convert.Options{})
	_, errOut, err := command(t, small, digits, "--labels", writeLabels(t, strings.Repeat("a\n", 30)))
	require.ErrorContains(t, err, "30 of 30 images could not be classified")
	require.Equal(t, maxFailures+1, strings.Count(errOut, "\n"))
	require.Contains(t, errOut, "more images")
}

func writeLabels(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "labels.txt")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestRun_ResizesImagesOnlyOnRequest(t *testing.T) {
	small := save(t, converttest.Digits(), convert.Options{})
	image := filepath.Join(digits, "7/00000.png")
	_, errOut, err := command(t, small, image)
	require.Error(t, err)
	require.Contains(t, errOut, "28x28")
	require.Contains(t, errOut, "12x12")
	require.Contains(t, errOut, "--resize")
	out, _, err := command(t, small, image, "--resize")
	require.NoError(t, err)
	require.Contains(t, out, "a:0.", "class names of the model")
	require.Contains(t, out, "\n1 image in ")
}

func TestRun_ReadsLabelsFromAFile(t *testing.T) {
	model := prototypes(t, convert.Options{})
	labels := writeLabels(t, "7\n3\n")
	images := []string{filepath.Join(digits, "7/00000.png"), filepath.Join(digits, "7/00017.png")}
	out, _, err := command(t, model, images[0], images[1], "--labels", labels)
	require.NoError(t, err)
	require.Contains(t, out, "accuracy 50.00% (1 of 2)")

	labels = writeLabels(t, "7\n12\n")
	_, errOut, err := command(t, model, images[0], images[1], "--labels", labels)
	require.Error(t, err)
	require.Contains(t, errOut, "the label is 12, but the model has 10 classes")
}

func TestRun_TurnsLogitsIntoProbabilities(t *testing.T) {
	m := converttest.New(1)
	n := &convert.Network{
		Input:  convert.Size{Channels: 1, Height: 2, Width: 2},
		Layers: []convert.Layer{m.Conv(converttest.Window(2, 1), 1, 3)},
	}
	pattern := filepath.Join(t.TempDir(), "TestPatternStorage.npy")
	f, err := os.Create(pattern)
	require.NoError(t, err)
	require.NoError(t, npy.Write(f, &npy.Array{Shape: []int{2, 2, 2}, Data: []float32{0, 0.5, 1, 0.5, 1, 1, 0, 0}}))
	require.NoError(t, f.Close())
	out, _, err := command(t, save(t, n, convert.Options{}), pattern, "--format", "json")
	require.NoError(t, err)
	var d document
	require.NoError(t, json.Unmarshal([]byte(out), &d))
	for _, r := range d.Results {
		var sum float32
		for _, g := range r.Top {
			sum += g.Probability
		}
		require.InDelta(t, 1, sum, 1e-6)
	}
}

func TestRun_ReportsOutputsThatAreNotFinite(t *testing.T) {
	m := converttest.New(1)
	n := &convert.Network{
		Input:  convert.Size{Channels: 1, Height: 28, Width: 28},
		Layers: []convert.Layer{m.Conv(converttest.Window(28, 1), 1, 10)},
	}
	n.Layers[0].(*convert.Conv).Bias.Float32s()[3] = float32(math.NaN())
	for _, format := range formats {
		_, errOut, err := command(t, save(t, n, convert.Options{}), digits, "--format", format, "--limit", "2")
		require.ErrorContains(t, err, "2 of 2 images could not be classified")
		require.Contains(t, errOut, "is not finite")
	}
}

func TestRun_RefusesInvalidCommandLines(t *testing.T) {
	model := prototypes(t, convert.Options{})
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"no arguments", nil, "expected a model and at least one image: sbs-run MODEL.onnx IMAGES... (see --help)"},
		{"subcommand", []string{"help"}, "expected a model and at least one image"},
		{"no images", []string{model}, "expected a model and at least one image"},
		{"images before the model", []string{digits, model}, digits + " is a folder: the first argument must be the model"},
		{"unknown format", []string{model, digits, "--format", "xml"}, "--format xml: want text, json or csv"},
		{"top 0", []string{model, digits, "--top", "0"}, "--top 0: want a whole number of at least 1"},
		{"limit of 0", []string{model, digits, "--limit", "0"}, "--limit 0: want a whole number of at least 1"},
		{"top 0", []string{model, digits, "--top", "0"}, "--top 0: want a whole number of at least 1"},
		{"no spikes", []string{model, digits, "--spikes", "0"}, "--spikes 0: want whole numbers from 1 to 16777216"},
		{"too many spikes", []string{model, digits, "--spikes", "16777217"}, "--spikes 16777217: want whole numbers from 1 to 16777216"},
		{"epsilon_0 of 0", []string{model, digits, "--epsilon-0", "0"}, "--epsilon-0 0: want numbers above 0"},
		{"negative limit", []string{model, digits, "--limit", "-1"}, "--limit -1: want a whole number of at least 1"},
		{"negative workers", []string{model, digits, "--workers", "-1"}, "--workers -1: want a whole number of at least 0"},
		{"no spikes", []string{model, digits, "--spikes", "0"}, "--spikes 0: want whole numbers from 1 to 16777216"},
		{"lists of different lengths", []string{model, digits, "--spikes", "5,6", "--epsilon-0", "1,2,3"}, "--epsilon-0 has 3 values, but --spikes has 2: give one value for all SbS layers"},
		{"empty list", []string{model, digits, "--spikes", ""}, "--spikes \"\": want whole numbers"},
		{"negative seed", []string{model, digits, "--seed", "-1"}, "--seed -1: want a whole number of at least 0"},
		{"noise of a level out of its range", []string{model, digits, "--noise", "contrast=1.5"}, "--noise contrast=1.5: contrast takes a level from 0 to 1"},
		{"noise without a level", []string{model, digits, "--noise", "contrast"}, "--noise contrast: the level is missing: write contrast=LEVEL"},
		{"noise that is not a number", []string{model, digits, "--noise", "gaussian=nan"}, "--noise gaussian=nan: gaussian takes a level from 0 to 100"},
		{"unknown noise", []string{model, digits, "--noise", "fog=1"}, "--noise fog=1: \"fog\" is not a kind of noise; the kinds are gaussian, salt-and-pepper, uniform, shot, contrast, brightness, blur, occlusion, rotation, translation and crop-shift"},
		{"empty noise", []string{model, digits, "--noise", ""}, "--noise : want KIND=LEVEL, such as contrast=0.6"},
		{"unknown sampler", []string{model, digits, "--sampler", "x"}, "--sampler x: want iid or low-discrepancy"},
		{"unknown schedule", []string{model, digits, "--epsilon-schedule", "x"}, "--epsilon-schedule x: want auto, inverse-sqrt, constant, or power:P"},
		{"unknown flag", []string{model, digits, "--spike", "5"}, "unknown flag --spike (see --help)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := command(t, c.args...)
			require.Error(t, err)
			require.True(t, strings.HasPrefix(err.Error(), c.want), "%q must begin with %q", err, c.want)
			var usage *cli.UsageError
			require.ErrorAs(t, err, &usage)
		})
	}
}

func TestRun_ReportsModelsAndImagesThatItCannotUse(t *testing.T) {
	model := prototypes(t, convert.Options{})
	empty, notImages := t.TempDir(), filepath.Join(t.TempDir(), "notes.txt")
	require.NoError(t, os.WriteFile(notImages, []byte("notes"), 0o600))
	labels := writeLabels(t, "1\n2\n")
	several := converttest.Digits()
	several.Layers = several.Layers[:2]
	for _, c := range []struct {
		name string
		args []string
		want string
		is   error
	}{
		{"missing model", []string{"missing.onnx", digits}, "missing.onnx", fs.ErrNotExist},
		{"image as model", []string{filepath.Join(digits, "7/00000.png"), digits}, "not a valid ONNX model", nil},
		{"missing images", []string{model, "missing"}, "missing: ", fs.ErrNotExist},
		{"folder without images", []string{model, empty}, empty + " contains no images: ", nil},
		{"file without images", []string{model, notImages}, notImages + ": want pictures", nil},
		{"missing labels", []string{model, digits, "--labels", "missing"}, "missing: ", fs.ErrNotExist},
		{"too few labels", []string{model, digits, "--labels", labels}, labels + " has 2 labels, but there are 30 images", nil},
		{"more spikes than an own epsilon_t has", []string{save(t, converttest.OwnEpsilonT(converttest.Digits()), convert.Options{}), digits, "--spikes", "500"}, "only 40 entries: convert the network again with that many spikes", nil},
		{"values for the wrong number of layers", []string{save(t, converttest.Digits(), convert.Options{}), digits, "--spikes", "5,6,7"}, "there are values for 3 SbS layers, but the model has 2: L0/SbS, L2/SbS", nil},
		{"noise that is larger than the images", []string{model, digits, "--noise", "occlusion=29"}, "occlusion=29: the square of 29x29 pixels is larger than the images of 28x28 (height x width)", nil},
		{"an image that moves out of sight", []string{model, digits, "--noise", "translation=28.5"}, "translation=28.5: images of 28x28 (height x width) can move by at most 28 pixels", nil},
		{"a shift of the crop of a model that does not crop", []string{linear(t), digits, "--noise", "crop-shift=1"}, "crop-shift=1: the model does not crop its images: use translation, which moves the whole image", nil},
		{"a shift beyond the edge of the image", []string{model, digits, "--noise", "crop-shift=3"}, "crop-shift=3: the crop can move by at most 2 pixels, because the model crops that many on each side", nil},
		{"batch that is too large", []string{save(t, converttest.Digits(), convert.Options{Batch: 1 << 21}), digits}, "the model takes batches of 2097152 images of 1x12x12", nil},
		{"model that does not classify", []string{save(t, several, convert.Options{}), digits}, "to classify images it must be one vector per image", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := command(t, c.args...)
			require.ErrorContains(t, err, c.want)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
			var usage *cli.UsageError
			require.False(t, errors.As(err, &usage))
			require.NotRegexp(t, "(^|: )(runtime|classify|dataset|onnx): ", cli.Message(err, c.args))
		})
	}
}

func TestRun_PrintsWarningsAboutTheModel(t *testing.T) {
	m, _, err := onnx.ReadFile(t.Context(), prototypes(t, convert.Options{}))
	require.NoError(t, err)
	m.MetadataProps = append(m.MetadataProps, m.MetadataProps[0])
	data, err := onnx.MarshalStamped(m)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	_, errOut, err := command(t, path, digits, "--quiet")
	require.NoError(t, err)
	require.Regexp(t, `^warning: [^\n]* the key "[^"]+" more than once[^\n]*\n$`, errOut)
}

func TestRun_ReportsAnInterruption(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	err := run(ctx, []string{prototypes(t, convert.Options{}), digits}, &out, &out)
	require.ErrorIs(t, err, cli.ErrInterrupted)
	require.EqualError(t, err, "interrupted")
}

func TestHelp_ShowsExamplesAndDefaults(t *testing.T) {
	out, _, err := command(t, "--help")
	require.NoError(t, err)
	require.Contains(t, out, "Usage:\n  sbs-run [flags] MODEL.onnx IMAGES...\n")
	require.Contains(t, out, "sbs-run model.onnx images/")
	require.Contains(t, out, "(default: 3)")
	for _, unwanted := range []string{"(default -1)", "(default 0)", "(default [])", " int ", " string ", "float32"} {
		require.NotContains(t, out, unwanted)
	}
	for line := range strings.Lines(long) {
		require.LessOrEqual(t, len(line), 81, line)
	}
}

// TestRun_RefusesADamagedModel clears a part of the weights of a model.
func TestRun_RefusesADamagedModel(t *testing.T) {
	data, err := os.ReadFile(prototypes(t, convert.Options{}))
	require.NoError(t, err)
	for i := range data[:4096] {
		data[len(data)/2+i] = 0
	}
	path := filepath.Join(t.TempDir(), "damaged.onnx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	_, _, err = command(t, path, digits)
	require.ErrorContains(t, err, "damaged.onnx: the contents of the model do not match its checksum")
	_, _, err = command(t, path, digits, "--ignore-checksum")
	require.NoError(t, err)
}
