package classify

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/metadata"
	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// Classifier classifies images with a model. Use Open or New to make one.
type Classifier struct {
	config
	model  *runtime.Model
	owned  bool // Close closes the model
	decode *parallel.Pool

	input   string
	size    Size
	fixed   bool // the model takes batches of one size only
	unit    bool // the model takes pixels from 0 to 1, as all models of sbs-convert and sbs-train
	output  string
	count   int               // of classes
	classes []string          // their names, nil if unknown
	borders *metadata.Borders // of the training images, nil if unknown

	warnings []string
}

// Size is the size of an image. Channels is 1 for gray images and 3 for color images.
type Size struct{ Channels, Height, Width int }

// String returns the size as channels, height and width: "1x28x28".
func (s Size) String() string { return dataset.Size(s).String() }

// defaultBatch is the number of images that a model with an open batch size gets at a
// time: enough for all cores, few enough to see progress.
const defaultBatch = 128

// maxPixels bounds the pixels of one batch, over all images and channels.
const maxPixels = 1 << 28

// Open returns a Classifier for the model in a file.
func Open(path string, opts ...Option) (*Classifier, error) {
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	m, err := runtime.Open(path, append([]runtime.Option{runtime.Workers(cfg.workers)}, cfg.runtime...)...)
	if err != nil {
		return nil, err
	}
	c := &Classifier{config: cfg, model: m, owned: true}
	if err := c.setUp(); err != nil {
		return nil, fmt.Errorf("classify: %s: %w", path, errors.Join(err, m.Close()))
	}
	return c, nil
}

// New returns a Classifier for a loaded model. Close of the Classifier does not close the
// model.
func New(m *runtime.Model, opts ...Option) (*Classifier, error) {
	cfg, err := newConfig(opts)
	switch {
	case err != nil:
		return nil, err
	case m == nil:
		return nil, errors.New("classify: the model is nil")
	case len(cfg.runtime) > 0:
		return nil, errors.New("classify: Runtime and Stage have no effect on a model that is already loaded: give their options to runtime.Open")
	}
	c := &Classifier{config: cfg, model: m}
	if err := c.setUp(); err != nil {
		return nil, fmt.Errorf("classify: %w", err)
	}
	return c, nil
}

// setUp checks that the model classifies images.
func (c *Classifier) setUp() error {
	if err := c.setInput(c.model.Inputs()); err != nil {
		return err
	}
	if err := c.noise.Fits(c.size.Height, c.size.Width, c.model.Crop()); err != nil {
		return err
	}
	if err := c.setOutput(c.model.Outputs()); err != nil {
		return err
	}
	c.unit = metadata.IsOwn(c.model.Metadata())
	var err error
	if c.classes, err = metadata.ClassNames(c.model.Metadata()); err != nil {
		return err
	}
	c.warnings = c.model.Warnings()
	if text := c.model.Metadata()[metadata.Border]; text != "" {
		if c.borders, err = metadata.ParseBorders(text); err != nil {
			c.warnings = append(c.warnings, fmt.Sprintf("%v; no picture is inverted automatically", err))
		}
	}
	if n := len(c.classes); n != c.count {
		if n > 0 {
			c.warnings = append(c.warnings, fmt.Sprintf("the model has %d class names for %d classes; the numbers of the classes are used instead", n, c.count))
		}
		c.classes = nil
	}
	c.decode = parallel.New(c.workers)
	return nil
}

func (c *Classifier) setInput(inputs []runtime.ValueInfo) error {
	if len(inputs) != 1 {
		return fmt.Errorf("the model has %d inputs, but a model that classifies images has one (one that was converted with --inject has more: convert it without)", len(inputs))
	}
	in := inputs[0]
	if s := in.Shape; in.DType != ops.Float32 || len(s) != 4 || !s[1].Known() || !s[2].Known() || !s[3].Known() {
		return fmt.Errorf("the model's input %q is %v; to classify images it must be float32(batch, channels, height, width) of known sizes", in.Name, in.Type)
	}
	c.input, c.size = in.Name, Size{Channels: in.Shape[1].Size, Height: in.Shape[2].Size, Width: in.Shape[3].Size}
	most := 0 // images per batch
	if s := c.size; s.Channels > 0 && s.Height > 0 && s.Width > 0 {
		most = maxPixels / s.Height / s.Width / s.Channels
	}
	if c.batch == 0 {
		c.batch = max(1, min(defaultBatch, most))
	}
	if c.fixed = in.Shape[0].Known(); c.fixed {
		c.batch = in.Shape[0].Size
	}
	if c.batch < 1 || c.batch > most {
		return fmt.Errorf("the model takes batches of %d images of %v; a batch can have 1 to %d pixels", c.batch, c.size, maxPixels)
	}
	return nil
}

func (c *Classifier) setOutput(outputs []runtime.ValueInfo) error {
	named := func(name string) int {
		return slices.IndexFunc(outputs, func(v runtime.ValueInfo) bool { return v.Name == name })
	}
	i := 0
	switch {
	case c.config.output != "":
		i = named(c.config.output)
	case len(outputs) > 1:
		if i = named(metadata.Probabilities); i < 0 {
			i = named(metadata.Logits)
		}
	}
	if i < 0 {
		var names []string
		for _, v := range outputs {
			names = append(names, fmt.Sprintf("%q", v.Name))
		}
		if c.config.output != "" {
			return fmt.Errorf("the model has no output %q; its outputs are %v", c.config.output, names)
		}
		return fmt.Errorf("the model has the outputs %v: choose the one with the classes with Output", names)
	}
	out := outputs[i]
	ok := out.DType == ops.Float32 && len(out.Shape) >= 2 && out.Shape[1].Known() && out.Shape[1].Size >= 1
	for j := 2; ok && j < len(out.Shape); j++ {
		ok = out.Shape[j].Size == 1
	}
	if !ok {
		return fmt.Errorf("the model's output %q is %v; to classify images it must be one vector per image, float32(batch, classes)", out.Name, out.Type)
	}
	c.output, c.count = out.Name, out.Shape[1].Size
	return nil
}

func (c *Classifier) made() bool { return c != nil && c.model != nil }

// errNotMade reports the use of a Classifier that was not made by Open or New.
var errNotMade = errors.New("classify: the Classifier was not made by Open or New")

// Classes returns the names of the classes in the order of the class numbers. If the
// model does not name its classes, the names are the numbers.
func (c *Classifier) Classes() []string {
	if !c.made() {
		return nil
	}
	names := make([]string, c.count)
	for i := range names {
		names[i] = nameOf(c.classes, i)
	}
	return names
}

// Warnings returns the warnings about the model, as sentences: those of the model itself,
// and those about its use for classification.
func (c *Classifier) Warnings() []string {
	if !c.made() {
		return nil
	}
	return slices.Clone(c.warnings)
}

// Size returns the size of the images that the model takes.
func (c *Classifier) Size() Size {
	if !c.made() {
		return Size{}
	}
	return c.size
}

// Model returns the model.
func (c *Classifier) Model() *runtime.Model {
	if !c.made() {
		return nil
	}
	return c.model
}

// Close ends the goroutines of the Classifier and, if Open loaded the model, closes the
// model. Close must not be called while the Classifier is in use.
func (c *Classifier) Close() error {
	if !c.made() {
		return nil
	}
	c.decode.Close()
	if c.owned {
		return c.model.Close()
	}
	return nil
}

// Tensor returns the pixels of images as an input of the model: float32 (images,
// channels, height, width). It adds the noise that the option Noise describes. The number
// of an image, on which its noise depends, is its index.
func (c *Classifier) Tensor(images ...image.Image) (*runtime.Tensor, error) {
	if !c.made() {
		return nil, errNotMade
	}
	pixels := make([]float32, 0, len(images)*c.pixels())
	for i, img := range images {
		m, err := c.fromImage(i, img)
		if err != nil {
			return nil, err
		}
		pixels = append(pixels, m.Pixels...)
	}
	return c.tensor(pixels)
}

// fromImage returns image i, with noise.
func (c *Classifier) fromImage(i int, img image.Image) (dataset.Image, error) {
	m, err := dataset.FromImage(img, c.reading())
	if err != nil {
		return m, fmt.Errorf("classify: image %d: %w", i, err)
	}
	c.addNoise(m.Pixels, i)
	return m, nil
}

// reading returns the options for reading images.
func (c *Classifier) reading() dataset.Options {
	return dataset.Options{
		Size: dataset.Size(c.size), Resize: c.resize, Invert: c.invert, Borders: c.borders, Classes: c.classes, NumClasses: c.count,
	}
}

// addNoise adds noise to the pixels of image i.
func (c *Classifier) addNoise(pixels []float32, i int) {
	c.noise.Apply(pixels, c.size.Channels, c.size.Height, c.size.Width, c.seed, uint64(i))
}

// newPixels returns memory for the pixels of n images. For a model with a fixed batch size
// it is a whole batch, whose remaining images are 0.
func (c *Classifier) newPixels(n int) []float32 {
	if c.fixed {
		n = c.batch
	}
	return make([]float32, n*c.pixels())
}

// pixels returns the number of pixels of one image, over all channels.
func (c *Classifier) pixels() int { return c.size.Channels * c.size.Height * c.size.Width }

func (c *Classifier) tensor(pixels []float32) (*runtime.Tensor, error) {
	return runtime.NewTensor([]int{len(pixels) / c.pixels(), c.size.Channels, c.size.Height, c.size.Width}, pixels)
}

// Images classifies images. The number of an image, on which its random numbers depend,
// is its index.
func (c *Classifier) Images(ctx context.Context, images ...image.Image) ([]Result, error) {
	if !c.made() {
		return nil, errNotMade
	}
	var results []Result
	for first := 0; first < len(images); first += c.batch {
		part := images[first:min(first+c.batch, len(images))]
		pixels := c.newPixels(len(part))
		for i, img := range part {
			m, err := c.fromImage(first+i, img)
			if err != nil {
				return nil, err
			}
			copy(pixels[i*c.pixels():], m.Pixels)
			results = append(results, Result{Inverted: m.Inverted, Blank: m.Blank})
		}
		outputs, err := c.run(ctx, pixels, len(part), runtime.Seed(c.seed), runtime.FirstImage(uint64(first)))
		if err != nil {
			return nil, err
		}
		for i, out := range outputs {
			if err := c.setResult(&results[first+i], out, c.classes); err != nil {
				return nil, fmt.Errorf("classify: image %d: %w", first+i, err)
			}
		}
	}
	return results, nil
}

// Run classifies a batch of images, such as Tensor returns, with options for this run. A
// Seed among the options takes precedence over the seed of the Classifier.
//
// Run refuses images with a value that is not finite. A model that sbs-convert or sbs-train
// has written takes values from 0 to 1: for such a model, Run also refuses values below -1
// and above 2. The errors wrap runtime.ErrValue.
func (c *Classifier) Run(ctx context.Context, images *runtime.Tensor, opts ...runtime.RunOption) ([]Result, error) {
	if !c.made() {
		return nil, errNotMade
	}
	if err := c.checkValues(images); err != nil {
		return nil, err
	}
	opts = append([]runtime.RunOption{runtime.Seed(c.seed)}, opts...)
	var effort runtime.Effort
	opts = append(opts, runtime.ReportEffort(func(e runtime.Effort) { effort = e }))
	out, err := c.model.Run(ctx, map[string]*runtime.Tensor{c.input: images}, opts...)
	if err != nil {
		return nil, err
	}
	v := out[c.output].Float32s()
	results := make([]Result, len(v)/c.count)
	for i := range results {
		if err = c.setResult(&results[i], c.outputOf(v, effort, i), c.classes); err != nil {
			return nil, fmt.Errorf("classify: image %d: %w", i, err)
		}
	}
	return results, nil
}

// checkValues returns an error for values that no image has. A network would compute
// something from them, and nobody would notice.
func (c *Classifier) checkValues(images *runtime.Tensor) error {
	low, high := float32(-math.MaxFloat32), float32(math.MaxFloat32)
	if c.unit {
		low, high = -1, 2
	}
	for i, v := range images.Float32s() {
		if v >= low && v <= high {
			continue
		}
		want := "want finite numbers"
		if c.unit {
			want = "the model takes pixels from 0 to 1, so divide bytes by 255"
		}
		return fmt.Errorf("classify: %w: %w: image %d has the value %v: %s", runtime.ErrInput, runtime.ErrValue, i/max(1, c.pixels()), v, want)
	}
	return nil
}

// run returns the outputs for the first n images of pixels, which newPixels has made for n
// images.
func (c *Classifier) run(ctx context.Context, pixels []float32, n int, opts ...runtime.RunOption) ([]output, error) {
	x, err := c.tensor(pixels)
	if err != nil {
		return nil, err
	}
	var effort runtime.Effort
	opts = append(opts, runtime.ReportEffort(func(e runtime.Effort) { effort = e }))
	out, err := c.model.Run(ctx, map[string]*runtime.Tensor{c.input: x}, opts...)
	if err != nil {
		return nil, err
	}
	v := out[c.output].Float32s()
	if len(v) < n*c.count {
		return nil, fmt.Errorf("classify: the output of the model has %d numbers for %d images, want %d per image", len(v), n, c.count)
	}
	outputs := make([]output, n)
	for i := range outputs {
		outputs[i] = c.outputOf(v, effort, i)
	}
	return outputs, nil
}

// output is what the model returns for one image.
type output struct {
	values  []float32 // one per class
	stage   int       // 0 for a model without stages
	updates int64
}

// outputOf returns the output of image i of a batch, given the values of all images.
func (c *Classifier) outputOf(values []float32, effort runtime.Effort, i int) output {
	out := output{values: values[i*c.count : (i+1)*c.count : (i+1)*c.count]}
	if i < len(effort.Stages) {
		out.stage = effort.Stages[i]
	}
	if i < len(effort.Updates) {
		out.updates = effort.Updates[i]
	}
	return out
}
