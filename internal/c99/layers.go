package c99

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// The numbers of neurons at which the order of the additions changes, and the bound below which a weight may
// make the runtime skip a spike: see package kernel.
const (
	fewNeurons = 48
	minOverlap = 1e-10
)

// builder adds the steps of one stage.
type builder struct {
	*program
	stage
	seed int64
	from string // the memory of the current value: a or b
	err  error
}

// addStage adds a stage with its layers. seed is that of the layers.
func (p *program) addStage(n *convert.Network, threshold float64, seed int64) error {
	sizes, err := n.Sizes()
	if err != nil {
		return err
	}
	out := sizes[len(sizes)-1]
	b := &builder{program: p, stage: stage{Number: len(p.Stages) + 1}, seed: seed, from: "a"}
	p.Size, p.Outputs, p.Classes = n.Input, out.Channels*out.Height*out.Width, n.Classes
	p.describe(n, out)
	if threshold != noThreshold {
		b.Threshold = double(threshold)
		b.Comment = fmt.Sprintf("Stage %d: an image leaves here if its two most probable classes are %v apart.", b.Number, threshold)
	} else {
		b.Comment = "All layers."
		if b.Number > 1 {
			b.Comment = fmt.Sprintf("Stage %d, for the images that have not left before.", b.Number)
		}
	}
	b.preprocess(n)
	for i, l := range n.Layers {
		b.layer(i, l, sizes[i], sizes[i+1])
		if b.err != nil {
			return fmt.Errorf("c99: layer %d (%s): %w", i, l.Kind(), b.err)
		}
	}
	b.Last = b.from
	b.hold("a", p.Outputs) // for the class
	p.Stages = append(p.Stages, b.stage)
	return nil
}

// describe sets the title and the kind of the output.
func (p *program) describe(n *convert.Network, out convert.Size) {
	p.Title = "a network"
	if n.Name != "" {
		p.Title = "the network " + comment(n.Name)
	}
	p.Title += " in C99."
	p.Output = ""
	if out.Height == 1 && out.Width == 1 {
		p.Output = convert.Logits
		switch n.Layers[len(n.Layers)-1].(type) {
		case *convert.SbS, *convert.NNMF:
			p.Output = convert.Probabilities
		}
	}
	if len(n.Classes) != p.Outputs {
		p.Classes = nil
	}
}

// comment returns text that neither ends a line of comment nor continues it on the next line.
func comment(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '\\' || r == '?' {
			return '_'
		}
		return r
	}, text)
}

// other returns the memory that does not hold the current value.
func (b *builder) other() string {
	if b.from == "a" {
		return "b"
	}
	return "a"
}

// hold makes the memory a or b large enough for n numbers.
func (b *builder) hold(memory string, n int) {
	if memory == "a" {
		b.A = max(b.A, n)
	} else {
		b.B = max(b.B, n)
	}
}

// step adds a statement that computes n numbers from the current value. %s stand for the current value
// and for the new one.
func (b *builder) step(n int, format string, args ...any) {
	to := b.other()
	b.hold(to, n)
	b.Steps = append(b.Steps, fmt.Sprintf(format, append(args, "m->"+b.from, "m->"+to)...))
	b.from = to
}

// checked is step for a function that returns an error, for which the statement ends with its arguments.
func (b *builder) checked(n int, format string, args ...any) {
	b.step(n, "if ("+format+" < 0)\n        return BAD_VALUE;", args...)
}

// preprocess adds the steps before the first layer.
func (b *builder) preprocess(n *convert.Network) {
	in, p := n.Input, n.Preprocessing
	out := convert.Size{Channels: in.Channels, Height: in.Height - 2*p.Crop, Width: in.Width - 2*p.Crop}
	size := out.Channels * out.Height * out.Width
	b.from = "a"
	b.hold("a", size)
	b.hold("b", 1) // an array needs an element
	if p.Crop > 0 {
		b.Crop = true
		b.Steps = append(b.Steps, fmt.Sprintf("crop(image, %d, %d, %d, %d, m->a);", in.Channels, in.Height, in.Width, p.Crop))
	} else {
		b.Steps = append(b.Steps, fmt.Sprintf("for (i = 0; i < %d; i++)\n        m->a[i] = image[i];", size))
	}
	switch {
	case p.Normalize:
		b.Normalize = true
		b.hold("b", size)
		b.Steps = append(b.Steps, fmt.Sprintf("normalize(m->a, %d, m->b);", size))
	case p.OnOffMean != nil:
		b.OnOffImage = true
		b.step(2*size, "split_image(%[4]s, %[1]d, %[2]d, %[3]s, %[5]s);", out.Channels, out.Height*out.Width, b.arrays.floats(p.OnOffMean))
	case p.Offset != 0:
		b.Add = true
		b.Steps = append(b.Steps, fmt.Sprintf("add(m->a, %d, %s);", size, float(p.Offset)))
	}
}

// layer adds the step of a layer, for the sizes of its input and output.
func (b *builder) layer(i int, l convert.Layer, in, out convert.Size) {
	name := fmt.Sprintf("layer_%d_%d", b.Number, i)
	n := out.Channels * out.Height * out.Width
	switch l := l.(type) {
	case *convert.SbS:
		b.sbs(name, l, in, out, uint64(b.seed+int64(i)))
		b.checked(n, "run_sbs(&%s, m, %s, seed, number, %s)", name)
	case *convert.NNMF:
		b.nnmf(name, l, in, out)
		b.checked(n, "run_nnmf(&%s, m, %s, %s)", name)
	case *convert.Conv:
		b.conv(name, l, in, out)
		b.step(n, "run_conv(&%s, m, %s, %s);", name)
	case *convert.ApproxConv: // with exact products, see check
		b.conv(name, &convert.Conv{Window: l.Window, Weights: l.Weights, Bias: l.Bias}, in, out)
		b.step(n, "run_conv(&%s, m, %s, %s);", name)
	case *convert.ReLU:
		b.ReLU = true
		b.Steps = append(b.Steps, fmt.Sprintf("relu(m->%s, %d);", b.from, n))
	case *convert.OnOff:
		b.onOff(l, in, n)
	case *convert.MaxPool:
		b.MaxPool = true
		b.window(name, l.Window, in, out)
		b.step(n, "max_pool(&%s, %d, %s, %s);", name, anyZero(l.Window, out))
	case *convert.AveragePool:
		b.averagePool(name, l.Window, in, out)
	default:
		b.err = fmt.Errorf("%w", ErrUnsupported)
	}
}

// describeWindow returns a constant of the type window.
func describeWindow(w convert.Window, in, out convert.Size) string {
	return fmt.Sprintf("{%d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d}", in.Channels, in.Height, in.Width,
		w.Kernel[0], w.Kernel[1], w.Strides[0], w.Strides[1], w.Dilations[0], w.Dilations[1], w.Pads[0], w.Pads[1], out.Height, out.Width)
}

// window adds a constant of the type window.
func (b *builder) window(name string, w convert.Window, in, out convert.Size) {
	fmt.Fprintf(&b.layers, "\nstatic const window %s = %s;\n", name, describeWindow(w, in, out))
}

// describe adds a constant of a type of layers.
func (b *builder) describeLayer(kind, name string, fields ...string) {
	fmt.Fprintf(&b.layers, "\nstatic const %s_layer %s = {\n    .%s,\n};\n", kind, name, strings.Join(fields, ",\n    ."))
}

// seesPatches makes room for a patch.
func (b *builder) seesPatches(w convert.Window, in convert.Size) {
	b.Patch = max(b.Patch, in.Channels*w.Kernel[0]*w.Kernel[1])
}

// weights returns the weights of an SbS or NNMF layer as the file has them, and the name of their array. Rows whose
// weights are at most least have no effect.
func (b *builder) weights(t *ops.Tensor, least float32) ([]float32, string) {
	if !b.Int8 {
		return t.Float32s(), b.arrays.floats(t.Float32s())
	}
	t = quantizeRows(t, least)
	return t.Float32s(), b.arrays.add("weight", listed(t.Float32s(), func(to []byte, x float32) []byte {
		return strconv.AppendUint(to, uint64(x), 10)
	}), t.Len(), 1)
}

func (b *builder) sbs(name string, l *convert.SbS, in, out convert.Size, seed uint64) {
	b.SbS, b.stage.Random = true, true
	b.Few, b.Many = b.Few || out.Channels <= fewNeurons, b.Many || out.Channels > fewNeurons
	b.seesPatches(l.Window, in)
	b.Neurons = max(b.Neurons, out.Channels)
	epsilon := make([]float32, l.Spikes)
	for t := range epsilon {
		epsilon[t] = l.Epsilon0 * l.EpsilonT[t]
	}
	weights, array := b.weights(l.Weights, minOverlap)
	positive := l.EpsilonXY == nil && !(l.Forgetting > 0) && slices.Min(weights) > minOverlap
	fields := []string{
		"window = " + describeWindow(l.Window, in, out),
		fmt.Sprintf("neurons = %d, .spikes = %d", out.Channels, l.Spikes),
		fmt.Sprintf("seed = %d", seed),
		fmt.Sprintf("low_discrepancy = %d", truth(l.Sampler == sbs.LowDiscrepancy)),
		fmt.Sprintf("positive = %d", truth(positive)),
		"weights = " + array,
		"epsilon = " + b.arrays.floats(epsilon),
	}
	if l.EpsilonXY != nil {
		b.EpsilonXY = true
		xy := l.EpsilonXY.Float32s()
		fields = append(fields, "epsilon_xy = "+b.arrays.floats(xy),
			fmt.Sprintf("places = %d, .largest_xy = %s", len(xy)/(out.Height*out.Width), float(slices.Max(xy))))
	}
	if l.Forgetting > 0 {
		b.Forgetting = true
		fields = append(fields, "forgetting = "+float(l.Forgetting))
	}
	b.describeLayer("sbs", name, fields...)
}

// tiny is the default of the constants of NNMF layers.
const tiny = 1e-20

func (b *builder) nnmf(name string, l *convert.NNMF, in, out convert.Size) {
	b.NNMF = true
	b.seesPatches(l.Window, in)
	b.Neurons, b.NNMFNeurons = max(b.Neurons, out.Channels), max(b.NNMFNeurons, out.Channels)
	keep, scale := float32(0), float32(1)
	if l.Epsilon0 > 0 {
		keep, scale = 1, l.Epsilon0
	}
	orTiny := func(v float32) string {
		if v == 0 {
			v = tiny
		}
		return float(v)
	}
	_, array := b.weights(l.Weights, 0)
	b.describeLayer("nnmf", name,
		"window = "+describeWindow(l.Window, in, out),
		fmt.Sprintf("neurons = %d, .iterations = %d", out.Channels, l.Iterations),
		"weights = "+array,
		fmt.Sprintf("keep = %s, .scale = %s", float(keep), float(scale)),
		fmt.Sprintf("tiny_sum = %s, .tiny_reconstruction = %s", orTiny(l.TinySum), orTiny(l.TinyReconstruction)),
	)
}

func (b *builder) conv(name string, l *convert.Conv, in, out convert.Size) {
	b.Conv = true
	b.seesPatches(l.Window, in)
	fields := []string{"window = " + describeWindow(l.Window, in, out), fmt.Sprintf("filters = %d", out.Channels)}
	if b.Int8 {
		values, scales := quantizeFilters(l.Weights)
		fields = append(fields, "weights = "+b.arrays.add("filter_weight", listed(values, func(to []byte, x int8) []byte {
			return strconv.AppendInt(to, int64(x), 10)
		}), len(values), 1), "scales = "+b.arrays.floats(scales))
	} else {
		fields = append(fields, "weights = "+b.arrays.floats(l.Weights.Float32s()))
	}
	if l.Bias != nil {
		fields = append(fields, "bias = "+b.arrays.floats(l.Bias.Float32s()))
	}
	b.describeLayer("conv", name, fields...)
}

func (b *builder) onOff(l *convert.OnOff, in convert.Size, n int) {
	size := in.Height * in.Width
	if l.Mean == nil {
		b.OnOff = true
		b.step(n, "split(%[2]s, %[1]d, %[3]s);", in.Channels*size)
		return
	}
	b.OnOffMean = true
	mean := l.Mean.Float32s()
	b.step(n, "split_at_means(%[5]s, %[1]d, %[2]d, %[3]s, %[4]d, %[6]s);", in.Channels, size, b.arrays.floats(mean), len(mean))
}

func (b *builder) averagePool(name string, w convert.Window, in, out convert.Size) {
	n := out.Channels * out.Height * out.Width
	switch {
	case w.Kernel == [2]int{in.Height, in.Width} && w.Pads == [2]int{} && out.Height == 1 && out.Width == 1:
		b.MeanWhole = true
		b.step(n, "average_channels(%[3]s, %[1]d, %[2]d, %[4]s);", in.Channels, in.Height*in.Width)
		return
	case pairs(w):
		b.Mean2 = true
		b.window(name, w, in, out)
		b.step(n, "average_pool_2x2(&%s, %s, %s);", name)
	default:
		b.MeanPool = true
		b.window(name, w, in, out)
		b.step(n, "average_pool(&%s, %s, %s);", name)
	}
}

// pairs reports whether a window has 2 x 2 pixels that no other window has.
func pairs(w convert.Window) bool {
	return w == convert.Window{Kernel: [2]int{2, 2}, Strides: [2]int{2, 2}, Dilations: [2]int{1, 1}}
}

// anyZero returns 1 if the runtime prefers 0 to -0 in the maxima of a layer, and 0 if the first one counts.
func anyZero(w convert.Window, out convert.Size) int {
	const least = 4 // columns from which the runtime computes neighboring windows together
	return truth(pairs(w) || out.Width < least)
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// exact reports whether the products of a layer are those of float32.
func exact(l *convert.ApproxConv) bool {
	return sbs.Approximation{FracBits: l.FracBits, TruncBits: l.TruncBits, Enabled: l.Enabled}.IsExact()
}
