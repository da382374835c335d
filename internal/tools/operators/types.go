package main

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"reflect"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/internal/graph"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// allTypes are the element types in the order of the table, by group.
var allTypes = []struct {
	group string // "" for types that have no group
	types []ops.DType
}{
	{"float", []ops.DType{ops.Float16, ops.BFloat16, ops.Float32, ops.Float64}},
	{"int", []ops.DType{ops.Int8, ops.Int16, ops.Int32, ops.Int64}},
	{"uint", []ops.DType{ops.Uint8, ops.Uint16, ops.Uint32, ops.Uint64}},
	{"", []ops.DType{ops.Bool, ops.String}},
	{"float8", []ops.DType{ops.Float8E4M3FN, ops.Float8E4M3FNUZ, ops.Float8E5M2, ops.Float8E5M2FNUZ}},
	{"", []ops.DType{ops.Float8E8M0, ops.Float4E2M1}},
	{"small int", []ops.DType{ops.Int4, ops.Uint4, ops.Int2, ops.Uint2}},
}

// containers are the types of values that are not tensors.
var containers = []ops.DType{ops.Sequence, ops.Optional, ops.Map}

// trial is a way to call an operator.
type trial struct {
	attributes ops.Attributes
	shapes     [][]int
	types      []ops.DType // of the inputs, 0 for the type that is tried; nil for only this type
	ones       bool        // the elements of the inputs are 1 instead of 0
}

// The shapes, the types of other inputs and the attributes that are tried.
var (
	shapes     = [][]int{{2, 3}, {4, 4}, {1, 4, 4, 4}, {4}, {}, {2}, {1, 4, 4}, {1, 4, 4, 2}, {4, 4, 2, 2}, {1}, {3, 4, 8}, {1, 8, 4}, {1, 8, 2}}
	otherTypes = []ops.DType{0, ops.Int64, ops.Float32, ops.Uint8, ops.Bool, ops.Int32, ops.String}
	attributes = []ops.Attributes{
		nil, {"to": int64(ops.Float32)}, {"axis": int64(0)}, {"kernel_shape": []int64{2, 2}}, {"kernel_shape": []int64{2}}, {"axes": []int64{0}},
		{"equation": "...->..."}, {"blocksize": int64(2)}, {"hidden_size": int64(2)}, {"direction": "RIGHT"}, {"output_size": []int64{2, 2}},
		{"num_heads": int64(2)}, {"pooled_shape": []int64{2, 2}}, {"num_groups": int64(2)}, {"pattern": "a"}, {"mode": "linear"}, {"dtype": int64(ops.Float32)},
	}
)

// hints are ways to call operators whose inputs have types and shapes of their own.
var hints = map[string]trial{
	"GRU":           {attributes: ops.Attributes{"hidden_size": int64(2)}, shapes: [][]int{{3, 1, 2}, {1, 6, 2}, {1, 6, 2}}},
	"LRN":           {attributes: ops.Attributes{"size": int64(3)}, shapes: [][]int{{1, 4, 4, 4}}},
	"QLinearConv":   {shapes: [][]int{{1, 1, 4, 4}, {}, {}, {1, 1, 2, 2}, {}, {}, {}, {}}, types: quantized, ones: true},
	"QLinearMatMul": {shapes: [][]int{{2, 2}, {}, {}, {2, 2}, {}, {}, {}, {}}, types: quantized, ones: true},
	"Resize":        {shapes: [][]int{{1, 1, 4, 4}, {0}, {4}}, types: []ops.DType{0, ops.Float32, ops.Float32}, ones: true},
	"RoiAlign":      {shapes: [][]int{{1, 1, 4, 4}, {1, 4}, {1}}, types: []ops.DType{0, 0, ops.Int64}},
	"Slice":         {shapes: [][]int{{2, 3}, {1}, {1}}, types: []ops.DType{0, ops.Int64, ops.Int64}, ones: true},
}

// quantized are the types of the inputs of QLinearConv and QLinearMatMul: numbers with a scale
// and a zero point each, and the scale and the zero point of the output.
var quantized = []ops.DType{0, ops.Float32, 0, 0, ops.Float32, 0, ops.Float32, 0}

// controls are the types of the first inputs of operators with subgraphs, which cannot run
// alone.
var controls = map[string]string{"If": "bool", "Loop": "int64", "Scan": "all"}

// typesOf returns the types of the first input of an operator, as a text.
func typesOf(o ops.Operator) string {
	switch {
	case o.New == nil:
		return cmp.Or(controls[o.Name], "?")
	case o.Domain == sbs.Domain:
		return ops.Float32.String() // the only type of the domain
	case o.MaxInputs == 0:
		return "–"
	}
	calls := callsOf(o)
	var words []string
	count, all := 0, 0
	for _, g := range allTypes {
		var accepted []string
		for _, d := range g.types {
			if slices.ContainsFunc(calls, func(c call) bool { return c.accepts(d) }) {
				accepted = append(accepted, d.String())
			}
		}
		count, all = count+len(accepted), all+len(g.types)
		if g.group != "" && len(accepted) == len(g.types) {
			accepted = []string{"*" + g.group + "*"}
		}
		words = append(words, accepted...)
	}
	if count == all {
		words = []string{"all"}
	}
	for _, d := range containers {
		if slices.ContainsFunc(calls, func(c call) bool { return c.accepts(d) }) {
			words = append(words, d.String())
		}
	}
	return cmp.Or(strings.Join(words, ", "), "?")
}

// call is a trial with the bound operator.
type call struct {
	op ops.Op
	trial
}

// bind returns the call of an operator in its newest version.
func (t trial) bind(o ops.Operator) (call, bool) {
	_, opset := graph.Opsets()
	if o.Domain != "" {
		opset = slices.Max(append([]int{1}, o.Versions...))
	}
	op, err := o.New(ops.Node{Attributes: t.attributes, Opset: opset, NumInputs: len(t.shapes), NumOutputs: max(o.MinOutputs, 1)})
	return call{op, t}, err == nil
}

// maxCalls bounds the ways to call an operator that are found for each type.
const maxCalls = 6

// callsOf finds ways to call an operator with some types.
func callsOf(o ops.Operator) []call {
	if t, ok := hints[o.Name]; ok {
		c, _ := t.bind(o)
		return []call{c}
	}
	var found []call
	for _, d := range []ops.DType{ops.Float32, ops.Int64, ops.Uint8, ops.Bool, ops.String, ops.Sequence, ops.Optional, ops.Map} {
		count := 0
		for n := max(o.MinInputs, 1); n <= max(o.MinInputs, 1)+1 && count == 0; n++ {
			if o.MaxInputs != ops.Variadic && n > o.MaxInputs {
				break
			}
			for c := range allCalls(o, n) {
				if !c.accepts(d) {
					continue
				}
				found = append(found, c)
				if count++; count == maxCalls {
					break
				}
			}
		}
	}
	return found
}

// allCalls yields the ways to call an operator with n inputs.
func allCalls(o ops.Operator, n int) iter.Seq[call] {
	return func(yield func(call) bool) {
		for _, a := range attributes {
			c, ok := trial{attributes: a, shapes: make([][]int, n)}.bind(o)
			if !ok {
				continue
			}
			for c.shapes = range allShapes(n) {
				for i, other := range otherTypes {
					if i > 0 && n == 1 {
						break
					}
					c.types = slices.Repeat([]ops.DType{other}, n)
					c.types[0] = 0
					for _, c.ones = range []bool{false, true} {
						if !yield(c) {
							return
						}
					}
				}
			}
		}
	}
}

// allShapes yields the shapes of n inputs.
func allShapes(n int) iter.Seq[[][]int] {
	const maxVaried = 3 // inputs whose shapes differ from each other
	return func(yield func([][]int) bool) {
		index := make([]int, min(n, maxVaried))
		for {
			list := make([][]int, n)
			for i := range list {
				list[i] = shapes[index[min(i, len(index)-1)]]
			}
			if !yield(list) {
				return
			}
			i := 0
			for ; i < len(index); i++ {
				if index[i]++; index[i] < len(shapes) {
					break
				}
				index[i] = 0
			}
			if i == len(index) {
				return
			}
		}
	}
}

// value returns a tensor of zeros, or of ones if it has numbers, or a container of float32
// tensors.
func value(d ops.DType, shape []int, ones bool) (*ops.Tensor, error) {
	if d.IsContainer() {
		x, err := value(ops.Float32, shape, ones)
		if err != nil {
			return nil, err
		}
		switch d {
		case ops.Sequence:
			return ops.NewSequence(ops.TypeOf(x), []*ops.Tensor{x, x})
		case ops.Optional:
			return ops.NewOptional(ops.TypeOf(x), x)
		}
		keys, err := ops.Zeros(ops.Int64, shape)
		if err != nil {
			return nil, err
		}
		return ops.NewMap(keys, x)
	}
	x, err := ops.Zeros(d, shape)
	if err != nil || !ones {
		return x, err
	}
	v := reflect.ValueOf(x.Elements())
	for i := range v.Len() {
		switch e := v.Index(i); {
		case d == ops.Float16:
			e.SetUint(uint64(ops.ToF16(1)))
		case d == ops.BFloat16:
			e.SetUint(uint64(ops.ToBF16(1)))
		case e.CanFloat():
			e.SetFloat(1)
		case e.CanInt():
			e.SetInt(1)
		case e.CanUint():
			e.SetUint(1)
		case e.Kind() == reflect.Bool:
			e.SetBool(true)
		}
	}
	return x, nil
}

// accepts reports whether the operator computes its outputs for a first input of the given
// type. An error about a value is about the elements that the inputs consist of.
func (c *call) accepts(d ops.DType) bool {
	in := make([]*ops.Tensor, len(c.shapes))
	types := make([]*ops.Input, len(in))
	for i, shape := range c.shapes {
		dtype := d
		if i < len(c.types) && c.types[i] != 0 {
			dtype = c.types[i]
		}
		var err error
		if in[i], err = value(dtype, shape, c.ones); err != nil {
			return false
		}
		types[i] = &ops.Input{Type: ops.TypeOf(in[i]), Const: in[i]}
	}
	if _, err := c.op.Infer(types); err != nil {
		return false
	}
	ctx := ops.NewContext(context.Background(), 1)
	defer ctx.Close()
	_, err := ops.Run(c.op, ctx, in)
	return err == nil || errors.Is(err, ops.ErrValue)
}
