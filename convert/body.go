package convert

import (
	"math"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// Layout of the body: one dimension, Q, holds all output positions of all images.
// Patches are (K, Q), spikes (S, Q) and h (Q, N). Each spike is one step of a Scan that
// handles all Q positions at once.

// identity is a convolution kernel that copies patches: output channel c is place c of
// each patch.
type identity struct {
	kernel, places vector
	name           string // (KH*KW, 1, KH, KW)
}

// spiking holds the spikes of a layer and what the rest of the body needs of the nodes that draw
// them.
type spiking struct {
	spikes string // row indices of W: int32 (S, Q)
	total  string // (1, Q): the sum of the distribution that the position draws from
	grid   vector // OH, OW
	q      vector
	rows   string // the shape (0, -1) for Reshape

	// In a full layer, only some positions see a spike.
	seen    string // bool (S, Q)
	earlier string // the number of spikes that the position has seen before: int64 (S, Q)
}

// write writes the body and returns the name of its output. The names in are the
// inputs of the operator; see features.inputs.
func (b *body) write(in []string) string {
	x, weights := in[0], in[1]
	z := &b.sizes
	var k vector
	if !b.full {
		k = b.shapeOf("K", weights, 0, 1, z.k)
	}
	n := b.shapeOf("N", weights, 1, 2, z.n)
	var id identity
	if !b.full || b.features.alpha {
		id = b.identity()
	}
	b.number = b.spikeCount()
	var s spiking
	if b.full {
		s = b.spikesOfImages(in)
	} else {
		s = b.spikesOfPatches(in, id, k)
	}
	alive := b.alive(s.total)

	uniform, initial := b.initial(s.q, n)
	h := b.dynamics(in, s, initial, uniform)
	h = b.grid(b.add("h_alive", "Where", float(z.positions, z.n), nil, alive, h, uniform), s.grid, n)
	channels := ops.Attributes{"perm": []int64{0, 3, 1, 2}}
	out := float(z.batch, z.n, z.oh, z.ow)
	if !b.features.alpha {
		return b.last("Transpose", out, channels, h)
	}
	h = b.add("h", "Transpose", out, channels, h)
	return b.last("Mul", out, nil, h, b.alpha(x, weights, h, id, s.grid))
}

// spikesOfPatches draws the spikes of every output position from its patch.
func (b *body) spikesOfPatches(in []string, id identity, k vector) (s spiking) {
	z := &b.sizes
	var p string
	p, s.grid, s.rows = b.patches(in[0], k, id)
	s.q = b.shapeOf("Q", p, 1, 2, z.positions)
	s.spikes, s.total = b.spikes(in, p, s.rows, k, s.grid, ops.Float32)
	return s
}

// patches returns the patches of x, (K, Q), the height and width of the output, and the shape
// that joins all dimensions but the first one.
func (b *body) patches(x string, k vector, id identity) (p string, grid vector, rows string) {
	z := &b.sizes
	planes := b.add("planes", "Reshape", float(extent{symbol: b.step("planes")}, one, z.height, z.width), nil, x, b.ints("planes_shape", -1, 1, 0, 0))
	spread := b.add(stepPatches, "Conv", float(extent{symbol: b.step("planes")}, z.places, z.oh, z.ow),
		b.attributes(sbs.AttrKernelShape, sbs.AttrStrides, sbs.AttrDilations, sbs.AttrPads), planes, id.name)
	b.explain("Copies every patch: channel c of the input becomes channels c*KH*KW to (c+1)*KH*KW-1.")
	grid = b.shapeOf("output_grid", spread, 2, 4, z.oh, z.ow)
	images := b.add("patches", "Reshape", float(z.batch, z.k, z.oh, z.ow), nil,
		spread, b.input("patches_shape", b.join("patches_shape", sizesOf(-1), k, grid)))
	byEntry := b.add("patches_by_entry", "Transpose", float(z.k, z.batch, z.oh, z.ow), ops.Attributes{"perm": []int64{1, 0, 2, 3}}, images)
	rows = b.ints("rows", 0, -1)
	return b.add("p", "Reshape", float(z.k, z.positions), nil, byEntry, rows), grid, rows
}

// alive returns whether each patch has an entry above 0, (Q, 1), from the sums over the patches,
// (1, Q).
func (b *body) alive(total string) string {
	z := &b.sizes
	alive := b.add("alive", "Greater", boolean(one, z.positions), nil, total, b.float("nothing", 0))
	return b.add("alive_column", "Reshape", boolean(z.positions, one), nil, alive, b.ints("column", -1, 1))
}

// initial returns 1/N, and the initial h, (Q, N).
func (b *body) initial(q, n vector) (uniform, initial string) {
	z := &b.sizes
	neurons := b.add("neurons", "Cast", float(one), ops.Attributes{"to": int64(ops.Float32)}, b.input("N", n))
	uniform = b.add("h_initial", "Reciprocal", float(one), nil, neurons)
	return uniform, b.add("h_start", "Expand", float(z.positions, z.n), nil, uniform, b.input("h_shape", b.join("h_shape", q, n)))
}

// grid returns h, (Q, N), in the shape (batch, OH, OW, N).
func (b *body) grid(h string, grid, n vector) string {
	z := &b.sizes
	return b.add("h_grid", "Reshape", float(z.batch, z.oh, z.ow, z.n), nil, h, b.input("h_grid_shape", b.join("h_grid_shape", sizesOf(-1), grid, n)))
}

// identity adds the kernel that copies patches.
func (b *body) identity() identity {
	z := &b.sizes
	id := identity{kernel: b.attributeInts(sbs.AttrKernelShape, sbs.AttrKernelShape)}
	if id.kernel.name == "" {
		id.places = sizesOf(id.kernel.known[0] * id.kernel.known[1])
	} else {
		id.places = vector{name: b.add("places", "ReduceProd", shaped{}, ops.Attributes{"keepdims": int64(1)}, id.kernel.name)}
	}
	zeros := b.add("square", "ConstantOfShape", float(z.places, z.places), ops.Attributes{"value": onnx.Float32Tensor("", []int{1}, []float32{0})},
		b.input("square_shape", b.join("square_shape", id.places, id.places)))
	eye := b.add("eye", "EyeLike", float(z.places, z.places), ops.Attributes{"dtype": int64(ops.Float32)}, zeros)
	var kh, kw extent
	if len(id.kernel.known) > 0 {
		kh.n, kw.n = int(id.kernel.known[0]), int(id.kernel.known[1])
	}
	id.name = b.add("copy", "Reshape", float(z.places, one, kh, kw), nil, eye, b.input("copy_shape", b.join("copy_shape", id.places, sizesOf(1), id.kernel)))
	return id
}

// spikes returns the spikes, row indices of W, as int32 (S, Q), and the sum over each
// patch, (1, Q). p holds the patches, (K, Q). Their entries are added in the type sums and then
// rounded to float32: Float64 for whole images, as the operators do.
func (b *body) spikes(in []string, p, rows string, k, grid vector, sums ops.DType) (spikes, total string) {
	z := &b.sizes
	given := func(name string, dtype ops.DType) string { return b.byNumber(name, name, rows, dtype, z.spikes) }
	if b.inject == InjectSpikes {
		total = b.add("total", "ReduceSum", float(one, z.positions), ops.Attributes{"keepdims": int64(1)}, p, b.ints("over_entries", 0))
		return b.add("spikes_int32", "Cast", int32s(z.spikes, z.positions), ops.Attributes{"to": int64(ops.Int32)}, given(in[3], ops.Int64)), total
	}
	// Entry k of sums_before is the sum of the entries before k. A spike is the largest
	// k that is 0 or whose share of the total is below u.
	axis := b.constant(onnx.Int32Scalar("cumsum_axis", 0))
	entries, single := shaped{sums, []extent{z.k, z.positions}}, shaped{sums, []extent{one, z.positions}}
	if sums != ops.Float32 {
		p = b.cast("p_to_add", entries, p)
	}
	before := b.add("sums_before", "CumSum", entries, ops.Attributes{"exclusive": int64(1)}, p, axis)
	from, to := b.ints("last", -1), b.ints("end", math.MaxInt64)
	over := b.ints("over_entries", 0)
	lastSum := b.add("last_sum", "Slice", single, nil, before, from, to, over)
	lastEntry := b.add("last_entry", "Slice", single, nil, p, from, to, over)
	total = b.add("total", "Add", single, nil, lastSum, lastEntry)
	if sums != ops.Float32 {
		before = b.cast("sums_before_rounded", float(z.k, z.positions), before)
		total = b.cast("total_rounded", float(one, z.positions), total)
	}
	below := b.add("distribution", "Div", float(z.k, z.positions), nil, before, total)
	b.explain("Entry k is the probability of a spike before k.")
	var u string
	if b.inject == InjectUniforms {
		u = given(in[3], ops.Float32)
	} else {
		u = b.uniforms(in[0], rows, grid)
	}
	// 0 would select the first entry, even if it is 0.
	u = b.add("u_above_0", "Max", float(z.spikes, z.positions), nil, u, b.float("least_u", sbs.LeastUniform))
	return b.search(below, u, k), total
}

// byNumber reorders numbers of shape (batch, S, OH, OW) to (S, Q). step starts the names of
// the values.
func (b *body) byNumber(step, value, rows string, dtype ops.DType, count extent) string {
	z := &b.sizes
	t := b.add(step+"_by_number", "Transpose", shaped{dtype, []extent{count, z.batch, z.oh, z.ow}}, ops.Attributes{"perm": []int64{1, 0, 2, 3}}, value)
	return b.add(step+"_rows", "Reshape", shaped{dtype, []extent{count, z.positions}}, nil, t, rows)
}

// uniforms draws the random numbers, (S, Q), that select the spikes. The first dimension of
// what a node draws is the batch: in the runtime of this project, the numbers of an image
// then do not depend on the other images.
func (b *body) uniforms(x, rows string, grid vector) string {
	z := &b.sizes
	draw := ops.Attributes{"dtype": int64(ops.Float32), "low": float32(0), "high": float32(1), "seed": b.attribute(sbs.AttrFunctionSeed)}
	all := float(z.spikes, z.positions)
	random := func(step string, count extent, number vector) string {
		batch := b.shapeOf(step+"_batch", x, 0, 1, z.batch)
		images := float(z.batch, count, z.oh, z.ow)
		like := b.add(step+"_like", "ConstantOfShape", images, ops.Attributes{"value": onnx.Float32Tensor("", []int{1}, []float32{0})},
			b.input(step+"_shape", b.join(step+"_shape", batch, number, grid)))
		return b.byNumber(step, b.add(step+"_of_images", "RandomUniformLike", images, draw, like), rows, ops.Float32, count)
	}
	var u string
	if b.iid {
		u = random("u", z.spikes, vector{name: b.number})
	}
	if !b.lowDiscrepancy {
		return u
	}
	// Low-discrepancy numbers advance by the golden ratio. In units of 2^-32, int64 holds
	// the steps exactly.
	const step, unit = 0x9e3779b9, 1 << 32
	ones := b.add("ones", "ConstantOfShape", int64s(z.spikes), ops.Attributes{"value": onnx.Int64Tensor("", 1)}, b.number)
	t := b.add("t", "CumSum", int64s(z.spikes), ops.Attributes{"exclusive": int64(1)}, ones, b.constant(onnx.Int32Scalar("t_axis", 0)))
	walked := b.add(stepGolden, "Mul", int64s(z.spikes), nil, t, b.ints("golden_step", step))
	place := b.add("golden_places", "Mod", int64s(z.spikes), nil, walked, b.ints("golden_unit", unit))
	asFloat := b.add("golden_float", "Cast", float(z.spikes), ops.Attributes{"to": int64(ops.Float32)}, place)
	shift := b.add("golden_shift", "Mul", float(z.spikes), nil, asFloat, b.float("per_unit", 1.0/unit))
	shift = b.add("golden_column", "Reshape", float(z.spikes, one), nil, shift, b.ints("golden_shape", -1, 1))
	var start string
	if b.iid {
		// The function serves layers with both samplers, and the attribute selects one.
		// TfIdfVectorizer is the standard operator that can compare a string.
		name := b.add(sbs.AttrSampler, "Constant", shaped{}, ops.Attributes{"value_string": b.attribute(sbs.AttrSampler)})
		name = b.add("sampler_list", "Reshape", shaped{}, nil, name, b.ints("sampler_shape", -1))
		even := b.add("is_low_discrepancy", "TfIdfVectorizer", shaped{}, ops.Attributes{
			"max_gram_length": int64(1), "min_gram_length": int64(1), "max_skip_count": int64(0), "mode": "TF",
			"ngram_counts": []int64{0}, "ngram_indexes": []int64{0}, "pool_strings": []string{string(sbs.LowDiscrepancy)},
		}, name)
		isEven := b.add("evenly", "Greater", shaped{}, nil, even, b.float("not_evenly", 0))
		first := b.add("u_first", "Slice", shaped{}, nil, u, b.ints("u_from", 0), b.ints("u_to", 1), b.ints("u_axis", 0))
		start = b.add("u_start", "Where", shaped{}, nil, isEven, first, u)
		shift = b.add("golden_or_not", "Mul", shaped{}, nil, shift, even)
	} else {
		start = random("u_start", one, sizesOf(1))
	}
	sum := b.add("u_shifted", "Add", all, nil, start, shift)
	whole := b.add("u_whole", "Floor", all, nil, sum)
	return b.add("u_even", "Sub", all, nil, sum, whole)
}

// spikeCount returns S as a list with one entry.
func (b *body) spikeCount() string {
	if n, ok := b.attribute(sbs.AttrSpikes).(int64); ok {
		return b.ints(sbs.AttrSpikes, n)
	}
	number := b.add("spike_count", "Constant", shaped{}, ops.Attributes{"value_int": b.attribute(sbs.AttrSpikes)})
	return b.add(sbs.AttrSpikes, "Reshape", shaped{}, nil, number, b.ints("single", 1))
}

// search returns the spikes, int32 (S, Q): for each u (S, Q) the last k that is 0 or
// has below[k] < u. It is a binary search that advances all (S, Q) together.
func (b *body) search(below, u string, k vector) string {
	z := &b.sizes
	all := int32s(z.spikes, z.positions)
	left := b.add("left_start", "Cast", int32s(one), ops.Attributes{"to": int64(ops.Int32)}, b.input("K", k))
	left = b.add("left_scalar", "Squeeze", int32s(), nil, left)
	oneLeft, two := b.constant(onnx.Int32Scalar("one_left", 1)), b.constant(onnx.Int32Scalar("two", 2))
	some := b.add("more_than_one", "Greater", boolean(), nil, left, oneLeft)
	shape := b.add("found_shape", "Shape", int64s(extent{n: 2}), nil, u)
	start := b.add("found_start", "ConstantOfShape", all, ops.Attributes{"value": int32Zero()}, shape)
	state := append(b.loopState("search_step", "search_on"), b.inside("found", ops.Int32), b.inside("left", ops.Int32))
	loop := b.graph("search", state, func() []*onnxpb.ValueInfoProto {
		half := b.add("half", "Div", int32s(), nil, b.step("left"), two)
		candidate := b.add("candidate", "Add", all, nil, b.step("found"), half)
		at := b.add("below_candidate", "GatherElements", float(), ops.Attributes{"axis": int64(0)}, below, candidate)
		less := b.add("is_below", "Less", boolean(), nil, at, u)
		b.add("found_next", "Where", all, nil, less, candidate, b.step("found"))
		b.add("left_next", "Sub", int32s(), nil, b.step("left"), half)
		b.add("go_on", "Greater", boolean(), nil, b.step("left_next"), oneLeft)
		return []*onnxpb.ValueInfoProto{b.inside("go_on", ops.Bool), b.inside("found_next", ops.Int32), b.inside("left_next", ops.Int32)}
	})
	spikes := b.add("drawn_spikes", "Loop", all, ops.Attributes{"body": loop}, "", some, start, left)
	b.output("left_over", int32s())
	b.explain("Finds the spike for each random number by binary search.")
	return spikes
}

func int32Zero() *onnxpb.TensorProto {
	t := onnx.Int32Scalar("", 0)
	t.Dims = []int64{1}
	return t
}

// dynamics updates h for one spike after the other and returns the final h, (Q, N).
func (b *body) dynamics(in []string, s spiking, initial, uniform string) string {
	z := &b.sizes
	epsT := b.add("epsilon_t_used", "Slice", float(z.spikes), nil, b.attributeFloats(sbs.AttrEpsilonT), b.ints("epsilon_start", 0), b.number)
	eps := b.add("epsilon", "Mul", float(z.spikes), nil, epsT, b.attributeFloats(sbs.AttrEpsilon0))
	each := float(z.spikes, one)
	if b.full {
		each = float(z.spikes, z.positions)
		eps = b.add("epsilon_of_count", "Gather", each, ops.Attributes{"axis": int64(0)}, eps, s.earlier)
		eps = b.add("epsilon_of_spike", "Where", each, nil, s.seen, eps, b.float("epsilon_unseen", 0))
		b.explain("A spike that a position does not see has an epsilon of 0.")
	} else {
		eps = b.add("epsilon_of_spike", "Reshape", each, nil, eps, b.ints("epsilon_shape", -1, 1))
	}
	if b.features.epsilonXY {
		each = float(z.spikes, z.positions)
		eps = b.add("epsilon_of_place", "Mul", each, nil, b.epsilonXY(in[2], s.spikes, in[0], s.rows, s.grid), eps)
	}
	unit := b.float("unit", 1)
	norm := eps
	kept := []string{s.spikes, eps}
	if b.features.forgetting {
		f := b.attributeFloats(sbs.AttrForgetting)
		part := b.add("forgetting_of_neuron", "Mul", float(one), nil, f, uniform)
		forget := b.add("forgetting", "Mul", each, nil, eps, part)
		plus := b.add("one_and_forgetting", "Add", float(), nil, f, unit)
		norm = b.add("epsilon_and_forgetting", "Mul", each, nil, eps, plus)
		kept = append(kept, forget)
	}
	norm = b.add("norm", "Add", each, nil, norm, unit)
	kept = append(kept, norm)
	h := b.add("h_final", "Scan", float(z.positions, z.n), ops.Attributes{
		"body": b.spikeStep(in[1], unit), "num_scan_inputs": int64(len(kept)),
	}, append([]string{initial}, kept...)...)
	b.explain("One step for each spike: h is multiplied by 1 + epsilon*W/q and divided by its sum.")
	return h
}

// spikeStep returns the graph that updates h for one spike. The names follow the
// formula in ops/sbs.
func (b *body) spikeStep(weights, unit string) *onnxpb.GraphProto {
	least, zero := b.float("least_q", 1e-10), b.float("no_epsilon", 0)
	neurons := b.ints("over_neurons", -1)
	inputs := []*onnxpb.ValueInfoProto{b.inside("h_now", ops.Float32), b.inside("spike", ops.Int32), b.inside("epsilon_now", ops.Float32)}
	if b.features.forgetting {
		inputs = append(inputs, b.inside("forgetting_now", ops.Float32))
	}
	inputs = append(inputs, b.inside("norm_now", ops.Float32))
	add := func(step, op string, attrs ops.Attributes, in ...string) string {
		return b.add(step, op, shaped{}, attrs, in...)
	}
	return b.graph("spike", inputs, func() []*onnxpb.ValueInfoProto {
		h := b.step("h_now")
		row := add("W_of_spike", "Gather", ops.Attributes{"axis": int64(0)}, weights, b.step("spike"))
		hw := add("h_W", "Mul", nil, h, row)
		// Values per position stay one-dimensional until they meet h: onnxruntime is slow
		// if the last dimension is 1.
		q := add("q", "ReduceSum", ops.Attributes{"keepdims": int64(0)}, hw, neurons)
		counts := add("counts", "Greater", nil, q, least)
		ratio := add("epsilon_by_q", "Div", nil, b.step("epsilon_now"), q)
		ratio = add("epsilon_by_q_or_0", "Where", nil, counts, ratio, zero)
		norm := add("norm_or_1", "Where", nil, counts, b.step("norm_now"), unit)
		delta := add("change", "Mul", nil, hw, add("epsilon_by_q_column", "Unsqueeze", nil, ratio, neurons))
		h = add("h_changed", "Add", nil, h, delta)
		if b.features.forgetting {
			forget := add("forgetting_or_0", "Where", nil, counts, b.step("forgetting_now"), zero)
			h = add("h_forgetting", "Add", nil, h, add("forgetting_column", "Unsqueeze", nil, forget, neurons))
		}
		add("h_next", "Div", nil, h, add("norm_column", "Unsqueeze", nil, norm, neurons))
		// onnxruntime needs the rank of the state of a Scan.
		return []*onnxpb.ValueInfoProto{b.matrix("h_next", ops.Float32)}
	})
}
