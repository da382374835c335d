package std

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spike-by-spike/sbs/ops"
)

// parse converts strings to numbers. A number is written as in most programming languages,
// with an optional exponent; INF, +INF, -INF and NaN count in upper and lower case. Integers
// drop the digits after the point. true and false count for bool, too. White space around a
// number is ignored. All other strings are errors.
func (k casting) parse(ctx *ops.Context, x, out *ops.Tensor) error {
	s, _ := ops.Data[string](x)
	return ctx.For(len(s), grain/16, func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			if err := k.parseOne(strings.TrimSpace(s[i]), out, i); err != nil {
				return fmt.Errorf("%w: element %d is %q, which is no number that fits %v", ops.ErrValue, i, shortened(s[i]), out.DType())
			}
		}
		return nil
	})
}

// shortened returns the beginning of a long string.
func shortened(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}

func (k casting) parseOne(s string, out *ops.Tensor, at int) error {
	d := out.DType()
	if d == ops.Bool {
		switch strings.ToLower(s) {
		case "true":
			s = "1"
		case "false":
			s = "0"
		}
	}
	if !isFloat(d) && d != ops.Bool {
		if d == ops.Uint64 {
			if v, err := strconv.ParseUint(s, 10, 64); err == nil {
				store(out, at, 1, []uint64{v})
				return nil
			}
		} else if v, err := strconv.ParseInt(s, 10, 64); err == nil {
			store(out, at, 1, []int64{v})
			return nil
		}
	}
	if strings.ContainsAny(s, "xX_") { // numbers of Go alone
		return strconv.ErrSyntax
	}
	bits := 64
	if d == ops.Float32 {
		bits = 32
	}
	v, err := strconv.ParseFloat(s, bits)
	if err != nil && !math.IsInf(v, 0) { // a number out of range becomes infinity
		return err
	}
	if !isFloat(d) && d != ops.Bool && (math.IsInf(v, 0) || v != v) {
		return strconv.ErrRange
	}
	if isFloat8(d) {
		storeSmall(out, at, 1, []float64{v}, k.saturate, k.rounding)
	} else {
		store(out, at, 1, []float64{v})
	}
	return nil
}

// format converts numbers to strings.
func format(ctx *ops.Context, x, out *ops.Tensor) error {
	const most = 32 // bytes of a number
	if err := ctx.Reserve(int64(x.Len()) * most); err != nil {
		return err
	}
	o, _ := ops.Data[string](out)
	return ctx.For(len(o), grain/16, func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			o[i] = formatOne(x, i)
		}
		return nil
	})
}

func formatOne(x *ops.Tensor, at int) string {
	switch d := x.DType(); {
	case d == ops.Uint64:
		var v [1]uint64
		load(v[:], x, at, 1)
		return strconv.FormatUint(v[0], 10)
	case !isFloat(d):
		var v [1]int64
		load(v[:], x, at, 1)
		return strconv.FormatInt(v[0], 10)
	}
	var v [1]float64
	load(v[:], x, at, 1)
	bits := 64
	if x.DType() != ops.Float64 {
		bits = 32
	}
	return formatFloat(v[0], bits)
}

// formatFloat returns the shortest decimal that stands for a number of so many bits. Very
// large and very small numbers have an exponent.
func formatFloat(v float64, bits int) string {
	switch {
	case v != v:
		return "NaN"
	case math.IsInf(v, 1):
		return "INF"
	case math.IsInf(v, -1):
		return "-INF"
	case v != 0 && (math.Abs(v) < 1e-4 || math.Abs(v) >= 1e16):
		return strconv.FormatFloat(v, 'e', -1, bits)
	}
	return strconv.FormatFloat(v, 'f', -1, bits)
}
