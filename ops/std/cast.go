package std

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/internal/minifloat"
	"github.com/spike-by-spike/sbs/ops"
)

// newCast returns Cast (opsets 1, 6, 9, 13, 19, 21, 23, 24, 25): the same elements in another
// type.
//
// Floating-point numbers are truncated when they become integers; numbers out of range become
// the largest or smallest integer, and NaN becomes 0. Integers keep their low bits when they
// become smaller integers, and so do floating-point numbers that become integers of 4 or 2
// bits. Every number but 0 becomes true, and true becomes 1. Strings are parsed as numbers,
// see parsing; numbers become the shortest decimal that stands for them.
//
// Attributes: to (required), a data type, or before opset 6 its name; saturate (default 1;
// since opset 19): whether numbers that are out of the range of an 8-bit floating-point type
// become its largest number, and not infinity or NaN; round_mode (default up; or down,
// nearest; since opset 24), the rounding to float8e8m0.
func newCast(n ops.Node) (operation, error) {
	k, err := newCasting(n, "to")
	if err != nil {
		return nil, err
	}
	to, err := castTarget(n)
	return cast{k, to}, err
}

// castTarget reads the attribute to of Cast.
func castTarget(n ops.Node) (ops.DType, error) {
	if n.Opset >= 6 {
		return dtypeAttr(n.Attributes, "to", 0)
	}
	name, err := ops.Attr(n.Attributes, "to", "")
	if err != nil {
		return 0, err
	}
	if d, ok := dtypeNames[name]; ok {
		return d, nil
	}
	return 0, fmt.Errorf("%w: to: %w: %q", ops.ErrAttribute, ops.ErrDType, name)
}

// dtypeNames holds the types that Cast of opset 1 names.
var dtypeNames = map[string]ops.DType{
	"FLOAT": ops.Float32, "DOUBLE": ops.Float64, "FLOAT16": ops.Float16, "BOOL": ops.Bool,
	"INT8": ops.Int8, "INT16": ops.Int16, "INT32": ops.Int32, "INT64": ops.Int64,
	"UINT8": ops.Uint8, "UINT16": ops.Uint16, "UINT32": ops.Uint32, "UINT64": ops.Uint64,
}

// dtypeAttr returns an attribute that is a data type.
func dtypeAttr(a ops.Attributes, name string, standard ops.DType) (ops.DType, error) {
	v, err := ops.Attr(a, name, int64(standard))
	if err != nil {
		return 0, err
	}
	if d := ops.DType(v); int64(d) == v && d.Size() != 0 {
		return d, nil
	}
	return 0, fmt.Errorf("%w: %s: %w: %v", ops.ErrAttribute, name, ops.ErrDType, ops.DType(v))
}

// casting says how numbers are rounded to 8-bit floating-point types.
type casting struct {
	saturate bool
	rounding minifloat.Rounding // to float8e8m0
}

// newCasting reads the attributes of Cast and CastLike. The node may have the other
// attributes named by more.
func newCasting(n ops.Node, more ...string) (casting, error) {
	if n.Opset >= 19 {
		more = append(more, "saturate")
	}
	if n.Opset >= 24 {
		more = append(more, "round_mode")
	}
	if err := n.Attributes.Only(more...); err != nil {
		return casting{}, err
	}
	saturate, err := ops.Attr(n.Attributes, "saturate", int64(1))
	if err != nil {
		return casting{}, err
	}
	mode, err := choiceAttr(n.Attributes, "round_mode", "up", "down", "nearest")
	roundings := map[string]minifloat.Rounding{"up": minifloat.Up, "down": minifloat.Down, "nearest": minifloat.Nearest}
	return casting{saturate != 0, roundings[mode]}, err
}

type cast struct {
	casting
	to ops.DType
}

func (k cast) infer(in []*ops.Input) (ops.Type, error) {
	return ops.Type{DType: k.to, Shape: in[0].Shape}, nil
}

func (k cast) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	return k.cast(ctx, in[0], out)
}

// cast converts the elements of x to the type of out.
func (k casting) cast(ctx *ops.Context, x, out *ops.Tensor) error {
	from, to := x.DType(), out.DType()
	switch {
	case from == to:
		return copyAll(ctx, out, x)
	case from == ops.String:
		return k.parse(ctx, x, out)
	case to == ops.String:
		return format(ctx, x, out)
	}
	l := ops.Scratch[unaryLoop](ctx)
	*l = unaryLoop{out: out, x: x, compute: castElements[int64]}
	direct := conversions[conversion{from, to}]
	switch {
	case direct != nil:
		l.compute = direct
	case isFloat(from) && isNarrow(to):
		l.compute = castLowBits
	case isFloat8(to) && isFloat(from):
		l.compute = castFloat8[float64](k)
	case isFloat8(to) && from == ops.Uint64:
		l.compute = castFloat8[uint64](k)
	case isFloat8(to):
		l.compute = castFloat8[int64](k)
	case isFloat(from):
		l.compute = castElements[float64]
	case from == ops.Uint64:
		l.compute = castElements[uint64]
	}
	return ctx.Do(out.Len(), grain, l)
}

// isNarrow reports whether a type is an integer type of 4 or 2 bits.
func isNarrow(d ops.DType) bool {
	switch d {
	case ops.Int4, ops.Uint4, ops.Int2, ops.Uint2:
		return true
	}
	return false
}

// isFloat8 reports whether a type is one of the 8-bit floating-point types.
func isFloat8(d ops.DType) bool {
	switch d {
	case ops.Float8E4M3FN, ops.Float8E4M3FNUZ, ops.Float8E5M2, ops.Float8E5M2FNUZ, ops.Float8E8M0:
		return true
	}
	return false
}

func castElements[W wide](lo, hi int, out, x *ops.Tensor) {
	var v [chunk]W
	for ; lo < hi; lo += chunk {
		m := min(chunk, hi-lo)
		load(v[:m], x, lo, 1)
		store(out, lo, 1, v[:m])
	}
}

// castLowBits truncates floating-point numbers and keeps the low bits of the integers.
func castLowBits(lo, hi int, out, x *ops.Tensor) {
	var v [chunk]float64
	var truncated [chunk]int64
	for ; lo < hi; lo += chunk {
		m := min(chunk, hi-lo)
		load(v[:m], x, lo, 1)
		for i, f := range v[:m] {
			truncated[i] = 0
			if math.Abs(f) < 1<<62 { // false for NaN
				truncated[i] = int64(f)
			}
		}
		store(out, lo, 1, truncated[:m])
	}
}

func castFloat8[W wide](k casting) func(lo, hi int, out, x *ops.Tensor) {
	return func(lo, hi int, out, x *ops.Tensor) {
		var v [chunk]W
		for ; lo < hi; lo += chunk {
			m := min(chunk, hi-lo)
			load(v[:m], x, lo, 1)
			storeSmall(out, lo, 1, v[:m], k.saturate, k.rounding)
		}
	}
}

// newCastLike returns CastLike (opsets 15, 19, 21, 23, 24, 25): Cast to the type of the second
// input.
//
// Attributes: saturate and round_mode, as for Cast.
func newCastLike(n ops.Node) (operation, error) {
	k, err := newCasting(n)
	return castLike{k}, err
}

type castLike struct{ casting }

func (castLike) infer(in []*ops.Input) (ops.Type, error) {
	return ops.Type{DType: in[1].DType, Shape: in[0].Shape}, nil
}

func (k castLike) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	return k.cast(ctx, in[0], out)
}
