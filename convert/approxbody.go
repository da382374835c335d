package convert

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// approxBody writes an ApproxConv layer in standard operators, with the same products bit for
// bit. Numbers that are not finite are not supported. The layout is that of the body of an SbS
// layer: Q holds all output positions of all images. The sums over k are made by a Scan with a
// step for each k, whose values are (Q, O).
//
// The names follow the documentation of ops/sbs. E is a product of matrices, which float64 holds
// exactly: with bit i of the significand mw, it is the sum over i < T of (2^i*(mx mod 2^(T-i))) *
// bit_i(mw). As in ops/sbs, F is at most 24, and T is reduced in the same way.
type approxBody struct{ *body }

// approxSettings are the names of values that follow from F and T, which are int64 unless noted.
// T is at least 1 here: with T = 0, the only entry of moduli is 1, which makes E 0.
type approxSettings struct {
	powers string // 2^0, ..., 2^(T-1)
	column string // the same as a column
	moduli string // 2^T, ..., 2^1
	wrap   string // E counts modulo this number
	lead   string // 2^(F-1), float64
}

// settings returns the values for the attributes of an inline body, as constants, or of the call
// of a function.
func (b approxBody) settings() approxSettings {
	if b.own != nil {
		a, _ := sbs.ApproximationOf(b.own) // checked by the caller
		frac, cut, modulus := a.Reduced()
		var powers, moduli []int64
		for i := range max(cut, 1) {
			powers, moduli = append(powers, 1<<i), append(moduli, 1<<(cut-i))
		}
		column := onnx.Int64Tensor("powers_column", powers...)
		column.Dims = append(column.Dims, 1)
		return approxSettings{
			powers: b.ints("powers", powers...), column: b.constant(column), moduli: b.ints("moduli", moduli...),
			wrap: b.scalar("wrap", modulus), lead: b.doubles("lead", float64(int64(1)<<(frac-1))),
		}
	}
	add := func(step, op string, in ...string) string { return b.add(step, op, shaped{}, nil, in...) }
	unit, zero := b.scalar("unit", 1), b.scalar("zero", 0)
	var table []int64
	for i := range 33 {
		table = append(table, 1<<i)
	}
	all := b.ints("powers_of_2", table...)
	given := b.attributeInt(sbs.AttrFracBits)
	frac := add("F", "Min", given, b.scalar("most_bits", 24))
	longer := add("longer", "Sub", given, frac)
	twice := add("twice_longer", "Add", longer, longer)
	cut := add("T_if_enabled", "Mul", b.attributeInt(sbs.AttrTruncBits), b.attributeInt(sbs.AttrApproxOn))
	cut = add("T", "Max", add("T_reduced", "Sub", cut, twice), zero)
	bits := add("bits", "Range", zero, add("bit_count", "Max", cut, unit), unit)
	powers := add("powers", "Gather", all, bits)
	return approxSettings{
		powers: powers, column: add("powers_column", "Unsqueeze", powers, b.ints("powers_axis", 1)),
		moduli: add("moduli", "Gather", all, add("bits_left", "Sub", cut, bits)),
		wrap:   add("wrap", "Gather", all, add("wrap_bits", "Sub", b.scalar("int_bits", 32), twice)),
		lead:   b.toDouble("lead", shaped{}, add("lead_int", "Gather", all, add("lead_bit", "Sub", frac, unit))),
	}
}

func (b approxBody) toDouble(step string, t shaped, v string) string {
	return b.add(step, "Cast", t, ops.Attributes{"to": int64(ops.Float64)}, v)
}

// write writes the body for the inputs X, W and B and returns the name of its output.
func (b approxBody) write(x, weights, bias string) string {
	z := &b.sizes
	s := b.settings()
	id := b.identity()
	matrix := b.add("W_matrix", "Reshape", float(z.n, z.k), nil, weights, b.ints("W_shape", 0, -1))
	k := b.shapeOf("K", matrix, 1, 2, z.k)
	n := b.shapeOf("O", matrix, 0, 1, z.n)
	p, grid, _ := b.patches(x, k, id)
	q := b.shapeOf("Q", p, 1, 2, z.positions)
	w := b.add("W_by_entry", "Transpose", float(z.k, z.n), ops.Attributes{"perm": []int64{1, 0}}, matrix)

	c := approxConstants{
		two: b.doubles("double_two", 2), half: b.doubles("double_half", 0.5), one: b.doubles("double_one", 1),
		up: b.doubles("bias_power", 0x1p127), powers: b.doubles("exponent_powers", 0x1p128, 0x1p64, 0x1p32, 0x1p16, 0x1p8, 0x1p4, 0x1p2, 0x1p1),
		inverse: b.doubles("exponent_inverse", 0x1p-128, 0x1p-64, 0x1p-32, 0x1p-16, 0x1p-8, 0x1p-4, 0x1p-2, 0x1p-1),
	}
	c.lead = s.lead
	c.down = b.add("scale_unit", "Div", double(), nil, b.doubles("bias_power_down", 0x1p-127), s.lead)
	xs, xScale := b.split("X", p, []extent{z.k, z.positions}, c)
	ws, wScale := b.split("W", w, []extent{z.k, z.n}, c)

	start := b.add("sum_start", "Expand", float(z.positions, z.n), nil, bias, b.input("sum_shape", b.join("sum_shape", q, n)))
	sum := b.add("sum", "Scan", float(z.positions, z.n), ops.Attributes{
		"body": b.product(s), "num_scan_inputs": int64(4),
	}, start, xs, xScale, ws, wScale)
	b.explain("One step for each k: adds the products of entry k of the patches with the weights.")
	sum = b.add("sum_grid", "Reshape", float(z.batch, z.oh, z.ow, z.n), nil, sum, b.input("sum_grid_shape", b.join("sum_grid_shape", sizesOf(-1), grid, n)))
	return b.last("Transpose", float(z.batch, z.n, z.oh, z.ow), ops.Attributes{"perm": []int64{0, 3, 1, 2}}, sum)
}

// approxConstants are the names of float64 constants of split.
type approxConstants struct {
	two, half, one, up, powers, inverse string
	lead                                string // 2^(F-1)
	down                                string // 2^-127/2^(F-1)
}

// split returns the F leading bits of the significands of a matrix, int64, and what they must be
// multiplied by, float64, which is 0 where the matrix is 0. A number times 2^127 is a significand
// in [1, 2) times 2 to the power of the exponent bits, which are found from the highest to the
// lowest. Numbers below 2^-126 have the exponent bits 0, and no leading 1 in their bits.
func (b approxBody) split(name, v string, shape []extent, c approxConstants) (significand, scale string) {
	step := func(s string) string { return name + "_" + s }
	t := double(shape...)
	d := b.toDouble(step("double"), t, v)
	high := b.add(step("high"), "Mul", t, nil, b.add(step("absolute"), "Abs", t, nil, d), c.up)
	tiny := b.add(step("tiny"), "Less", boolean(shape...), nil, high, c.two)
	small := b.add(step("small"), "Add", t, nil, b.add(step("halved"), "Mul", t, nil, high, c.half), c.one)
	start := b.add(step("from_1"), "Where", t, nil, tiny, small, high)
	now, power, inverse := b.inside(step("now"), ops.Float64), b.inside(step("power"), ops.Float64), b.inside(step("inverse"), ops.Float64)
	body := b.graph(step("exponent_bit"), []*onnxpb.ValueInfoProto{now, power, inverse}, func() []*onnxpb.ValueInfoProto {
		add := func(s, op string, in ...string) string { return b.add(step(s), op, shaped{}, nil, in...) }
		low := add("bit_is_0", "Less", now.GetName(), power.GetName())
		add("next", "Mul", now.GetName(), add("divide", "Where", low, c.one, inverse.GetName()))
		return []*onnxpb.ValueInfoProto{b.matrix(step("next"), ops.Float64)}
	})
	m := b.add(step("significand"), "Scan", t, ops.Attributes{"body": body, "num_scan_inputs": int64(2)}, start, c.powers, c.inverse)
	b.explain("One step for each bit of the exponent, from the highest to the lowest.")
	leading := b.add(step("leading"), "Mul", t, nil, m, c.lead)
	significand = b.add(step("leading_bits"), "Cast", int64s(shape...), ops.Attributes{"to": int64(ops.Int64)}, leading)
	exponent := b.add(step("exponent"), "Div", t, nil, start, m)
	scale = b.add(step("scale"), "Mul", t, nil, exponent, b.add(step("sign"), "Sign", t, nil, d))
	return significand, b.add(step("scale_of_bits"), "Mul", t, nil, scale, c.down)
}

// product returns the graph that adds the products of one k.
func (b approxBody) product(s approxSettings) *onnxpb.GraphProto {
	least, none := b.doubles("least_product", 0x1p-126), b.doubles("no_product", 0)
	first, second, two := b.ints("axis_0", 0), b.ints("axis_1", 1), b.scalar("two", 2)
	inputs := []*onnxpb.ValueInfoProto{
		b.inside("sum_now", ops.Float32), b.inside("mx", ops.Int64), b.inside("x_scale", ops.Float64),
		b.inside("mw", ops.Int64), b.inside("w_scale", ops.Float64),
	}
	return b.graph("products", inputs, func() []*onnxpb.ValueInfoProto {
		add := func(step, op string, in ...string) string { return b.add(step, op, shaped{}, nil, in...) }
		cast := func(step string, to ops.DType, v string) string {
			return b.add(step, "Cast", shaped{}, ops.Attributes{"to": int64(to)}, v)
		}
		mx := add("mx_column", "Unsqueeze", b.step("mx"), second)
		mw := add("mw_row", "Unsqueeze", b.step("mw"), first)
		low := add("mx_shifted", "Mul", add("mx_low", "Mod", mx, s.moduli), s.powers)
		bits := add("mw_bits", "Mod", add("mw_shifted", "Div", mw, s.column), two)
		e := add("E_double", "MatMul", cast("mx_double", ops.Float64, low), cast("mw_double", ops.Float64, bits))
		e = add("E", "Mod", cast("E_int", ops.Int64, e), s.wrap)
		r := add("R", "Sub", add("R_all", "Mul", mx, mw), e)
		rounded := cast("R_rounded", ops.Float64, cast("R_float", ops.Float32, r))
		scale := add("scale", "Mul", add("x_scale_column", "Unsqueeze", b.step("x_scale"), second), add("w_scale_row", "Unsqueeze", b.step("w_scale"), first))
		product := add("product", "Mul", rounded, scale)
		small := add("underflow", "Less", add("product_size", "Abs", product), least)
		product = cast("A", ops.Float32, add("product_or_0", "Where", small, none, product))
		add("sum_next", "Add", b.step("sum_now"), product)
		return []*onnxpb.ValueInfoProto{b.matrix("sum_next", ops.Float32)}
	})
}

// approxTypes are the types of the attributes of an ApproxConv node.
var approxTypes = windowTypes.with(attributeTypes{
	sbs.AttrFracBits: onnxpb.AttributeProto_INT, sbs.AttrTruncBits: onnxpb.AttributeProto_INT, sbs.AttrApproxOn: onnxpb.AttributeProto_INT,
})

// approxConvFunction returns the operator ApproxConv as a function of standard operators.
func approxConvFunction() (*onnxpb.FunctionProto, error) {
	b := approxBody{&body{types: approxTypes}}
	out := b.write("X", "W", "B")
	if b.err != nil {
		return nil, fmt.Errorf("convert: function body: %w", b.err)
	}
	return &onnxpb.FunctionProto{
		Name: sbs.OpApproxConv, Domain: sbs.Domain, Input: []string{"X", "W", "B"}, Output: []string{out}, Node: b.nodes,
		Attribute:   slices.Sorted(maps.Keys(approxTypes)),
		OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: opsetVersion}},
		DocString: "A convolution with approximate products in standard operators: X (batch, channels, height, width), W (outputs, channels, KH, KW) and " +
			"B (outputs) to Y (batch, outputs, output height, output width). X, W and B must be finite.",
	}, nil
}
