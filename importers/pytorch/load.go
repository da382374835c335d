package pytorch

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/npy"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// loader reads the files of one step.
type loader struct {
	config *config
	plan   *plan
	index  *index
	step   int
	start  *Start // for NewNetwork, else nil

	sources   []convert.Source
	files     []string // of the current layer
	generated int      // elements that were generated so far
	warnings  []string
}

func (ld *loader) warn(format string, args ...any) {
	ld.warnings = append(ld.warnings, fmt.Sprintf(format, args...))
}

// untrained warns of values without a file. A new network for training has them on
// purpose, unless other values were read from files.
func (ld *loader) untrained(format string, args ...any) {
	if ld.start == nil || len(ld.index.files) > 0 {
		ld.warn(format, args...)
	}
}

// layers builds every layer and checks that each fits the one before it.
func (ld *loader) layers() ([]convert.Layer, []LayerReport, error) {
	var layers []convert.Layer
	var reports []LayerReport
	own := ld.plan.configured(ld.config)
	for _, l := range ld.plan.layers {
		ld.files = nil
		built, err := ld.layer(l, layers)
		if err != nil {
			return nil, nil, err
		}
		out, err := built.Output(l.in)
		if err != nil {
			return nil, nil, fmt.Errorf("%v with input %v: %w", l, l.in, err)
		}
		if out != l.out {
			return nil, nil, fmt.Errorf("%v turns %v into %v, want %v: the configuration contradicts itself", l, l.in, out, l.out)
		}
		layers = append(layers, built)
		reports = append(reports, LayerReport{
			Index: l.index, Kind: string(l.kind), Files: ld.files,
			Spikes: l.given,
		})
		if l.kind.sbs() {
			reports[len(reports)-1].epsilonT = own[:inRange(l.given)]
		}
	}
	return layers, reports, nil
}

func (ld *loader) layer(l layer, before []convert.Layer) (convert.Layer, error) {
	switch l.kind {
	case kindSbS, kindSbSPooling:
		return ld.sbs(l)
	case kindNNMF, kindBPSbSNNMF:
		return ld.nnmf(l)
	case kindConv, kindApproxConv:
		return ld.conv(l)
	case kindPoisson:
		return &convert.Poisson{Spikes: l.spikes}, nil
	case kindSpikeImage:
		return &convert.SpikeImage{Spikes: l.spikes}, nil
	case kindOnOff:
		if !generations.onOffMean[ld.plan.generation] {
			return &convert.OnOff{}, nil
		}
		mean, err := ld.mean(l)
		return &convert.OnOff{Mean: mean}, err
	case kindReconstruction:
		sbs := before[l.index-1].(*convert.SbS) // newPlan has checked it
		return &convert.Reconstruction{Weights: sbs.Weights}, nil
	case kindAveragePool:
		return &convert.AveragePool{Window: l.window}, nil
	case kindMaxPool:
		return &convert.MaxPool{Window: l.window}, nil
	case kindReLU:
		return &convert.ReLU{}, nil
	}
	return nil, fmt.Errorf("%w: %v", ErrUnsupported, l)
}

func (ld *loader) sbs(l layer) (convert.Layer, error) {
	p := ld.plan
	s := &convert.SbS{
		Window:          l.window,
		Spikes:          l.spikes,
		Epsilon0:        p.epsilon0,
		EpsilonT:        slices.Clip(p.epsilonT[:l.spikes]),
		Forgetting:      p.forgetting,
		Local:           l.local,
		FullLayer:       l.fullLayer,
		AlphaIterations: p.alpha,
	}
	var err error
	if s.Weights, s.Pooling, err = ld.sbsWeights(l); err != nil {
		return nil, err
	}
	if generations.epsilonFiles[p.generation] {
		if s.EpsilonXY, err = ld.epsilonXY(l); err != nil || s.EpsilonXY != nil {
			return s, err
		}
		if l.epsilonXY {
			ld.untrained("%v has no EpsXY file; its epsilon_xy is the initial value everywhere", l)
			if ld.start != nil {
				s.EpsilonXY, err = ld.initialEpsilonXY(l)
				return s, err
			}
		}
	}
	s.Epsilon0, err = ld.config.initialEpsilon(p.generation)
	return s, err
}

func (ld *loader) nnmf(l layer) (convert.Layer, error) {
	n := &convert.NNMF{Window: l.window, Iterations: l.spikes, Epsilon0: ld.plan.epsilon0, Gradient: sbs.GradientLoop}
	if l.kind == kindBPSbSNNMF {
		n.Gradient = sbs.GradientClosedForm
	}
	var err error
	n.Weights, _, err = ld.sbsWeights(l)
	return n, err
}

// sbsWeights returns the weights of an SbS or NNMF layer, and whether they are the fixed weights
// of a pooling layer.
func (ld *loader) sbsWeights(l layer) (w *ops.Tensor, pooling bool, err error) {
	shape := []int{l.places(), l.out.Channels}
	path, _, data, err := ld.read(l, weightFile, elements(shape), func(got []int) error {
		if slices.Equal(got, shape) {
			return nil
		}
		return fmt.Errorf("the array has the shape %v, want %v for %d input channels, a kernel of %dx%d and %d neurons; "+
			"check forward_neuron_numbers and forward_kernel_size%s, and that the file belongs to this network",
			got, shape, l.in.Channels, l.window.Kernel[0], l.window.Kernel[1], l.out.Channels, ld.shortList(l))
	})
	if err != nil {
		return nil, false, err
	}
	var fixed []float32
	if l.kind == kindSbSPooling {
		if fixed, err = ld.poolingWeights(l); err != nil {
			return nil, false, err
		}
	}
	switch {
	case data != nil:
		columns, worst, err := normalize(data, shape[1], tolerance)
		if err != nil {
			return nil, false, fmt.Errorf("%v: %s: %w", l, path, err)
		}
		if columns > 0 {
			ld.warn("%v: %s: %d of %d columns were divided by their sums, which differ from 1 by up to %.3g", l, path, columns, shape[1], worst)
		}
		pooling = fixed != nil && slices.Equal(data, fixed)
		if fixed != nil && !pooling {
			ld.warn("%v: the weights of %s are used instead of the fixed pooling weights", l, path)
		}
	case fixed != nil:
		data, pooling = fixed, true
	default:
		ld.untrained("%v has no Weight file; its weights are random (untrained)", l)
		lo, hi, err := ld.config.untrained(ld.plan.generation)
		if err != nil {
			return nil, false, fmt.Errorf("%v: %w", l, err)
		}
		if data, err = ld.random(l, shape, lo, hi); err != nil {
			return nil, false, err
		}
		if _, _, err := normalize(data, shape[1], 0); err != nil {
			return nil, false, fmt.Errorf("%v: %w", l, err)
		}
	}
	w, err = ops.NewTensor(shape, data)
	return w, pooling, err
}

// epsilonXY returns the epsilon_xy from a layer's file, nil if there is none.
func (ld *loader) epsilonXY(l layer) (*ops.Tensor, error) {
	full := []int{l.out.Height, l.out.Width, l.window.Kernel[0], l.window.Kernel[1]}
	most := max(elements(full), elements(full[:2]))
	path, shape, data, err := ld.read(l, epsilonFile, most, func(got []int) error {
		if slices.Equal(got, full[:2]) || slices.Equal(got, full) {
			return nil
		}
		return fmt.Errorf("the array has the shape %v, want %v or %v (output height and width, kernel height and width); "+
			"check the image size, the crop and the geometry of the layers before", got, full, full[:2])
	})
	if err != nil || data == nil {
		return nil, err
	}
	for i, v := range data {
		if v < 0 || v > sbs.MaxEpsilon {
			return nil, fmt.Errorf("%v: %s: element %d is %v, but epsilon_xy must be 0 to %v", l, path, i, v, float32(sbs.MaxEpsilon))
		}
	}
	return ops.NewTensor(shape, data)
}

// initialEpsilonXY returns the initial epsilon_xy as a tensor, so that training can
// change it.
func (ld *loader) initialEpsilonXY(l layer) (*ops.Tensor, error) {
	if _, err := ld.config.initialEpsilon(ld.plan.generation); err != nil {
		return nil, err
	}
	shape := []int{l.out.Height, l.out.Width, l.window.Kernel[0], l.window.Kernel[1]}
	data, err := ld.generate(l, shape)
	if err != nil {
		return nil, err
	}
	for i := range data {
		data[i] = float32(ld.config.initialXY(ld.plan.generation))
	}
	return ops.NewTensor(shape, data)
}

func (ld *loader) conv(l layer) (convert.Layer, error) {
	shapes := map[string][]int{
		weightFile: {l.out.Channels, l.in.Channels, l.window.Kernel[0], l.window.Kernel[1]},
		biasFile:   {l.out.Channels},
	}
	tensors := map[string]*ops.Tensor{}
	for _, q := range []string{weightFile, biasFile} {
		shape := shapes[q]
		path, _, data, err := ld.read(l, q, elements(shape), func(got []int) error {
			if slices.Equal(got, shape) {
				return nil
			}
			return fmt.Errorf("the array has the shape %v, want %v; check forward_neuron_numbers and forward_kernel_size%s, "+
				"and that the file belongs to this network", got, shape, ld.shortList(l))
		})
		if err != nil {
			return nil, err
		}
		if data == nil {
			ld.untrained("%v has no %s file; its values are random (untrained)", l, q)
			bound := initialBound(l.places())
			if data, err = ld.random(l, shape, -bound, bound); err != nil {
				return nil, err
			}
		}
		if tensors[q], err = ops.NewTensor(shape, data); err != nil {
			return nil, fmt.Errorf("%v: %s: %w", l, path, err)
		}
	}
	weights, bias := tensors[weightFile], tensors[biasFile]
	if l.kind == kindConv {
		return &convert.Conv{Window: l.window, Weights: weights, Bias: bias}, nil
	}
	c := ld.config
	return &convert.ApproxConv{
		Window: l.window, Weights: weights, Bias: bias,
		FracBits: at(c.fracBits, l.index, 0), TruncBits: at(c.truncBits, l.index, 0), Enabled: at(c.approximate, l.index, false),
	}, nil
}

// shortList says, in an error about the shape of weights, that the kernel of a layer is a default.
func (ld *loader) shortList(l layer) string {
	if entry(ld.plan.generation, ld.config.kernel, l.index) != nil {
		return ""
	}
	return " (which has no entry for this layer, so that its kernel is [1, 1])"
}

func (ld *loader) mean(l layer) (*ops.Tensor, error) {
	shape := []int{1, 1, l.in.Height, l.in.Width}
	n := elements(shape)
	_, _, data, err := ld.read(l, meanFile, n, func(got []int) error {
		if count := elements(got); count == 1 || count == n {
			return nil
		}
		return fmt.Errorf("the array has the shape %v, want %d values for an input of %v, or one; check the geometry of the layers before", got, n, l.in)
	})
	switch {
	case err != nil:
		return nil, err
	case data == nil:
		ld.untrained("%v has no Mean file; its mean is 0.5 everywhere (untrained)", l)
		if data, err = ld.generate(l, shape); err != nil { // one per pixel, so that training can change each
			return nil, err
		}
		for i := range data {
			data[i] = 0.5
		}
	case len(data) == 1:
		return ops.NewTensor([]int{1, 1, 1, 1}, data)
	}
	return ops.NewTensor(shape, data)
}

// read returns a layer's array of one quantity, whose values are finite, or nil data if
// there is no file. fits returns an error about a shape that is wrong. read does not read
// arrays with more than most elements, whose shape must be wrong.
func (ld *loader) read(l layer, quantity string, most int, fits func(shape []int) error) (path string, shape []int, data []float32, err error) {
	if path, err = ld.index.find(l, fileID{quantity, l.index, ld.step, ld.index.order}); err != nil || path == "" {
		return path, nil, nil, err
	}
	fail := func(err error) (string, []int, []float32, error) {
		return path, nil, nil, fmt.Errorf("%v: %s: %w", l, path, err)
	}
	sum := sha256.New()
	a, err := readArray(path, sum, most)
	if large, ok := errors.AsType[*npy.SizeError](err); ok {
		err = cmp.Or(fits(large.Shape), err)
	} else if err == nil {
		err = fits(a.Shape)
	}
	if err != nil {
		return fail(err)
	}
	from := convert.Source{Shape: a.Shape}
	switch d := a.Data.(type) {
	case []float32:
		from.DType = float32Type
	case []float64:
		from.DType = float64Type
		for _, v := range d {
			if float64(float32(v)) != v {
				from.Rounded++
			}
		}
	default:
		return fail(fmt.Errorf("the elements are %s, want float32 or float64; save the array as one of these",
			strings.TrimPrefix(fmt.Sprintf("%T", a.Data), "[]")))
	}
	if data, err = a.Float32s(); err != nil {
		return fail(err)
	}
	for i, v := range data {
		if !finite(v) {
			return fail(fmt.Errorf("element %d is %v, which is not a finite float32 number", i, v))
		}
	}
	from.Path, from.SHA256 = sourcePath(ld.index.weights, path), hex.EncodeToString(sum.Sum(nil))
	ld.sources = append(ld.sources, from)
	ld.files = append(ld.files, path)
	return path, a.Shape, data, nil
}

// NumPy's names of the element types.
const (
	float32Type = "float32"
	float64Type = "float64"
)

// elements returns the number of elements of a shape, 0 if it is more than an array in a
// file can have.
func elements(shape []int) int {
	n, err := ops.Len(shape)
	if err != nil {
		return 0
	}
	return n
}

// readArray reads an array with up to most elements and adds the bytes of the file to a
// hash. Errors do not name the file.
func readArray(path string, sum hash.Hash, most int) (*npy.Array, error) {
	f, err := os.Open(path)
	if err != nil {
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			err = e.Err
		}
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read: nothing can be lost
	return npy.ReadOpen(hashedFile{f, io.TeeReader(f, sum)}, npy.AtMost(most))
}

// hashedFile is a file whose reads pass through a hash.
type hashedFile struct {
	fs.File
	tee io.Reader
}

func (f hashedFile) Read(p []byte) (int, error) { return f.tee.Read(p) }

// sourcePath returns the path of a file relative to the parent folder of the weights folder,
// so that the result does not depend on the machine. A file outside that folder keeps
// only its name.
func sourcePath(weights, path string) string {
	root, err1 := filepath.Abs(weights)
	abs, err2 := filepath.Abs(path)
	if err1 == nil && err2 == nil {
		if rel, err := filepath.Rel(filepath.Dir(root), abs); err == nil && filepath.IsLocal(rel) {
			return filepath.ToSlash(rel)
		}
	}
	return filepath.Base(path)
}
