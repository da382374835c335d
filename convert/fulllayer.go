package convert

import (
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// The steps of the body of a full layer that hold its window.
const (
	stepKernel    = "window_kernel"
	stepStrides   = "window_strides"
	stepDilations = "window_dilations"
	stepPads      = "window_pads"
)

// windowOf holds the values of the window of a full layer, for both axes each: int64 (2).
type windowOf struct{ kernel, strides, dilations, before, after string }

// spikesOfImages draws the spikes of every image from all its values, and finds out which output
// positions see them, and as which row of W.
func (b *body) spikesOfImages(in []string) (s spiking) {
	z := b.sizes
	values := extent{n: z.channels.n * z.height.n * z.width.n}
	s.rows = b.ints("rows", 0, -1)
	flat := b.add("images", "Reshape", float(z.batch, values), nil, in[0], s.rows)
	p := b.add("p", "Transpose", float(values, z.batch), ops.Attributes{"perm": []int64{1, 0}}, flat)
	b.sizes.k, b.sizes.positions, b.sizes.oh, b.sizes.ow = values, z.batch, one, one // of the drawing
	entries, total := b.spikes(in, p, s.rows, b.shapeOf("values", p, 0, 1, values), sizesOf(1, 1), ops.Float64)
	b.sizes = z

	w := b.windowOf()
	size := b.input("input_size", b.shapeOf("input_size", in[0], 2, 4, z.height, z.width))
	s.grid = sizesOf(int64(z.oh.n), int64(z.ow.n))
	if b.layer == nil {
		s.grid = b.gridOf(w, size)
	}
	b.handOut(&s, w, entries, size)
	s.q = b.shapeOf("Q", s.spikes, 1, 2, z.positions)
	perImage := b.add("total_of_image", "Reshape", float(z.batch, one, one), nil, total, b.ints("total_shape", -1, 1, 1))
	batch := b.shapeOf("image_batch", in[0], 0, 1, z.batch)
	everywhere := b.add("total_everywhere", "Expand", float(z.batch, z.oh, z.ow), nil, perImage, b.input("total_grid", b.join("total_grid", batch, s.grid)))
	s.total = b.add("total_row", "Reshape", float(one, z.positions), nil, everywhere, b.ints("total_row_shape", 1, -1))
	return s
}

func (b *body) windowOf() windowOf {
	values := func(step, attribute string) string { return b.input(step, b.attributeInts(step, attribute)) }
	w := windowOf{
		kernel: values(stepKernel, sbs.AttrKernelShape), strides: values(stepStrides, sbs.AttrStrides),
		dilations: values(stepDilations, sbs.AttrDilations),
	}
	pads := values(stepPads, sbs.AttrPads)
	middle := b.ints("pads_middle", 2)
	w.before = b.add("pads_before", "Slice", int64s(extent{n: 2}), nil, pads, b.ints("pads_first", 0), middle)
	w.after = b.add("pads_after", "Slice", int64s(extent{n: 2}), nil, pads, middle, b.ints("pads_last", 4))
	return w
}

// gridOf returns OH and OW for the height and width of X.
func (b *body) gridOf(w windowOf, size string) vector {
	unit := b.ints("grid_unit", 1)
	add := func(step, op string, in ...string) string { return b.add(step, op, int64s(extent{n: 2}), nil, in...) }
	reach := add("kernel_reach", "Mul", w.dilations, add("kernel_steps", "Sub", w.kernel, unit))
	padded := add("padded_size", "Add", size, add("pads_both", "Add", w.before, w.after))
	free := add("grid_free", "Sub", add("grid_span", "Sub", padded, reach), unit)
	return vector{name: add("output_grid", "Add", add("grid_steps", "Div", free, w.strides), unit)}
}

// handOut sets the spikes of every output position. entries are the indices of the spikes in
// their images, int32 (S, batch), and size holds the height and width of X.
func (b *body) handOut(s *spiking, w windowOf, entries, size string) {
	z := &b.sizes
	add := func(step, op string, t shaped, attrs ops.Attributes, in ...string) string {
		return b.add(step, op, t, attrs, in...)
	}
	to := func(t ops.DType) ops.Attributes { return ops.Attributes{"to": int64(t)} }
	grid := b.input("output_grid", s.grid)
	rows, kernelRows := b.placesSeen(0, w, size, grid, z.height, z.oh)
	columns, kernelColumns := b.placesSeen(1, w, size, grid, z.width, z.ow)

	image := int64s(z.spikes, z.batch)
	entry := add("entry_or_none", "Cast", image, to(ops.Int64), entries)
	entry = add("entry", "Max", image, nil, entry, b.ints("first_entry", 0)) // -1 stands for no spike
	width := add("input_width", "Slice", int64s(one), nil, size, b.ints("width_at", 1), b.ints("width_end", 2))
	plane := add("input_plane", "ReduceProd", int64s(one), ops.Attributes{"keepdims": int64(1)}, size)
	channel := add("channel_of_spike", "Div", image, nil, entry, plane)
	at := add("place_of_entry", "Mod", image, nil, entry, plane)
	y := add("y_of_spike", "Div", image, nil, at, width)
	x := add("x_of_spike", "Mod", image, nil, at, width)

	gather := ops.Attributes{"axis": int64(0)}
	i := add("row_places", "Gather", int64s(z.spikes, z.batch, z.oh), gather, rows, y)
	i = add("row_places_on_grid", "Unsqueeze", int64s(z.spikes, z.batch, z.oh, one), nil, i, b.ints("over_columns", 3))
	j := add("column_places", "Gather", int64s(z.spikes, z.batch, z.ow), gather, columns, x)
	j = add("column_places_on_grid", "Unsqueeze", int64s(z.spikes, z.batch, one, z.ow), nil, j, b.ints("over_rows", 2))
	outside := b.ints("outside", -1)
	seenBy := []extent{z.spikes, z.batch, z.oh, z.ow}
	all := int64s(seenBy...)
	seen := add("seen", "And", boolean(seenBy...), nil,
		add("row_seen", "Greater", boolean(z.spikes, z.batch, z.oh, one), nil, i, outside),
		add("column_seen", "Greater", boolean(z.spikes, z.batch, one, z.ow), nil, j, outside))

	places := add("kernel_places", "Mul", int64s(one), nil, kernelRows, kernelColumns)
	first := add("first_of_channel", "Mul", image, nil, channel, places)
	first = add("first_on_grid", "Unsqueeze", int64s(z.spikes, z.batch, one, one), nil, first, b.ints("over_grid", 2, 3))
	k := add("row_start", "Mul", int64s(z.spikes, z.batch, z.oh, one), nil, i, kernelColumns)
	k = add("place", "Add", all, nil, k, j)
	k = add("row_of_W", "Add", all, nil, k, first)
	k = add("row_of_W_or_0", "Where", all, nil, seen, k, b.ints("any_row", 0))
	k = add("spikes_of_grid", "Cast", int32s(seenBy...), to(ops.Int32), k)
	s.spikes = add("spikes_of_positions", "Reshape", int32s(z.spikes, z.positions), nil, k, s.rows)
	b.explain("Row t holds the row of W as which each output position sees spike t of its image.")

	s.seen = add("seen_of_positions", "Reshape", boolean(z.spikes, z.positions), nil, seen, s.rows)
	ones := add("seen_as_int", "Cast", int64s(z.spikes, z.positions), to(ops.Int64), s.seen)
	s.earlier = add("seen_earlier", "CumSum", int64s(z.spikes, z.positions), ops.Attributes{"exclusive": int64(1)}, ones, b.constant(onnx.Int32Scalar("seen_axis", 0)))
	b.explain("Counts the spikes that an output position has seen: epsilon_t depends on this number.")
}

// placesSeen returns, for axis 0 (height) or 1 (width), the table of the place of the kernel at
// which an output position sees a coordinate of X: int64 (size of X, size of the output), -1 for
// not at all. It also returns the size of the kernel.
func (b *body) placesSeen(axis int64, w windowOf, size, grid string, in, out extent) (table, kernel string) {
	name := func(step string) string { return []string{"y_", "x_"}[axis] + step }
	add := func(step, op string, t shaped, attrs ops.Attributes, in ...string) string {
		return b.add(name(step), op, t, attrs, in...)
	}
	from, to := b.ints(name("axis"), axis), b.ints(name("axis_end"), axis+1)
	along := func(step, v string) string { return add(step, "Slice", int64s(one), nil, v, from, to) }
	count := func(step, n string, e extent) string {
		ones := add(step+"_ones", "ConstantOfShape", int64s(e), ops.Attributes{"value": onnx.Int64Tensor("", 1)}, n)
		return add(step, "CumSum", int64s(e), ops.Attributes{"exclusive": int64(1)}, ones, b.constant(onnx.Int32Scalar(name(step+"_axis"), 0)))
	}
	coordinate := count("coordinate", along("size", size), in)
	coordinate = add("padded", "Add", int64s(in), nil, coordinate, along("before", w.before))
	coordinate = add("column", "Reshape", int64s(in, one), nil, coordinate, b.ints(name("column_shape"), -1, 1))
	start := add("start", "Mul", int64s(out), nil, count("position", along("grid", grid), out), along("stride", w.strides))

	both, test := int64s(in, out), boolean(in, out)
	distance := add("distance", "Sub", both, nil, coordinate, start)
	dilation := along("dilation", w.dilations)
	kernel = along("kernel", w.kernel)
	place := add("place", "Div", both, nil, distance, dilation)
	rest := add("rest", "Mod", both, nil, distance, dilation)
	none := b.ints(name("none"), -1)
	is := add("hits", "Equal", test, nil, rest, b.ints(name("no_rest"), 0))
	is = add("behind", "And", test, nil, is, add("not_before", "Greater", test, nil, distance, none))
	is = add("inside", "And", test, nil, is, add("not_after", "Less", test, nil, place, kernel))
	return add("places", "Where", both, nil, is, place, none), kernel
}
