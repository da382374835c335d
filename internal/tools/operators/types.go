package main

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strconv"
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

// typesOf returns the types of the first input of an operator, as a text. An operator that runs with
// none of its calls is an error.
func typesOf(o ops.Operator) (string, error) {
	switch {
	case o.New == nil:
		if controls[o.Name] == "" {
			return "", fmt.Errorf("%s has no types: add them to controls", o.Name)
		}
		return controls[o.Name], nil
	case o.Domain == sbs.Domain:
		return ops.Float32.String(), nil // the only type of the domain
	case o.MaxInputs == 0:
		return "–", nil
	}
	calls, ok := callsOf[o.Name]
	if !ok {
		calls = plainCalls(max(o.MinInputs, 1))
	}
	accepted := map[ops.DType]bool{}
	for _, c := range calls {
		if err := c.try(o, accepted); err != nil {
			return "", fmt.Errorf("%s: %w: correct its calls in callsOf", o.Name, err)
		}
	}
	text := words(accepted)
	if text == "" {
		return "", fmt.Errorf("%s runs with no type: add a call to callsOf", o.Name)
	}
	return text, nil
}

// words lists types, by group.
func words(accepted map[ops.DType]bool) string {
	var words []string
	count, all := 0, 0
	for _, g := range allTypes {
		var names []string
		for _, d := range g.types {
			if accepted[d] {
				names = append(names, d.String())
			}
		}
		count, all = count+len(names), all+len(g.types)
		if g.group != "" && len(names) == len(g.types) {
			names = []string{"*" + g.group + "*"}
		}
		words = append(words, names...)
	}
	if count == all {
		words = []string{"all"}
	}
	for _, d := range containers {
		if accepted[d] {
			words = append(words, d.String())
		}
	}
	return strings.Join(words, ", ")
}

// plainCalls are the calls of operators that callsOf does not list: n inputs of the same shape,
// without attributes.
func plainCalls(n int) []call {
	var calls []call
	for _, shape := range []string{"T 2,3", "T 1,4,4,4", "T 4,4", "T "} {
		calls = append(calls, call{inputs: slices.Repeat([]string{shape}, n)})
	}
	return calls
}

// try adds the types with which the operator runs, in its newest version.
func (c call) try(o ops.Operator, accepted map[ops.DType]bool) error {
	_, opset := graph.Opsets()
	switch {
	case c.version > 0:
		opset = c.version
	case o.Domain != "":
		opset = slices.Max(o.Versions)
	}
	op, err := o.New(ops.Node{Attributes: c.attributes, Opset: opset, NumInputs: len(c.inputs), NumOutputs: max(o.MinOutputs, 1)})
	if err != nil {
		return err
	}
	var types []ops.DType
	for _, g := range allTypes {
		types = append(types, g.types...)
	}
	for _, d := range append(types, containers...) {
		if accepted[d] {
			continue
		}
		in := make([]*ops.Tensor, len(c.inputs))
		for i, text := range c.inputs {
			if in[i], err = input(text, d); err != nil {
				return err
			}
		}
		accepted[d] = runs(op, in)
	}
	return nil
}

// runs reports whether the operator computes its outputs.
func runs(op ops.Op, in []*ops.Tensor) bool {
	types := make([]*ops.Input, len(in))
	for i, x := range in {
		types[i] = &ops.Input{Type: ops.TypeOf(x), Const: x}
	}
	if _, err := op.Infer(types); err != nil {
		return false
	}
	ctx := ops.NewContext(context.Background(), 1)
	defer ctx.Close()
	_, err := ops.Run(op, ctx, in)
	return err == nil
}

// input returns the tensor that a text describes, such as "T 2,3", "int64 2 = 0,1" or "T 4 = 0":
// the element type, T for the given one, the shape, and the elements in row-major order. A single
// element is the value of all, 1 if there is none. A container has two such tensors of float32.
func input(text string, t ops.DType) (*ops.Tensor, error) {
	kind, rest, _ := strings.Cut(text, " ")
	sizes, elements, _ := strings.Cut(rest, " = ")
	var shape []int
	for _, s := range strings.FieldsFunc(sizes, func(r rune) bool { return r == ',' }) {
		n, err := strconv.Atoi(s)
		if err != nil {
			return nil, err
		}
		shape = append(shape, n)
	}
	numbers := []int64{1}
	if elements != "" {
		numbers = nil
		for s := range strings.SplitSeq(elements, ",") {
			n, err := strconv.ParseInt(s, 10, 64)
			if err != nil {
				return nil, err
			}
			numbers = append(numbers, n)
		}
	}
	if kind == "T" {
		return value(t, shape, numbers)
	}
	for _, g := range allTypes {
		for _, d := range g.types {
			if d.String() == kind {
				return value(d, shape, numbers)
			}
		}
	}
	return nil, fmt.Errorf("the input %q has an unknown type", text)
}

// value returns a tensor or a container with the given elements.
func value(d ops.DType, shape []int, numbers []int64) (*ops.Tensor, error) {
	if d.IsContainer() {
		if d == ops.Map {
			shape = []int{3}
		}
		x, err := value(ops.Float32, shape, numbers)
		if err != nil {
			return nil, err
		}
		switch d {
		case ops.Sequence:
			return ops.NewSequence(ops.TypeOf(x), []*ops.Tensor{x, x})
		case ops.Optional:
			return ops.NewOptional(ops.TypeOf(x), x)
		}
		keys, err := value(ops.Int64, shape, []int64{0, 1, 2})
		if err != nil {
			return nil, err
		}
		return ops.NewMap(keys, x)
	}
	x, err := ops.Zeros(d, shape)
	if err != nil {
		return nil, err
	}
	v := reflect.ValueOf(x.Elements())
	for i := range v.Len() {
		n := numbers[i%len(numbers)]
		switch e := v.Index(i); {
		case d == ops.Float16:
			e.SetUint(uint64(ops.ToF16(float64(n))))
		case d == ops.BFloat16:
			e.SetUint(uint64(ops.ToBF16(float64(n))))
		case d == ops.String:
			e.SetString(strconv.FormatInt(n, 10))
		case e.CanFloat():
			e.SetFloat(float64(n))
		case e.CanInt():
			e.SetInt(n)
		case e.CanUint():
			e.SetUint(uint64(n))
		case e.Kind() == reflect.Bool:
			e.SetBool(n != 0)
		}
	}
	return x, nil
}
