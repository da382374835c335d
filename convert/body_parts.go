package convert

import (
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// epsilonXY returns the epsilon_xy of each spike, (S, Q). An epsilon_xy of shape
// (OH, OW) is handled like one with a single kernel place.
func (b *body) epsilonXY(epsilonXY, spikes, x, rows string, grid vector) string {
	z := &b.sizes
	places := extent{symbol: b.step("epsilon_places")}
	if b.layer != nil {
		places.n = b.layer.EpsilonXY.Len() / (z.oh.n * z.ow.n)
	}
	flat := b.add("epsilon_xy_flat", "Reshape", float(z.oh, z.ow, places), nil,
		epsilonXY, b.input("epsilon_xy_shape", b.join("epsilon_xy_shape", grid, sizesOf(-1))))
	byPlace := b.add("epsilon_xy_by_place", "Transpose", float(places, z.oh, z.ow), ops.Attributes{"perm": []int64{2, 0, 1}}, flat)
	single := b.add("epsilon_xy_single", "Unsqueeze", float(places, one, z.oh, z.ow), nil, byPlace, b.ints("epsilon_xy_axis", 1))
	batch := b.shapeOf("epsilon_xy_batch", x, 0, 1, z.batch)
	images := b.add("epsilon_xy_images", "Expand", float(places, z.batch, z.oh, z.ow), nil,
		single, b.input("epsilon_xy_images_shape", b.join("epsilon_xy_images_shape", sizesOf(1), batch, sizesOf(1, 1))))
	table := b.add("epsilon_xy_table", "Reshape", float(places, z.positions), nil, images, rows)
	count := b.shapeOf("epsilon_places", table, 0, 1, places)
	count32 := b.add("epsilon_places_int32", "Cast", int32s(one), ops.Attributes{"to": int64(ops.Int32)}, b.input("epsilon_places", count))
	place := b.add("place_of_spike", "Mod", int32s(z.spikes, z.positions), nil, spikes, count32)
	return b.add("epsilon_xy_of_spike", "GatherElements", float(z.spikes, z.positions), ops.Attributes{"axis": int64(0)}, table, place)
}

// alpha returns the weights of the output positions, (batch, 1, OH, OW), for h
// (batch, N, OH, OW). The initial weights are 1 instead of 1/(OH*OW): with 0 iterations
// h must not change, and any iteration normalizes the weights.
func (b *body) alpha(x, weights, h string, id identity, grid vector) string {
	z := &b.sizes
	plane := float(z.batch, one, z.oh, z.ow)
	kernel := b.add("W_kernel", "Reshape", float(z.k, z.n, one, one), nil, weights, b.ints("W_kernel_shape", 0, 0, 1, 1))
	v := b.add("reconstruction", "Conv", float(z.batch, z.k, z.oh, z.ow), nil, h, kernel)
	batch := b.shapeOf("alpha_batch", x, 0, 1, z.batch)
	start := b.add("alpha_start", "ConstantOfShape", plane, ops.Attributes{"value": onnx.Float32Tensor("", []int{1}, []float32{1})},
		b.input("alpha_shape", b.join("alpha_shape", batch, sizesOf(1), grid)))
	ones := b.add("kernel_of_ones", "ConstantOfShape", b.kernelShape(), ops.Attributes{"value": onnx.Float32Tensor("", []int{1}, []float32{1})},
		b.input("ones_shape", b.join("ones_shape", sizesOf(1, 1), id.kernel)))
	xShape := b.add("X_shape", "Shape", int64s(extent{n: 4}), nil, x)
	a := alphaParts{
		x: x, xShape: xShape, v: v, copying: id.name, ones: ones,
		planes: b.input("planes_of_patches", b.join("planes_of_patches", sizesOf(-1), id.places, grid)),
		zero:   b.float("no_reconstruction", 0), unit: b.float("one_instead", 1), tiny: b.float("tiny", 1e-20),
		positions: b.ints("over_positions", 2, 3), channels: b.ints("over_channels", 1),
	}
	a.crop = b.cropFrom()
	state := append(b.loopState("alpha_step", "alpha_on"), b.inside("alpha_now", ops.Float32))
	loop := b.graph("alpha_iteration", state, func() []*onnxpb.ValueInfoProto {
		b.alphaStep(a)
		return []*onnxpb.ValueInfoProto{b.inside("alpha_go_on", ops.Bool), b.inside("alpha_next", ops.Float32)}
	})
	alpha := b.add("alpha", "Loop", plane, ops.Attributes{"body": loop}, b.attributeInt(sbs.AttrAlphaIterations), "", start)
	b.explain("Weights the output positions against each other.")
	return alpha
}

func (b *body) kernelShape() shaped {
	if b.layer == nil {
		return shaped{}
	}
	return float(one, one, extent{n: b.layer.Kernel[0]}, extent{n: b.layer.Kernel[1]})
}

// alphaParts are values of the graph around the loop that an iteration uses.
type alphaParts struct {
	x, xShape, v, copying, ones, planes string
	zero, unit, tiny                    string
	positions, channels                 string
	crop                                string // the negative top and left padding
}

// cropFrom returns the negative top and left padding, with which Pad removes the
// padding from the beginning of folded planes.
func (b *body) cropFrom() string {
	if b.layer != nil {
		p := b.layer.Pads
		return b.ints("crop_begin", -int64(p[0]), -int64(p[1]))
	}
	pads := b.attributeInts(sbs.AttrPads, sbs.AttrPads)
	begin := b.add("pads_begin", "Slice", shaped{}, nil, pads.name, b.ints("pads_from", 0), b.ints("pads_to", 2))
	return b.add("crop_begin", "Neg", shaped{}, nil, begin)
}

// alphaStep adds one iteration: fold, multiply by the input, unfold.
func (b *body) alphaStep(a alphaParts) {
	add := func(step, op string, attrs ops.Attributes, in ...string) string {
		return b.add(step, op, shaped{}, attrs, in...)
	}
	keep := ops.Attributes{"keepdims": int64(1)}
	weighed := add("alpha_v", "Mul", nil, a.v, b.step("alpha_now"))
	sum := add("alpha_v_sum", "ReduceSum", keep, weighed, a.positions)
	some := add("alpha_v_some", "Greater", nil, sum, a.zero)
	sum = add("alpha_v_sum_or_1", "Where", nil, some, sum, a.unit)
	share := add("alpha_share", "Div", nil, weighed, sum)
	planes := add("alpha_planes", "Reshape", nil, share, a.planes)
	// The folded planes start with the padding and end with the last window. They are
	// cropped, or extended with zeros, to the size of the input.
	folded := add("folded", "ConvTranspose", b.attributes(sbs.AttrKernelShape, sbs.AttrStrides, sbs.AttrDilations), planes, a.copying)
	foldedGrid := add("folded_grid", "Shape", ops.Attributes{"start": int64(2), "end": int64(4)}, folded)
	grid := add("input_grid", "Shape", ops.Attributes{"start": int64(2), "end": int64(4)}, a.x)
	missing := add("missing", "Sub", nil, grid, foldedGrid)
	end := add("crop_end", "Sub", nil, missing, a.crop)
	none := b.ints("no_crop", 0, 0)
	pads := add("crop", "Concat", ops.Attributes{"axis": int64(0)}, none, a.crop, none, end)
	z := add("on_input", "Pad", nil, folded, pads)
	z = add("on_channels", "Reshape", nil, z, a.xShape)
	z = add("times_X", "Mul", nil, z, a.x)
	z = add("z", "ReduceSum", keep, z, a.channels)
	near := add("unfolded", "Conv", b.attributes(sbs.AttrKernelShape, sbs.AttrStrides, sbs.AttrDilations, sbs.AttrPads), z, a.ones)
	near = add("alpha_raw", "Add", nil, near, a.tiny)
	sum = add("alpha_sum", "ReduceSum", keep, near, a.positions)
	add("alpha_next", "Div", nil, near, sum)
	add("alpha_go_on", "Identity", nil, b.step("alpha_on"))
}
