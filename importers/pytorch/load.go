package pytorch

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/npy"
	"github.com/spike-by-spike/sbs/ops"
)

// loader reads the files of one step.
type loader struct {
	plan  *plan
	index *index
	step  int

	sources   []convert.Source
	files     []string // of the layer in hand
	generated int      // elements made up so far
	warnings  []string
}

func (ld *loader) warn(format string, args ...any) {
	ld.warnings = append(ld.warnings, fmt.Sprintf(format, args...))
}

// layers builds every layer and checks that each fits the one before it.
func (ld *loader) layers() ([]convert.Layer, []LayerReport, error) {
	var layers []convert.Layer
	var reports []LayerReport
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
			return nil, nil, fmt.Errorf("%v makes %v of %v, want %v: the configuration contradicts itself", l, out, l.in, l.out)
		}
		layers = append(layers, built)
		reports = append(reports, LayerReport{Index: l.index, Kind: string(l.kind), Files: ld.files})
	}
	return layers, reports, nil
}

func (ld *loader) layer(l layer, before []convert.Layer) (convert.Layer, error) {
	switch l.kind {
	case kindSbS, kindSbSPooling:
		return ld.sbs(l)
	case kindConv:
		return ld.conv(l)
	case kindOnOff:
		mean, err := ld.mean(l)
		return &convert.OnOff{Mean: mean}, err
	case kindReconstruction:
		sbs, ok := before[l.index-1].(*convert.SbS)
		if !ok {
			return nil, fmt.Errorf("%v must come directly after an SbS layer", l)
		}
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
		Epsilon0:        p.epsilonXY0,
		EpsilonT:        slices.Clip(p.epsilonT[:l.spikes]),
		Forgetting:      p.forgetting,
		AlphaIterations: p.alpha,
	}
	var err error
	if s.Weights, s.Pooling, err = ld.sbsWeights(l); err != nil || p.dialect != 1 {
		return s, err
	}
	if s.EpsilonXY, err = ld.epsilonXY(l); err != nil {
		return nil, err
	}
	if s.EpsilonXY != nil {
		s.Epsilon0 = p.epsilon0
	} else if l.epsilonXY {
		ld.warn("%v has no EpsXY file; epsilon_xy is its initial value everywhere", l)
	}
	return s, nil
}

func (ld *loader) sbsWeights(l layer) (w *ops.Tensor, pooling bool, err error) {
	shape := []int{l.places(), l.out.Channels}
	path, got, data, err := ld.read(l, weightFile)
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
		if !slices.Equal(got, shape) {
			return nil, false, fmt.Errorf("%v: %s has the shape %v, want %v for %d input channels, a kernel of %dx%d and %d neurons; "+
				"check forward_neuron_numbers and forward_kernel_size, and that the file belongs to this network",
				l, path, got, shape, l.in.Channels, l.window.Kernel[0], l.window.Kernel[1], l.out.Channels)
		}
		columns, worst, err := normalise(data, shape[1])
		if err != nil {
			return nil, false, fmt.Errorf("%v: %s: %w", l, path, err)
		}
		if columns > 0 {
			ld.warn("%v: %s: %d of %d columns were divided by their sums, which are off 1 by up to %.3g", l, path, columns, shape[1], worst)
		}
		pooling = fixed != nil && slices.Equal(data, fixed)
		if fixed != nil && !pooling {
			ld.warn("%v: the weights of %s are used in place of the fixed pooling weights", l, path)
		}
	case fixed != nil:
		data, pooling = fixed, true
	default:
		ld.warn("%v has no Weight file; its weights are random (untrained)", l)
		if data, err = ld.random(l, shape, ld.plan.noise[0], ld.plan.noise[1]); err != nil {
			return nil, false, err
		}
		if _, _, err := normalise(data, shape[1]); err != nil {
			return nil, false, fmt.Errorf("%v: %w", l, err)
		}
	}
	w, err = ops.NewTensor(shape, data)
	return w, pooling, err
}

// epsilonXY returns nil when there is no file.
func (ld *loader) epsilonXY(l layer) (*ops.Tensor, error) {
	path, shape, data, err := ld.read(l, epsilonFile)
	if err != nil || data == nil {
		return nil, err
	}
	full := []int{l.out.Height, l.out.Width, l.window.Kernel[0], l.window.Kernel[1]}
	if !slices.Equal(shape, full[:2]) && !slices.Equal(shape, full) {
		return nil, fmt.Errorf("%v: %s has the shape %v, want %v or %v (output height and width, kernel height and width); "+
			"check the image size, the crop and the geometry of the layers before", l, path, shape, full, full[:2])
	}
	for i, v := range data {
		if v < 0 {
			return nil, fmt.Errorf("%v: %s: element %d is %v, but epsilon_xy cannot be negative", l, path, i, v)
		}
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
		path, shape, data, err := ld.read(l, q)
		if err != nil {
			return nil, err
		}
		if data == nil {
			ld.warn("%v has no %s file; its values are random (untrained)", l, q)
			shape = shapes[q]
			bound := initialBound(l.places())
			if data, err = ld.random(l, shape, -bound, bound); err != nil {
				return nil, err
			}
		}
		if !slices.Equal(shape, shapes[q]) {
			return nil, fmt.Errorf("%v: %s has the shape %v, want %v; check forward_neuron_numbers and forward_kernel_size, "+
				"and that the file belongs to this network", l, path, shape, shapes[q])
		}
		if tensors[q], err = ops.NewTensor(shape, data); err != nil {
			return nil, fmt.Errorf("%v: %s: %w", l, path, err)
		}
	}
	return &convert.Conv{Window: l.window, Weights: tensors[weightFile], Bias: tensors[biasFile]}, nil
}

func (ld *loader) mean(l layer) (*ops.Tensor, error) {
	path, shape, data, err := ld.read(l, meanFile)
	switch n := l.in.Height * l.in.Width; {
	case err != nil:
		return nil, err
	case data == nil:
		ld.warn("%v has no Mean file; its mean is 0.5 everywhere (untrained)", l)
		return ops.NewTensor([]int{1, 1, 1, 1}, []float32{0.5})
	case len(data) == 1:
		return ops.NewTensor([]int{1, 1, 1, 1}, data)
	case len(data) == n:
		return ops.NewTensor([]int{1, 1, l.in.Height, l.in.Width}, data)
	default:
		return nil, fmt.Errorf("%v: %s has the shape %v, want %d values for an input of %v, or one; check the geometry of the layers before",
			l, path, shape, n, l.in)
	}
}

// read returns a layer's values of one quantity, all finite; nil data if there
// is no file.
func (ld *loader) read(l layer, quantity string) (path string, shape []int, data []float32, err error) {
	if path, err = ld.index.find(l, fileID{quantity, l.index, ld.step}); err != nil || path == "" {
		return path, nil, nil, err
	}
	fail := func(err error) (string, []int, []float32, error) {
		return path, nil, nil, fmt.Errorf("%v: %s: %w", l, path, err)
	}
	a, err := npy.ReadFile(os.DirFS(filepath.Dir(path)), filepath.Base(path))
	if err != nil {
		return fail(err)
	}
	switch a.Data.(type) {
	case []float32, []float64:
	default:
		return fail(fmt.Errorf("the elements are %s, want float32 or float64; save the array as one of these",
			strings.TrimPrefix(fmt.Sprintf("%T", a.Data), "[]")))
	}
	if data, err = a.Float32s(); err != nil {
		return fail(err)
	}
	if len(data) == 0 {
		return fail(fmt.Errorf("the array of shape %v is empty", a.Shape))
	}
	for i, v := range data {
		if !finite(v) {
			return fail(fmt.Errorf("element %d is %v, which is not a finite float32 number", i, v))
		}
	}
	if err := ld.addSource(path); err != nil {
		return fail(err)
	}
	ld.files = append(ld.files, path)
	return path, a.Shape, data, nil
}

// addSource records a file that was read.
func (ld *loader) addSource(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	ld.sources = append(ld.sources, convert.Source{Path: sourcePath(ld.index.weights, path), SHA256: hex.EncodeToString(h.Sum(nil))})
	return nil
}

// sourcePath names a file from the folder above the weights folder, so that
// the result does not depend on the machine. A file from elsewhere keeps only
// its own name.
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
