package c99

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/ops"
)

// Options controls Generate.
type Options struct {
	// Name is the beginning of the names in the C file: lower-case letters, digits and underscores. See NameOf.
	Name string

	File   string // the name of the C file, for its comments
	Source string // the name of the model's file, for its comments, or ""

	// Int8 stores weights with 8 bits, as Quantize chooses them.
	Int8 bool
}

// ErrUnsupported is wrapped by the errors of Generate about models that hold something for which there is no C
// code.
var ErrUnsupported = errors.New("cannot be written in C")

// File is a C file.
type File struct {
	Code      []byte
	Constants int // bytes of weights and other constants
	Memory    int // bytes of the memory that a run needs
}

// Generate returns the C file for a model that package convert wrote, with all of its stages.
//
// It returns an error that wraps ErrUnsupported and names everything for which there is no C code: layers that
// draw spikes from whole images (SpikeImage, Poisson, and SbS with FullLayer), alpha iterations, approximate
// products, reconstructions, weights that are not finite, inputs instead of random numbers, and large images that
// are normalized.
func Generate(model []byte, o Options, opts ...convert.ReadOption) (*File, error) {
	if NameOf(o.Name) != o.Name {
		return nil, fmt.Errorf("c99: %q is not a name for C: want %s, such as %s", o.Name, Names, NameOf(o.Name))
	}
	s, err := convert.StagesFromONNX(model, opts...)
	if err != nil {
		return nil, foreign(model, err)
	}
	opt, err := convert.OptionsOf(model)
	if err != nil {
		return nil, err
	}
	if err := check(s, opt); err != nil {
		return nil, err
	}
	p := newProgram(o)
	for i, stage := range s.Stages {
		threshold := stage.Threshold
		if i == len(s.Stages)-1 {
			threshold = noThreshold
		}
		if err := p.addStage(stage.Network, threshold, opt.Seed); err != nil {
			return nil, err
		}
	}
	return p.write()
}

// Names says what names for C are.
const Names = "lower-case letters, digits and underscores, beginning with a letter, and not the name of a type"

// types match the names for which <stdint.h> and <limits.h> define the macro NAME_WIDTH since C23.
var types = regexp.MustCompile(`^(u?int(_(least|fast))?\d+|u?int(max|ptr)?|[su]?char|u?shrt|u?l?long|bool|ptrdiff|sig_atomic|size|wchar|wint)$`)

// NameOf makes a name for C from the name of a file without its ending.
func NameOf(file string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '_'
	}, file)
	if name == "" || name[0] < 'a' || types.MatchString(name) {
		name = strings.TrimRight("model_"+strings.TrimLeft(name, "_"), "_")
	}
	return name
}

// check returns an error that names everything for which there is no C code.
func check(s *convert.Staged, opt convert.Options) error {
	var missing []string
	if opt.Inject != convert.InjectNothing {
		missing = append(missing, fmt.Sprintf("inputs for %s instead of random numbers: convert the weights without --inject", opt.Inject))
	}
	for i, stage := range s.Stages {
		in := ""
		if len(s.Stages) > 1 {
			in = fmt.Sprintf("stage %d, ", i+1)
		}
		for _, m := range missingIn(stage.Network, opt) {
			missing = append(missing, in+m)
		}
	}
	if n := numbers(s); n > maxNumbers {
		missing = append(missing, fmt.Sprintf("more than %d weights and other numbers: the model has %d", maxNumbers, n))
	}
	if missing == nil {
		return nil
	}
	return fmt.Errorf("c99: the model %w: there is no code for %s", ErrUnsupported, strings.Join(missing, "; "))
}

// maxNumbers bounds the constants of a file, which then has less than 2 GB.
const maxNumbers = 100_000_000

// numbers returns how many numbers the layers of all stages have.
func numbers(s *convert.Staged) int64 {
	var n int64
	for _, stage := range s.Stages {
		for _, l := range stage.Network.Layers {
			var tensors []*ops.Tensor
			switch l := l.(type) {
			case *convert.SbS:
				tensors = []*ops.Tensor{l.Weights, l.EpsilonXY}
				n += int64(l.Spikes)
			case *convert.NNMF:
				tensors = []*ops.Tensor{l.Weights}
			default:
				tensors = unchecked(l)
			}
			for _, t := range tensors {
				if t != nil {
					n += int64(t.Len())
				}
			}
		}
	}
	return n
}

// maxNeurons is the number of neurons from which the runtime divides h in the middle of a chunk of spikes.
const maxNeurons = 100_000

// maxNormalized is the number of pixels above which the runtime adds them in another order.
const maxNormalized = 1 << 16

func missingIn(n *convert.Network, opt convert.Options) []string {
	var missing []string
	sizes, err := n.Sizes()
	if err != nil {
		return append(missing, err.Error()) // convert has checked the network
	}
	if s := sizes[0]; n.Preprocessing.Normalize && s.Channels*s.Height*s.Width > maxNormalized {
		missing = append(missing, fmt.Sprintf("images of more than %d pixels that are normalized", maxNormalized))
	}
	if s := n.Input; tooMany(s.Channels, s.Height, s.Width) {
		missing = append(missing, fmt.Sprintf("images of so many pixels: C addresses at most %d", most))
	}
	for i, l := range n.Layers {
		for _, m := range missingOf(l, sizes[i], sizes[i+1], opt) {
			missing = append(missing, fmt.Sprintf("layer %d (%s): %s", i, l.Kind(), m))
		}
	}
	return missing
}

// missingOf returns the properties of a layer for which there is no code.
func missingOf(l convert.Layer, in, out convert.Size, opt convert.Options) []string {
	var missing []string
	add := func(is bool, what string) {
		if is {
			missing = append(missing, what)
		}
	}
	const inline = "its form in standard operators draws other random numbers and rounds in other places: convert it without --decompose"
	switch l := l.(type) {
	case *convert.SbS:
		add(l.FullLayer, "spikes of the whole input")
		add(l.AlphaIterations > 0, "alpha iterations")
		add(out.Channels > maxNeurons, fmt.Sprintf("more than %d neurons", maxNeurons))
		add(opt.Body == convert.BodyInline, inline)
	case *convert.NNMF:
		add(opt.Body == convert.BodyInline, inline)
	case *convert.ApproxConv:
		add(!exact(l), "approximate products")
	case *convert.OnOff:
		add(l.Mean != nil && out.Height*out.Width < fewPositions, fmt.Sprintf("a mean with fewer than %d positions", fewPositions))
	case *convert.MaxPool:
		add(hasEmptyWindow(l.Window, in, out), "windows without a single pixel")
	case *convert.AveragePool, *convert.Conv, *convert.ReLU:
	default:
		missing = append(missing, "this kind of layer")
	}
	add(!smallEnough(l, in, out), fmt.Sprintf("so many numbers: C addresses at most %d", most))
	add(!finite(l), notFinite)
	return missing
}

// fewPositions is the number of positions below which the runtime adds channels in another order.
const fewPositions = 8

const notFinite = "weights that are infinite or not a number"

// unchecked returns the weights of a layer, some of them nil, if package convert has not checked that they are finite.
func unchecked(l convert.Layer) []*ops.Tensor {
	switch l := l.(type) {
	case *convert.Conv:
		return []*ops.Tensor{l.Weights, l.Bias}
	case *convert.ApproxConv:
		return []*ops.Tensor{l.Weights, l.Bias}
	case *convert.OnOff:
		return []*ops.Tensor{l.Mean}
	}
	return nil
}

// finite reports whether the weights of a layer are finite.
func finite(l convert.Layer) bool {
	return !slices.ContainsFunc(unchecked(l), func(t *ops.Tensor) bool {
		return t != nil && slices.ContainsFunc(t.Float32s(), func(x float32) bool { return !(math.Abs(float64(x)) <= math.MaxFloat32) })
	})
}

// most is the largest number of numbers that an int of C counts.
const most = math.MaxInt32

// tooMany reports whether a tensor of the given shape has more numbers than that.
func tooMany(shape ...int) bool {
	n, err := ops.Len(shape)
	return err != nil || n > most
}

// smallEnough reports whether the indices of a layer fit into an int of C.
func smallEnough(l convert.Layer, in, out convert.Size) bool {
	patch := []int{in.Channels}
	if w, ok := windowOf(l); ok {
		patch = append(patch, w.Kernel[0], w.Kernel[1])
		for i, size := range [2]int{in.Height, in.Width} {
			if w.Strides[i]*size+w.Dilations[i]*w.Kernel[i]+w.Pads[i] > most/4 {
				return false
			}
		}
	}
	return !tooMany(in.Channels, in.Height, in.Width) && !tooMany(2*out.Channels, out.Height, out.Width) && !tooMany(append(patch, out.Channels)...)
}

// windowOf returns the window of a layer, and false if it has none.
func windowOf(l convert.Layer) (convert.Window, bool) {
	switch l := l.(type) {
	case *convert.SbS:
		return l.Window, true
	case *convert.NNMF:
		return l.Window, true
	case *convert.Conv:
		return l.Window, true
	case *convert.ApproxConv:
		return l.Window, true
	case *convert.MaxPool:
		return l.Window, true
	case *convert.AveragePool:
		return l.Window, true
	}
	return convert.Window{}, false
}

// hasEmptyWindow reports whether a window lies in the padding only.
func hasEmptyWindow(w convert.Window, in, out convert.Size) bool {
	axis := func(i, size, positions int) bool {
		for p := range positions {
			at := p*w.Strides[i] - w.Pads[i]
			seen := false
			for j := range w.Kernel[i] {
				y := at + j*w.Dilations[i]
				seen = seen || y >= 0 && y < size
			}
			if !seen {
				return true
			}
		}
		return false
	}
	return axis(0, in.Height, out.Height) || axis(1, in.Width, out.Width)
}

// foreign adds to an error about a model of another program which operators it has that no C file can have.
func foreign(model []byte, err error) error {
	if !errors.Is(err, convert.ErrNotConverted) {
		return err
	}
	names, other := unknownOperators(model)
	if other != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("c99: the model %w: %w", ErrUnsupported, err)
	}
	return fmt.Errorf("c99: the model %w: there is no code for the operators %s; %w", ErrUnsupported, strings.Join(names, ", "), err)
}
