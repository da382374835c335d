package training

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
)

// picture returns an image of 12x12 pixels: of a vertical, a horizontal, a falling or a rising
// bar.
func picture(class int, r *rand.Rand) image.Image {
	img := image.NewGray(image.Rect(0, 0, 12, 12))
	x, y := 4+r.IntN(3), 4+r.IntN(3)
	for j := range 5 {
		at := []image.Point{{x + 1, 3 + j}, {3 + j, y + 1}, {3 + j, 3 + j}, {7 - j, 3 + j}}[class]
		img.SetGray(at.X, at.Y, color.Gray{uint8(150 + r.IntN(100))})
	}
	return img
}

// photos writes folders train and test with a folder of images for each of the names.
func photos(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(5, 0))
	for subset, count := range map[string]int{"train": 60, "test": 12} {
		for class, name := range names {
			folder := filepath.Join(dir, subset, name)
			require.NoError(t, os.MkdirAll(folder, 0o755))
			for i := range count {
				f, err := os.Create(filepath.Join(folder, fmt.Sprintf("%d.png", i)))
				require.NoError(t, err)
				require.NoError(t, png.Encode(f, picture(class, r)))
				require.NoError(t, f.Close())
			}
		}
	}
	return dir
}

// classifiable returns, for each kind of bar, the name of the class that a model finds in most
// pictures.
func classifiable(t *testing.T, model string, kinds int) (names []string) {
	t.Helper()
	c, err := classify.Open(model)
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(6, 0))
	for class := range kinds {
		var pictures []image.Image
		for range 30 {
			pictures = append(pictures, picture(class, r))
		}
		results, err := c.Images(t.Context(), pictures...)
		require.NoError(t, err)
		count, most := map[string]int{}, ""
		for _, r := range results {
			if count[r.Name]++; count[r.Name] > count[most] {
				most = r.Name
			}
		}
		names = append(names, most)
	}
	require.NoError(t, c.Close())
	return names
}

// networks returns a model of each kind with three classes, which has learned bars.
func networks(t *testing.T) map[string]string {
	t.Helper()
	digits, one := converttest.Digits(), converttest.Digits()
	digits.Training = nil
	m := converttest.New(9)
	one.Dialect, one.Training = 1, nil
	one.Layers[0].(*convert.SbS).EpsilonXY = m.Tensor(0.3, 0.5, 6, 6, 3, 3)
	one.Layers[2].(*convert.SbS).EpsilonXY = m.Tensor(0.3, 0.5, 1, 1, 3, 3)
	plain := cnn()
	plain.Classes = []string{"a", "b", "c"}
	pooled := cnn()
	pooled.Layers = []convert.Layer{
		m.Conv(converttest.Window(3, 1), 1, 8), &convert.ReLU{}, m.Conv(converttest.Window(5, 1), 8, 3), &convert.AveragePool{Window: converttest.Window(6, 1)},
	}
	list := map[string]string{}
	for name, n := range map[string]*convert.Network{"dialect 2": digits, "dialect 1": one, "CNN": plain, "CNN with a pooling at the end": pooled} {
		path := save(t, n)
		out := filepath.Join(filepath.Dir(path), "trained.onnx")
		rate := "0.01"
		if name == "dialect 2" {
			rate = "0.2"
		}
		must(t, path, "--data", bars(t, 480, 0), "-o", out, "--epochs", "5", "--lr", rate, "--quiet")
		list[name] = out
	}
	return list
}

// TestNewClasses_TrainsANewLastLayer trains models of all kinds for more and for fewer classes,
// with and without the other layers.
func TestNewClasses_TrainsANewLastLayer(t *testing.T) {
	more := []string{"apple", "Birne", "cherry 2", "élder"}
	sets := map[int]string{2: photos(t, more[:2]...), 4: photos(t, more...)}
	for name, path := range networks(t) {
		for count, data := range sets {
			if count == 2 && name != "dialect 2" && name != "CNN" {
				continue // fewer classes than before need no test of every kind
			}
			t.Run(fmt.Sprintf("%s, %d classes", name, count), func(t *testing.T) {
				out := filepath.Join(t.TempDir(), "new.onnx")
				rate := map[string]string{"dialect 1": "0.03", "dialect 2": "0.2"}[name]
				if rate == "" {
					rate = "0.01"
				}
				stdout, stderr := must(t, path, "--data", data, "-o", out, "--new-classes", "--epochs", "10", "--lr", rate, "--batches-per-update", "2")
				require.Contains(t, stderr, fmt.Sprintf("is new, for %d classes (Birne, apple", count))
				require.NotContains(t, stderr, "before training")
				require.Regexp(t, fmt.Sprintf(`^test accuracy \d+\.\d\d%% \(%d images\)\n`, 12*count), stdout)
				require.Equal(t, slices.Sorted(slices.Values(more[:count])), network(t, out).Classes)
				require.Equal(t, more[:count], classifiable(t, out, count))

				last := len(network(t, path).Layers) - 1
				if name == "CNN with a pooling at the end" {
					last--
				}
				frozen := filepath.Join(t.TempDir(), "frozen.onnx")
				must(t, path, "--data", data, "-o", frozen, "--new-classes", "--freeze", "rest", "--epochs", "1", "--lr", rate, "--quiet")
				before, after, all := network(t, path).Layers, network(t, frozen).Layers, network(t, out).Layers
				for i := range before {
					if i != last {
						require.Equal(t, before[i], after[i], "layer %d", i)
					}
				}
				require.NotEqual(t, before[0], all[0])
				switch l := after[last].(type) {
				case *convert.SbS:
					require.Equal(t, count, l.Weights.Shape()[1])
					require.Equal(t, before[last].(*convert.SbS).Spikes, l.Spikes)
					require.Equal(t, before[last].(*convert.SbS).EpsilonXY != nil, l.EpsilonXY != nil)
				case *convert.Conv:
					require.Equal(t, count, l.Weights.Shape()[0])
					require.Equal(t, []int{count}, l.Bias.Shape())
				}
			})
		}
	}
}

// TestNewClasses_Resumes interrupts a training with a new last layer.
func TestNewClasses_Resumes(t *testing.T) {
	data, path, dir := photos(t, "x", "y"), model(t, convert.Options{}), t.TempDir()
	args := func(out string) []string {
		return []string{path, "--data", data, "-o", filepath.Join(dir, out+".onnx"), "--new-classes", "--freeze", "rest", "--epochs", "3", "--seed", "4"}
	}
	must(t, append(args("whole"), "--quiet")...)
	errOut := stopped(t, "epoch 0:", args("part")...)
	require.Contains(t, errOut, " --freeze rest ")
	require.Contains(t, errOut, " --new-classes ")
	must(t, append(args("part"), "--resume", "--quiet")...)
	require.Equal(t, read(t, filepath.Join(dir, "whole.onnx")), read(t, filepath.Join(dir, "part.onnx")))
	sameTraining(t, filepath.Join(dir, "whole-log"), filepath.Join(dir, "part-log"))

	// The result can be trained further, and for other classes again.
	must(t, filepath.Join(dir, "whole.onnx"), "--data", data, "-o", filepath.Join(dir, "further.onnx"), "--quiet")
	must(t, filepath.Join(dir, "whole.onnx"), "--data", photos(t, "1", "2", "3"), "-o", filepath.Join(dir, "again.onnx"), "--new-classes", "--epochs", "1", "--quiet")
	require.Nil(t, network(t, filepath.Join(dir, "again.onnx")).Classes, "the names are numbers")
	require.Equal(t, 4, network(t, filepath.Join(dir, "again.onnx")).Layers[2].(*convert.SbS).Weights.Shape()[1])
}

// TestNewClasses_AreSuggested checks the errors and warnings about images of other classes than
// those of the model.
func TestNewClasses_AreSuggested(t *testing.T) {
	named, unnamed := converttest.Digits(), converttest.Digits()
	unnamed.Classes = nil
	config := dialect2(t)
	single := photos(t, "only")
	pooled := converttest.Digits()
	pooling := converttest.New(2).SbS(converttest.Window(1, 1), 3, 3, 10)
	pooling.Pooling = true
	pooled.Layers = append(pooled.Layers, pooling)
	labels := bars(t, 30, 0)
	array(t, filepath.Join(labels, "TrainLabelStorage.npy"), []int{30}, append(make([]uint64, 29), 7))
	const advice = ": train a new last layer for the classes of the images with --new-classes, or name the class folders as the classes of the model"
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"other names":   {[]string{save(t, named), "--data", photos(t, "cat", "dog")}, ": the images have 2 classes (cat, dog), but the model has 3 classes (a, b, c)" + advice},
		"as many names": {[]string{save(t, named), "--data", photos(t, "x", "b", "c")}, ": the images have 3 classes (b, c, x), but the model has 3 classes (a, b, c)" + advice},
		"no names":      {[]string{save(t, unnamed), "--data", photos(t, "cat", "dog")}, ": the images have 2 classes (cat, dog), but the model has 3 classes (labels 0 to 2)" + advice},
		"a label":       {[]string{save(t, named), "--data", labels}, ": the images have 8 classes (labels 0 to 7), but the model has 3 classes (a, b, c)" + advice},
		"a single class": {[]string{save(t, named), "--data", single, "--new-classes"},
			"--new-classes: the images of " + single + " have 1 class (only), but a network needs at least two"},
		"a configuration":          {[]string{config, "--data", labels, "--new-classes"}, "--new-classes requires a model: the configuration sets the number of classes with number_of_output_neurons"},
		"a pooling layer of SbS":   {[]string{save(t, pooled), "--data", labels, "--new-classes"}, "--new-classes: pytorch: layer 3 (SbSPooling) comes after the last layer with trained weights"},
		"rest of a pooling of SbS": {[]string{save(t, pooled), "--data", bars(t, 30, 0), "--freeze", "rest"}, "--freeze rest: layer 3 (SbSPooling) comes after"},
	} {
		_, errOut, err := command(t, append(c.args, "-o", filepath.Join(t.TempDir(), "out.onnx"))...)
		require.ErrorContains(t, err, c.want, name)
		require.NotContains(t, errOut, "update 1", name)
	}

	two := bars(t, 30, 0)
	array(t, filepath.Join(two, "TrainLabelStorage.npy"), []int{30}, append(make([]uint64, 29), 1))
	_, errOut := must(t, save(t, named), "--data", two)
	require.Contains(t, errOut, "warning: there are no training images of class c (--new-classes trains a new last layer for the classes of the images only)")
	array(t, filepath.Join(two, "TrainLabelStorage.npy"), []int{30}, append(make([]uint64, 29), 2))
	_, errOut = must(t, save(t, named), "--data", two, "-o", filepath.Join(t.TempDir(), "out.onnx"))
	require.Contains(t, errOut, "warning: there are no training images of class b (--new-classes")
	_, errOut = must(t, save(t, named), "--data", labels, "--new-classes", "--epochs", "1")
	require.Contains(t, errOut, "warning: there are no training images of class 1, 2, 3, 4, 5, 6")
	_, errOut = must(t, save(t, named), "--data", photos(t, "a", "b", "c"), "--new-classes", "--epochs", "1")
	require.Contains(t, errOut, "warning: the training images have the classes of the model; --new-classes replaces its last layer nevertheless")

	// A model without names gets those of the images.
	path := save(t, unnamed)
	must(t, path, "--data", photos(t, "u", "v", "w"))
	require.Equal(t, []string{"u", "v", "w"}, network(t, strings.TrimSuffix(path, ".onnx")+"-tuned.onnx").Classes)
}

// TestFreeze_RestIsAllOtherLayers compares with the names of the layers.
func TestFreeze_RestIsAllOtherLayers(t *testing.T) {
	path, data := model(t, convert.Options{}), bars(t, 48, 0)
	dir := t.TempDir()
	for _, freeze := range []string{"rest", "L0,L1", "L0,rest"} {
		out := filepath.Join(dir, strings.ReplaceAll(freeze, ",", "-")+".onnx")
		must(t, path, "--data", data, "-o", out, "--freeze", freeze, "--quiet")
		require.Equal(t, read(t, filepath.Join(dir, "rest.onnx")), read(t, out), freeze)
	}
	require.Equal(t, network(t, path).Layers[0], network(t, filepath.Join(dir, "rest.onnx")).Layers[0])
}
