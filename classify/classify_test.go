package classify_test

import (
	"context"
	"image"
	"image/color"
	_ "image/png"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/runtime"
)

// digits is the file of the MNIST network that is shipped, with few spikes.
var digits = sync.OnceValues(func() ([]byte, error) {
	n, _, err := pytorch.Load(pytorch.Options{Weights: "../models/mnist/Weights"})
	if err != nil {
		return nil, err
	}
	for _, l := range n.Layers {
		if s, ok := l.(*convert.SbS); ok {
			s.Spikes, s.Sampler = 100, sbs.LowDiscrepancy
		}
	}
	return convert.ToONNX(n, convert.Options{})
})

// write returns the path of a file with a model.
func write(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

func open(t testing.TB, data []byte, opts ...classify.Option) *classify.Classifier {
	t.Helper()
	c, err := classify.Open(write(t, data), opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func shipped(t testing.TB) []byte {
	t.Helper()
	data, err := digits()
	require.NoError(t, err)
	return data
}

const folder = "../models/mnist/images"

// pictures returns the images of the folder in the order of OpenFiles.
func pictures(t testing.TB) (paths []string, images []image.Image) {
	t.Helper()
	paths, err := filepath.Glob(folder + "/*/*.png")
	require.NoError(t, err)
	require.Len(t, paths, 30)
	for _, path := range paths {
		f, err := os.Open(path)
		require.NoError(t, err)
		img, _, err := image.Decode(f)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		images = append(images, img)
	}
	return paths, images
}

func all(t testing.TB, c *classify.Classifier, limit int, paths ...string) []classify.FileResult {
	t.Helper()
	files, err := c.OpenFiles(paths, "")
	require.NoError(t, err)
	defer func() { require.NoError(t, files.Close()) }()
	var list []classify.FileResult
	for r, err := range c.All(t.Context(), files, limit) {
		require.NoError(t, err)
		list = append(list, r)
	}
	return list
}

// TestImages_GiveWhatFilesGive classifies the same images from memory and from files, in
// batches of several sizes, with several numbers of workers.
func TestImages_GiveWhatFilesGive(t *testing.T) {
	data := shipped(t)
	paths, images := pictures(t)
	c := open(t, data)
	want, err := c.Images(t.Context(), images...)
	require.NoError(t, err)
	require.Len(t, want, 30)
	correct := 0
	for i, r := range all(t, c, 0, folder) {
		require.NoError(t, r.Err)
		require.Equal(t, paths[i], filepath.FromSlash(r.File))
		require.Equal(t, i/3, r.Label)
		require.Equal(t, strconv.Itoa(i/3), r.LabelName)
		require.Equal(t, want[i], r.Result)
		if r.Class == r.Label {
			correct++
		}
	}
	require.GreaterOrEqual(t, correct, 28)
	fixed := func() []byte {
		n, err := convert.FromONNX(data)
		require.NoError(t, err)
		return modeltest.Write(t, n, convert.Options{Batch: 7})
	}()
	for name, other := range map[string]*classify.Classifier{
		"batches of 1": open(t, data, classify.BatchSize(1)), "batches of 7": open(t, data, classify.BatchSize(7), classify.Workers(1)),
		"fixed batches": open(t, fixed), "two workers": open(t, data, classify.Workers(2)),
	} {
		got, err := other.Images(t.Context(), images...)
		require.NoError(t, err)
		require.Equal(t, want, got, name)
		require.Equal(t, want[4], all(t, other, 5, folder)[4].Result, name)
		require.Len(t, all(t, other, 5, folder), 5)
	}
	tensor, err := c.Tensor(images...)
	require.NoError(t, err)
	got, err := c.Run(t.Context(), tensor)
	require.NoError(t, err)
	require.Equal(t, want, got)
	seeded, err := open(t, data, classify.Seed(9)).Images(t.Context(), images...)
	require.NoError(t, err)
	got, err = c.Run(t.Context(), tensor, runtime.Seed(9))
	require.NoError(t, err)
	require.Equal(t, seeded, got)
	got, err = open(t, data, classify.Seed(9)).Run(t.Context(), tensor)
	require.NoError(t, err)
	require.Equal(t, seeded, got)
	require.NotEqual(t, want, got)
	none, err := c.Images(t.Context())
	require.NoError(t, err)
	require.Empty(t, none)
}

// TestImages_TakeMemoryForTheImagesOnly gives one image to a classifier whose batches have
// up to 50000 images, which would take 157 MB.
func TestImages_TakeMemoryForTheImagesOnly(t *testing.T) {
	paths, images := pictures(t)
	c := open(t, shipped(t), classify.BatchSize(50_000))
	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	_, err := c.Images(t.Context(), images[0])
	require.NoError(t, err)
	require.Len(t, all(t, c, 1, paths...), 1)
	goruntime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(40<<20))
}

// TestOpen_ReducesTheDefaultBatchForLargeImages opens a model for images of 4096x4096
// pixels, of which a batch can have 16.
func TestOpen_ReducesTheDefaultBatchForLargeImages(t *testing.T) {
	pb, err := onnx.Unmarshal(t.Context(), passThrough(t, "y"))
	require.NoError(t, err)
	shape := pb.GetGraph().GetInput()[0].GetType().GetTensorType().GetShape()
	shape.Dim[2], shape.Dim[3] = dim(4096), dim(4096)
	data, err := onnx.Marshal(pb)
	require.NoError(t, err)
	open(t, data)
	open(t, data, classify.BatchSize(16))
	_, err = classify.Open(write(t, data), classify.BatchSize(17))
	require.ErrorContains(t, err, "the model takes batches of 17 images of 1x4096x4096; a batch can have 1 to 268435456 pixels")
	shape.Dim[2] = dim(1 << 17) // more than one batch can have
	data, err = onnx.Marshal(pb)
	require.NoError(t, err)
	_, err = classify.Open(write(t, data))
	require.ErrorContains(t, err, "a batch can have 1 to 268435456 pixels")
}

func TestImages_OfAnySizeAndColorWithResize(t *testing.T) {
	_, images := pictures(t)
	strict, c := open(t, shipped(t)), open(t, shipped(t), classify.Resize())
	require.Equal(t, classify.Size{Channels: 1, Height: 28, Width: 28}, c.Size())
	want, err := c.Images(t.Context(), images[0])
	require.NoError(t, err)

	colored := image.NewNRGBA(image.Rect(5, 5, 33, 33))
	large := image.NewGray(image.Rect(0, 0, 84, 84))
	for y := range 84 {
		for x := range 84 {
			g, ok := color.GrayModel.Convert(images[0].At(x/3, y/3)).(color.Gray)
			require.True(t, ok)
			large.SetGray(x, y, g)
			colored.Set(5+x/3, 5+y/3, color.NRGBA{R: g.Y, G: g.Y, B: g.Y, A: 255})
		}
	}
	got, err := c.Images(t.Context(), large, colored)
	require.NoError(t, err)
	require.Equal(t, want[0].Class, got[0].Class)
	require.Equal(t, want[0].Class, got[1].Class)

	_, err = strict.Images(t.Context(), images[1], large)
	require.ErrorContains(t, err, "image 1: the image has 84x84 pixels, but the network needs 28x28 (height x width)")
	colored.Set(7, 7, color.NRGBA{R: 200, A: 255})
	_, err = strict.Images(t.Context(), colored)
	require.ErrorContains(t, err, "the image has colors, but the network needs 1 channel")
	_, err = c.Images(t.Context(), nil)
	require.ErrorContains(t, err, "image 0: the image is nil")
	_, err = c.Tensor(image.NewGray(image.Rect(0, 0, 0, 0)))
	require.ErrorContains(t, err, "the image has 0x0 pixels")
}

// TestOutputs_MayHaveAnyName makes models whose outputs are probabilities, logits, or both, by
// several names.
func TestOutputs_MayHaveAnyName(t *testing.T) {
	x := []float32{1, 2, 3, 0}
	distribution := []float32{0.1, 0.2, 0.3, 0.4}
	softmax := []float32{0.0871443, 0.2368828, 0.6439143, 0.0320586}
	for name, c := range map[string]struct {
		outputs []string
		pixels  []float32
		option  classify.Option
		want    []float32
	}{
		"logits":                        {[]string{"logits"}, x, nil, softmax},
		"distribution named logits":     {[]string{"logits"}, distribution, nil, []float32{0.2138379, 0.2363275, 0.2611823, 0.2886523}},
		"probabilities":                 {[]string{"probabilities"}, x, nil, x},
		"other name":                    {[]string{"y"}, x, nil, softmax},
		"other name, distribution":      {[]string{"y"}, distribution, nil, distribution},
		"probabilities among others":    {[]string{"y", "logits", "probabilities"}, distribution, nil, distribution},
		"logits among others":           {[]string{"y", "logits"}, x, nil, softmax},
		"chosen output":                 {[]string{"y", "logits"}, distribution, classify.Output("y"), distribution},
		"chosen output that is the one": {[]string{"y"}, x, classify.Output("y"), softmax},
	} {
		t.Run(name, func(t *testing.T) {
			opts := []classify.Option{}
			if c.option != nil {
				opts = append(opts, c.option)
			}
			got, err := open(t, passThrough(t, c.outputs...), opts...).Run(t.Context(), pixelsOf(t, c.pixels))
			require.NoError(t, err)
			require.Len(t, got, 1)
			require.InDeltaSlice(t, c.want, got[0].Probabilities, 1e-6)
			require.Equal(t, slices.Index(c.want, slices.Max(c.want)), got[0].Class)
			require.Equal(t, got[0].Probabilities[got[0].Class], got[0].Probability)
		})
	}
	_, err := classify.Open(write(t, passThrough(t, "a", "b")))
	require.ErrorContains(t, err, `the model has the outputs ["a" "b"]: choose the one with the classes with Output`)
	_, err = classify.Open(write(t, passThrough(t, "a", "b")), classify.Output("c"))
	require.ErrorContains(t, err, `the model has no output "c"`)
	pb, err := onnx.Unmarshal(t.Context(), passThrough(t, "y"))
	require.NoError(t, err)
	pb.Graph.Node = []*onnxpb.NodeProto{{OpType: "Flatten", Input: []string{"x"}, Output: []string{"z"}}, {OpType: "Sqrt", Input: []string{"z"}, Output: []string{"y"}}}
	data, err := onnx.Marshal(pb)
	require.NoError(t, err)
	_, err = open(t, data).Run(t.Context(), pixelsOf(t, []float32{1, -1, 0, 0}))
	require.ErrorContains(t, err, "image 0: the model's output for the image is not finite: NaN for class 1")
}

func pixelsOf(t testing.TB, v []float32) *runtime.Tensor {
	t.Helper()
	x, err := runtime.NewTensor([]int{1, 1, 2, 2}, v)
	require.NoError(t, err)
	return x
}

// passThrough returns a model whose outputs are its four pixels.
func passThrough(t testing.TB, outputs ...string) []byte {
	t.Helper()
	pb := &onnxpb.ModelProto{
		IrVersion: 8, OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: 17}},
		Graph: &onnxpb.GraphProto{Input: []*onnxpb.ValueInfoProto{{Name: "x", Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{
			TensorType: &onnxpb.TypeProto_Tensor{ElemType: 1, Shape: &onnxpb.TensorShapeProto{Dim: []*onnxpb.TensorShapeProto_Dimension{
				{Value: &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: "batch"}}, dim(1), dim(2), dim(2),
			}}},
		}}}}},
	}
	for _, name := range outputs {
		pb.Graph.Node = append(pb.Graph.Node, &onnxpb.NodeProto{OpType: "Flatten", Input: []string{"x"}, Output: []string{name}})
		pb.Graph.Output = append(pb.Graph.Output, &onnxpb.ValueInfoProto{Name: name})
	}
	data, err := onnx.Marshal(pb)
	require.NoError(t, err)
	return data
}

func dim(n int64) *onnxpb.TensorShapeProto_Dimension {
	return &onnxpb.TensorShapeProto_Dimension{Value: &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: n}}
}

func TestTop_OrdersClassesByProbability(t *testing.T) {
	c := open(t, passThrough(t, "probabilities"))
	r, err := c.Run(t.Context(), pixelsOf(t, []float32{0.2, 0.4, 0.2, 0.2}))
	require.NoError(t, err)
	require.Equal(t, []classify.Guess{{Class: 1, Name: "1", Probability: 0.4}, {Class: 0, Name: "0", Probability: 0.2}, {Class: 2, Name: "2", Probability: 0.2}}, r[0].Top(3))
	require.Len(t, r[0].Top(10), 4)
	require.Empty(t, r[0].Top(0))
	require.Empty(t, r[0].Top(-1))
	require.Empty(t, classify.Result{}.Top(3))
	require.Equal(t, []string{"0", "1", "2", "3"}, c.Classes())

	named := open(t, modeltest.Write(t, converttest.Digits(), convert.Options{}))
	require.Equal(t, []string{"a", "b", "c"}, named.Classes())
	require.Empty(t, named.Warnings())
	named.Classes()[0] = "x"
	require.Equal(t, "a", named.Classes()[0])
}

// TestAll_ReportsBrokenImagesAlone gives a broken image among others: the others keep
// their numbers, and so their results.
func TestAll_ReportsBrokenImagesAlone(t *testing.T) {
	paths, _ := pictures(t)
	broken := filepath.Join(t.TempDir(), "broken.png")
	require.NoError(t, os.WriteFile(broken, []byte("\x89PNG\r\n\x1a\nno"), 0o600))
	c := open(t, shipped(t))
	want := all(t, c, 0, paths[0], paths[1], paths[2])
	got := all(t, c, 0, paths[0], broken, paths[2])
	require.Equal(t, want[0], got[0])
	require.Equal(t, want[2], got[2])
	require.ErrorContains(t, got[1].Err, broken)
	require.Zero(t, got[1].Result)
	require.Equal(t, classify.Unlabeled, got[1].Label)
	require.Equal(t, dataset.Unlabeled, classify.Unlabeled)
}

func TestAll_EndsWithTheContext(t *testing.T) {
	c := open(t, shipped(t), classify.BatchSize(2))
	files, err := c.OpenFiles([]string{folder}, "")
	require.NoError(t, err)
	defer func() { require.NoError(t, files.Close()) }()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	var last error
	for _, err := range c.All(ctx, files, 0) {
		if seen++; seen == 3 {
			cancel()
		}
		last = err
	}
	require.ErrorIs(t, last, context.Canceled)
	require.Less(t, seen, 30)
	for _, err := range c.All(t.Context(), files, 0) {
		require.NoError(t, err)
		break // the files can be read again afterwards
	}
	require.Len(t, all(t, c, 0, folder), 30)
}

func TestOpenFiles_TakesLabels(t *testing.T) {
	paths, _ := pictures(t)
	labels := filepath.Join(t.TempDir(), "labels.txt")
	require.NoError(t, os.WriteFile(labels, []byte("3\n12\n"), 0o600))
	c := open(t, shipped(t))
	files, err := c.OpenFiles(paths[:2], labels)
	require.NoError(t, err)
	require.Equal(t, 2, files.Len())
	var list []classify.FileResult
	for r, err := range c.All(t.Context(), files, 0) {
		require.NoError(t, err)
		list = append(list, r)
	}
	require.NoError(t, files.Close())
	require.Equal(t, 3, list[0].Label)
	require.NoError(t, list[0].Err)
	require.ErrorContains(t, list[1].Err, "the label is 12, but the model has 10 classes")
	_, err = c.OpenFiles([]string{"nowhere"}, "")
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = c.OpenFiles(nil, "")
	require.Error(t, err)
}

func TestOpen_RefusesModelsThatDoNotClassify(t *testing.T) {
	n := converttest.Digits()
	n.Layers = n.Layers[:1]
	_, err := classify.Open(write(t, modeltest.Write(t, n, convert.Options{})))
	require.ErrorContains(t, err, "model.onnx")
	require.ErrorContains(t, err, "it must be one vector per image, float32(batch, classes)")
	_, err = classify.Open("nowhere.onnx")
	require.ErrorIs(t, err, os.ErrNotExist)
	for _, o := range []classify.Option{nil, classify.Workers(-1), classify.BatchSize(-1), classify.Runtime(runtime.Spikes(-1)), classify.Runtime(nil)} {
		_, err = classify.Open(write(t, shipped(t)), o)
		require.Error(t, err)
	}
	fewer := open(t, shipped(t), classify.Runtime(runtime.Spikes(5)))
	_, images := pictures(t)
	a, err := fewer.Images(t.Context(), images[0])
	require.NoError(t, err)
	b, err := open(t, shipped(t)).Images(t.Context(), images[0])
	require.NoError(t, err)
	require.NotEqual(t, a, b)
}

func TestContract_NilAndZeroAreErrors(t *testing.T) {
	_, err := classify.New(nil)
	require.ErrorContains(t, err, "the model is nil")
	_, err = classify.New(new(runtime.Model))
	require.Error(t, err)
	for _, c := range []*classify.Classifier{nil, new(classify.Classifier)} {
		_, err := c.Images(t.Context())
		require.ErrorContains(t, err, "was not made by Open or New")
		_, err = c.Run(t.Context(), nil)
		require.ErrorContains(t, err, "was not made by Open or New")
		_, err = c.Tensor()
		require.ErrorContains(t, err, "was not made by Open or New")
		_, err = c.OpenFiles([]string{folder}, "")
		require.ErrorContains(t, err, "was not made by Open or New")
		for _, err = range c.All(t.Context(), nil, 0) {
			require.ErrorContains(t, err, "was not made by Open or New")
		}
		require.NoError(t, c.Close())
		require.Empty(t, c.Classes())
		require.Zero(t, c.Size())
		require.Nil(t, c.Model())
	}
	c := open(t, shipped(t))
	for _, err := range c.All(t.Context(), nil, 0) {
		require.ErrorContains(t, err, "the Files were not opened")
	}
	opened, err := c.OpenFiles([]string{folder}, "")
	require.NoError(t, err)
	for _, err := range c.All(nil, opened, 0) { //nolint:staticcheck // this is what is tested
		require.ErrorContains(t, err, "the context is nil")
	}
	require.NoError(t, opened.Close())
	var files *classify.Files
	require.NoError(t, files.Close())
	require.Zero(t, files.Len())
	require.Empty(t, files.Classes())
	_, err = c.Run(t.Context(), nil)
	require.ErrorIs(t, err, runtime.ErrInput)
}

func TestContract_NewLeavesTheModelOpen(t *testing.T) {
	m, err := runtime.New(shipped(t), runtime.Workers(2))
	require.NoError(t, err)
	_, err = classify.New(m, classify.Runtime(runtime.Spikes(5)))
	require.ErrorContains(t, err, "already loaded")
	c, err := classify.New(m)
	require.NoError(t, err)
	require.Same(t, m, c.Model())
	require.NoError(t, c.Close())
	require.NoError(t, m.Close())
}

// TestContract_ConcurrentUse classifies from several goroutines, and counts the goroutines
// that are left after Close.
func TestContract_ConcurrentUse(t *testing.T) {
	defer goruntime.GOMAXPROCS(goruntime.GOMAXPROCS(4))
	_, images := pictures(t)
	before := goruntime.NumGoroutine()
	c, err := classify.Open(write(t, shipped(t)), classify.BatchSize(8))
	require.NoError(t, err)
	want, err := c.Images(t.Context(), images...)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			if i%2 == 0 {
				got, err := c.Images(t.Context(), images...)
				if err != nil || !slices.EqualFunc(want, got, func(a, b classify.Result) bool { return slices.Equal(a.Probabilities, b.Probabilities) }) {
					t.Error("other results", err)
				}
				return
			}
			for j, r := range all(t, c, 0, folder) {
				if !slices.Equal(want[j].Probabilities, r.Probabilities) {
					t.Error("other results from files")
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, c.Close())
	for range 1000 {
		if goruntime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d goroutines are left, there were %d", goruntime.NumGoroutine(), before)
}

func TestWarnings_NameAWrongNumberOfClassNames(t *testing.T) {
	n := converttest.Digits()
	n.Classes = []string{"a", "b"}
	c := open(t, modeltest.Write(t, n, convert.Options{}))
	require.Equal(t, []string{"the model has 2 class names for 3 classes; the numbers of the classes are used instead"}, c.Warnings())
	require.Equal(t, []string{"0", "1", "2"}, c.Classes())
}
