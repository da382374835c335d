package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/ops"
)

// f returns an input of float32 numbers from -3 to 3.
func f(dims ...int) operand { return operand{dims: dims, dtype: ops.Float32, low: -3, high: 3} }

// small returns an input of float32 numbers from -0.1 to 0.1, as weights are. With larger ones, the
// gates of a recurrent cell become subnormal numbers, whose products take many times as long.
func small(dims ...int) operand { return operand{dims: dims, dtype: ops.Float32, low: -0.1, high: 0.1} }

// positive returns an input of float32 numbers from 0.5 to 3.
func positive(dims ...int) operand { return operand{dims: dims, dtype: ops.Float32, low: 0.5, high: 3} }

// of returns an input of another type, with numbers from 0 to 100.
func of(d ops.DType, dims ...int) operand { return operand{dims: dims, dtype: d, high: 100} }

func list(v ...int64) operand     { return operand{list: v} }
func number(v float32) operand    { return operand{number: []float32{v}} }
func ints(v ...int64) []int64     { return v }
func one(s string, v any) anyAttr { return anyAttr{s: v} }

type anyAttr = map[string]any

// cases returns all benchmarks.
func cases() []*benchmark {
	var all []*benchmark
	add := func(op string, attrs anyAttr, rank int, in ...operand) *benchmark {
		var shapes []string
		for _, o := range in {
			switch {
			case o.dims != nil:
				s := strings.Trim(strings.ReplaceAll(fmt.Sprint(o.dims), " ", "x"), "[]")
				if o.dtype != ops.Float32 {
					s += " " + o.dtype.String()
				}
				shapes = append(shapes, s)
			case o.number != nil:
				shapes = append(shapes, "scalar")
			}
		}
		name := op + " " + strings.Join(shapes, ", ")
		for _, k := range slices.Sorted(maps.Keys(attrs)) {
			name += fmt.Sprintf(" %s=%v", k, attrs[k])
		}
		b := &benchmark{name: name, op: op, in: in, attrs: attrs, rank: rank}
		all = append(all, b)
		return b
	}
	large := f(1, 197, 3072) // as in a vision transformer
	for _, op := range []string{
		"Exp", "Sigmoid", "Tanh", "Erf", "Softplus", "Softsign", "Elu", "Selu", "Celu", "Mish", "HardSwish", "HardSigmoid",
		"LeakyRelu", "Relu", "Gelu", "Abs", "Neg", "Reciprocal", "Floor", "Ceil", "Round", "Sign", "Sin", "Cos", "ThresholdedRelu",
	} {
		add(op, nil, 0, large)
	}
	add("Gelu", one("approximate", "tanh"), 0, large)
	add("Log", nil, 0, positive(1, 197, 3072))
	add("Sqrt", nil, 0, positive(1, 197, 3072))
	add("Sigmoid", nil, 0, f(1, 64, 28, 28))
	add("Tanh", nil, 0, f(1, 64, 28, 28))
	add("Sigmoid", nil, 0, of(ops.Float16, 1, 197, 768))
	for _, op := range []string{"Softmax", "LogSoftmax"} {
		add(op, nil, 0, f(12, 197, 197))
		add(op, nil, 0, f(4096, 32))
		add(op, nil, 0, f(8192, 10))
		add(op, nil, 0, f(1024, 256))
		add(op, nil, 0, f(64, 1000))
		add(op, nil, 0, f(4, 50000))
		add(op, nil, 0, f(1, 1000000))
		add(op, one("axis", int64(1)), 0, f(1, 21, 128, 128))
		add(op, one("axis", int64(1)), 0, f(1, 2, 65536))
		add(op, one("axis", int64(1)), 0, f(8, 128, 64))
	}
	for _, op := range []string{
		"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSumSquare", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp",
	} {
		add(op, nil, 2, positive(1024, 768), list(1)).name += " last"
		add(op, nil, 2, positive(1024, 768), list(0)).name += " first"
		add(op, nil, 3, positive(8, 256, 256), list(1)).name += " middle"
		add(op, nil, 4, positive(1, 256, 56, 56), list(2, 3)).name += " planes"
		add(op, nil, 2, positive(1024, 768), list(0, 1)).name += " all"
	}
	for _, op := range []string{"ArgMax", "ArgMin"} {
		add(op, one("axis", int64(1)), 2, f(1024, 768))
		add(op, one("axis", int64(1)), 4, f(1, 21, 128, 128))
		add(op, one("axis", int64(0)), 2, f(1024, 768))
	}
	add("LayerNormalization", nil, 0, f(197, 768), f(768), f(768))
	add("LayerNormalization", nil, 0, f(4096, 64), f(64), f(64))
	add("LayerNormalization", nil, 0, f(16, 50000), f(50000), f(50000))
	add("GroupNormalization", one("num_groups", int64(8)), 0, f(1, 64, 64, 64), f(8), f(8))
	add("InstanceNormalization", nil, 0, f(1, 64, 64, 64), f(64), f(64))
	add("MeanVarianceNormalization", nil, 0, f(4, 64, 32, 32))
	add("LpNormalization", nil, 0, f(1024, 768))
	add("LpNormalization", one("axis", int64(1)), 0, f(4, 64, 32, 32))
	add("LRN", one("size", int64(5)), 0, f(1, 64, 55, 55))
	for _, op := range []string{"Add", "Sub", "Mul", "Div", "Max", "Min", "Pow"} {
		x := positive
		add(op, nil, 0, x(1, 64, 112, 112), x(1, 64, 112, 112))
		add(op, nil, 0, x(1, 64, 112, 112), number(2))
		add(op, nil, 0, x(1, 64, 112, 112), x(64, 1, 1))
		add(op, nil, 0, x(197, 3072), x(3072))
		add(op, nil, 0, x(197, 768), x(197, 1))
		add(op, nil, 4, x(64, 1, 1), x(1, 64, 56, 56))
	}
	add("Pow", nil, 0, positive(197, 3072), number(0.5))
	add("Pow", nil, 0, positive(197, 3072), number(3))
	add("Pow", nil, 0, positive(197, 768), number(1.7))
	add("Add", nil, 0, f(1, 12, 64, 64), f(1, 1, 64, 64))
	add("Add", nil, 0, of(ops.Int64, 100000), of(ops.Int64, 100000))
	add("Mul", nil, 0, of(ops.Float16, 197, 768), of(ops.Float16, 197, 768))
	for _, op := range []string{"Less", "Greater", "Equal"} {
		add(op, nil, 0, f(197, 3072), f(197, 3072))
		add(op, nil, 0, f(197, 3072), number(1))
	}
	add("And", nil, 0, of(ops.Bool, 600000), of(ops.Bool, 600000))
	add("Not", nil, 0, of(ops.Bool, 600000))
	add("Where", nil, 0, of(ops.Bool, 197, 3072), f(197, 3072), f(197, 3072))
	add("Where", nil, 0, of(ops.Bool, 1, 1, 128, 128), f(1, 12, 128, 128), number(-1))
	add("Clip", nil, 0, f(1, 64, 112, 112), number(0), number(6))
	add("PRelu", nil, 0, f(1, 64, 112, 112), f(64, 1, 1))
	add("Sum", nil, 0, f(197, 3072), f(197, 3072), f(197, 3072))
	for _, p := range [][]int64{{1, 0, 2}, {0, 2, 1}, {2, 1, 0}} {
		add("Transpose", one("perm", p), 0, f(197, 12, 64))
	}
	add("Transpose", one("perm", ints(0, 2, 3, 1)), 0, f(1, 64, 56, 56))
	add("Transpose", one("perm", ints(0, 3, 1, 2)), 0, f(1, 56, 56, 64))
	add("Transpose", one("perm", ints(1, 0)), 0, f(1024, 768))
	add("Concat", one("axis", int64(1)), 0, f(1, 64, 56, 56), f(1, 64, 56, 56))
	add("Concat", one("axis", int64(-1)), 0, f(197, 768), f(197, 768))
	add("Concat", one("axis", int64(-1)), 0, f(50000, 2), f(50000, 2))
	add("Slice", nil, 0, f(197, 2304), list(768), list(1536), list(1))
	add("Slice", nil, 0, f(1, 3, 224, 224), list(0, 0), list(224, 224), list(2, 3), list(2, 2))
	add("Slice", nil, 0, f(197, 768), list(-1), list(-10000), list(1), list(-1))
	add("Gather", one("axis", int64(0)), 3, f(1000, 768), of(ops.Int64, 1, 197))
	add("Gather", one("axis", int64(1)), 3, f(768, 1000), of(ops.Int64, 1, 197))
	add("Cast", one("to", int64(ops.Int64)), 0, f(197, 768))
	add("Cast", one("to", int64(ops.Float32)), 0, of(ops.Int64, 197, 768))
	add("Cast", one("to", int64(ops.Float32)), 0, of(ops.Float16, 197, 768))
	add("Cast", one("to", int64(ops.Float16)), 0, f(197, 768))
	add("Cast", one("to", int64(ops.Float32)), 0, of(ops.Bool, 197, 768))
	add("Cast", one("to", int64(ops.Float32)), 0, of(ops.Uint8, 197, 768))
	add("Cast", one("to", int64(ops.Int32)), 0, of(ops.Int64, 197, 768))
	for _, to := range []ops.DType{ops.Int32, ops.Uint8, ops.Int8, ops.Bool, ops.Float64} {
		add("Cast", one("to", int64(to)), 0, of(ops.Float32, 197, 768))
	}
	for _, to := range []ops.DType{ops.Int64, ops.Float32, ops.Bool} {
		add("Cast", one("to", int64(to)), 0, of(ops.Int32, 197, 768))
	}
	for _, from := range []ops.DType{ops.Bool, ops.Uint8} {
		add("Cast", one("to", int64(ops.Int64)), 0, of(from, 197, 768))
		add("Cast", one("to", int64(ops.Int32)), 0, of(from, 197, 768))
	}
	add("Cast", one("to", int64(ops.Bool)), 0, of(ops.Int64, 197, 768))
	add("Cast", one("to", int64(ops.Uint8)), 0, of(ops.Int32, 197, 768))
	add("Expand", nil, 4, f(1, 64, 1, 1), list(1, 64, 56, 56))
	add("Expand", nil, 2, f(1, 768), list(197, 768))
	add("Expand", nil, 2, f(197, 1), list(197, 768))
	add("Tile", nil, 0, f(1, 1, 64, 64), list(4, 12, 1, 1))
	add("Tile", nil, 0, f(1000, 16), list(1, 16))
	add("Pad", nil, 0, f(1, 64, 56, 56), list(0, 0, 1, 1, 0, 0, 1, 1))
	add("Pad", one("mode", "reflect"), 0, f(1, 64, 56, 56), list(0, 0, 1, 1, 0, 0, 1, 1))
	add("Split", anyAttr{"axis": int64(-1), "num_outputs": int64(3)}, 0, f(197, 2304)).outs = 3
	add("Split", anyAttr{"axis": int64(1), "num_outputs": int64(2)}, 0, f(1, 64, 56, 56)).outs = 2
	productCases(add)
	return all
}
