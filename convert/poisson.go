package convert

import (
	"fmt"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// Poisson is a layer that replaces each value of an image by a random count with the Poisson
// distribution, and divides the counts by their sum over the image. Package ops/sbs documents
// what it computes.
type Poisson struct {
	Spikes int // the mean count of the largest value of an image, at least 1
}

const kindPoisson = "Poisson"

// Kind implements Layer.
func (*Poisson) Kind() string { return kindPoisson }

func (*Poisson) operator() string { return sbs.OpPoisson }

// Output implements Layer.
func (*Poisson) Output(in Size) (Size, error) { return in, nil }

func (l *Poisson) write(w *writer, in value) (value, error) {
	return imageLayer{
		operator: sbs.OpPoisson, spikes: l.Spikes, body: (*body).poisson,
		given: w.given("counts", "The counts of this layer, one for each value of its input.", in.size.Channels, in.size.Height, in.size.Width),
		doc:   fmt.Sprintf("Counts with the Poisson distribution: %v, %d on average for the largest value of an image.", in.size, l.Spikes),
	}.write(w, in)
}

func readPoisson(r *reader) (*Poisson, error) {
	n, err := readImageSpikes(r)
	return &Poisson{Spikes: n}, err
}

// poissonFunction returns the Poisson operator as a function of standard operators.
func poissonFunction(inject Inject) (*onnxpb.FunctionProto, error) {
	return imageFunction(sbs.OpPoisson, "Counts with the Poisson distribution in standard operators: X (batch, channels, height, width) to the counts, divided by their sum over the image.",
		inject, (*body).poisson)
}

// poisson writes a Poisson layer.
func (b *body) poisson(in []string) string {
	z := &b.sizes
	image, perImage := float(z.batch, z.channels, z.height, z.width), float(z.batch, one, one, one)
	number := b.attributeInt(sbs.AttrSpikes)
	tiny := b.float("tiny", tinySum)
	var counts string
	if b.inject == InjectSpikes {
		counts = b.cast("counts", image, in[1])
	} else {
		counts = b.cast("counts", image, b.counts(in, number, tiny))
	}
	total := b.add("total", "ReduceSum", perImage, ops.Attributes{"keepdims": int64(1)}, counts, b.ints("over_values", 1, 2, 3))
	return b.last("Div", image, nil, counts, b.add("positive_total", "Add", perImage, nil, total, tiny))
}

// cast converts a value to the element type of t.
func (b *body) cast(step string, t shaped, value string) string {
	return b.add(step, "Cast", t, ops.Attributes{"to": int64(t.dtype)}, value)
}

// counts draws the counts, as float64 numbers: the smallest k whose cumulative probability is
// above a uniform number. All values of all images go through k = 0, 1, ... together, until all
// have their count. In float64, exp(-rate) would underflow at a rate of 745. So the probability
// of each k is computed from its logarithm, k*log(rate) - rate - log(k!).
func (b *body) counts(in []string, number, tiny string) string {
	z := &b.sizes
	x := in[0]
	image, perImage := double(z.batch, z.channels, z.height, z.width), double(z.batch, one, one, one)
	largest := b.add("largest", "ReduceMax", float(z.batch, one, one, one), ops.Attributes{"axes": []int64{1, 2, 3}, "keepdims": int64(1)}, x)
	largest = b.cast("largest_float64", perImage, largest)
	largest = b.add("positive_largest", "Add", perImage, nil, largest, b.cast("tiny_float64", double(), tiny))
	rate := b.add("times_spikes", "Mul", image, nil, b.cast("X_float64", image, x), b.cast("spikes_float64", double(), number))
	rate = b.add("rate", "Div", image, nil, rate, largest)
	logRate := b.add("log_rate", "Log", image, nil, b.add("positive_rate", "Max", image, nil, rate, b.constant(onnx.Float64Scalar("least_rate", 1e-300))))

	zero, unit := b.constant(onnx.Float64Scalar("no_count", 0)), b.constant(onnx.Float64Scalar("one_count", 1))
	var u string
	if b.inject == InjectUniforms {
		u = b.cast("u_given", image, in[1])
		some := b.add("u_is_positive", "Greater", boolean(image.shape...), nil, u, zero)
		u = b.add("u", "Where", image, nil, some, u, b.constant(onnx.Float64Scalar("below_all", -1))) // at u = 0, the first k has a positive probability, even if it underflows
	} else {
		u = b.add("u", "RandomUniformLike", image, ops.Attributes{
			"dtype": int64(ops.Float64), "low": float32(0), "high": float32(1), "seed": b.attribute(sbs.AttrFunctionSeed),
		}, x)
	}
	// By 12 standard deviations and 40 above the rate, 2*S + 76 at most, all have their count.
	twice := b.add("twice_spikes", "Add", int64s(), nil, number, number)
	most := b.add("largest_count", "Add", int64s(), nil, twice, b.scalar("margin", 76))
	start := b.add("start", "Mul", image, nil, rate, zero)
	state := append(b.loopState("count_step", "count_on"),
		b.inside("count", ops.Float64), b.inside("cumulative", ops.Float64), b.inside("k", ops.Float64), b.inside("log_k_factorial", ops.Float64))
	add := func(step, op string, attrs ops.Attributes, in ...string) string {
		return b.add(step, op, shaped{}, attrs, in...)
	}
	loop := b.graph("counting", state, func() []*onnxpb.ValueInfoProto {
		k := b.step("k")
		logP := add("k_log_rate", "Mul", nil, k, logRate)
		logP = add("minus_rate", "Sub", nil, logP, rate)
		logP = add("log_probability", "Sub", nil, logP, b.step("log_k_factorial"))
		sum := add("cumulative_next", "Add", nil, b.step("cumulative"), add("probability", "Exp", nil, logP))
		more := b.cast("more_float64", double(), add("more", "LessOrEqual", nil, sum, u))
		add("count_next", "Add", nil, b.step("count"), more)
		k = add("k_next", "Add", nil, k, unit)
		add("log_k_factorial_next", "Add", nil, b.step("log_k_factorial"), add("log_k", "Log", nil, k))
		b.cast("count_go_on", boolean(), add("any_more", "ReduceMax", ops.Attributes{"keepdims": int64(0)}, more))
		return []*onnxpb.ValueInfoProto{
			b.inside("count_go_on", ops.Bool), b.inside("count_next", ops.Float64), b.inside("cumulative_next", ops.Float64),
			b.inside("k_next", ops.Float64), b.inside("log_k_factorial_next", ops.Float64),
		}
	})
	counts := b.add("drawn_counts", "Loop", image, ops.Attributes{"body": loop}, most, b.cast("begin", boolean(), number), start, start, zero, zero)
	b.output("cumulative_end", image)
	b.output("k_end", double())
	b.output("log_k_factorial_end", double())
	b.explain("Counts, for each value, the k whose cumulative probability is not above its random number.")
	return counts
}
