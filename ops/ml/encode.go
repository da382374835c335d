package ml

import (
	"fmt"
	"math"
	"reflect"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newCategoryMapper returns CategoryMapper (version 1): the integers, int64, for the strings in
// X, or the strings for the integers.
//
// Attributes: cats_int64s and cats_strings, of the same length; default_int64 (default -1) or
// default_string (default "_Unused"), for elements that are not listed.
func newCategoryMapper(_ ops.Node, a *attributes) operation {
	integers, words := attr(a, "cats_int64s", []int64(nil)), attr(a, "cats_strings", []string(nil))
	integer, word := attr(a, "default_int64", int64(-1)), attr(a, "default_string", "_Unused")
	if len(integers) != len(words) {
		a.failf("cats_int64s has %d entries and cats_strings has %d", len(integers), len(words))
		return nil
	}
	return &encoder{tables: []table{newTable(words, integers, integer, false), newTable(integers, words, word, false)}}
}

// newLabelEncoder returns LabelEncoder (versions 1, 2, 4): for each element of X, of any shape,
// the value at the place where the element is in a list of keys. Since version 4, a NaN among
// the keys stands for every NaN and the last one of equal keys counts. Before, NaN equals nothing
// and the first one counts.
//
// Attributes of version 1: classes_strings, the keys: the values are their places, int64; or X
// is int64 and holds the places; default_int64 (default -1) and default_string (default
// "_Unused").
//
// Attributes since version 2: keys_floats, keys_int64s, keys_strings or, since version 4,
// keys_tensor; values_floats, values_int64s, values_strings or values_tensor; default_float
// (default -0), default_int64, default_string or default_tensor.
func newLabelEncoder(n ops.Node, a *attributes) operation {
	if n.Opset < 2 {
		classes := attr(a, "classes_strings", []string(nil))
		integer, word := attr(a, "default_int64", int64(-1)), attr(a, "default_string", "_Unused")
		places := make([]int64, len(classes))
		for i := range places {
			places[i] = int64(i)
		}
		return &encoder{tables: []table{newTable(classes, places, integer, true), newTable(places, classes, word, true)}}
	}
	keys, values := mappingList(n, a, "keys"), mappingList(n, a, "values")
	defaults := map[ops.DType]any{
		ops.Float32: attr(a, "default_float", float32(math.Copysign(0, -1))),
		ops.Int64:   attr(a, "default_int64", int64(-1)),
		ops.String:  attr(a, "default_string", "_Unused"),
		ops.Float64: math.Copysign(0, -1), ops.Int32: int32(-1), ops.Int16: int16(-1),
	}
	if n.Opset >= 4 {
		if t := attr(a, "default_tensor", (*ops.Tensor)(nil)); t != nil {
			if t.Len() != 1 {
				a.failf("default_tensor is %v, want one element", t)
				return nil
			}
			defaults[t.DType()] = reflect.ValueOf(t.Elements()).Index(0).Interface()
		}
	}
	if a.err != nil || keys == nil || values == nil {
		return nil
	}
	if keys.Len() != values.Len() {
		a.failf("there are %d keys, but %d values", keys.Len(), values.Len())
		return nil
	}
	var t table
	switch k := keys.Elements().(type) {
	case []float32:
		t = valuesOf(k, values, defaults, n.Opset < 4)
	case []float64:
		t = valuesOf(k, values, defaults, n.Opset < 4)
	case []int16:
		t = valuesOf(k, values, defaults, n.Opset < 4)
	case []int32:
		t = valuesOf(k, values, defaults, n.Opset < 4)
	case []int64:
		t = valuesOf(k, values, defaults, n.Opset < 4)
	case []string:
		t = valuesOf(k, values, defaults, n.Opset < 4)
	}
	if t == nil {
		a.fail(fmt.Errorf("%w: the keys are %v and the values %v", ops.ErrDType, keys, values))
	}
	return &encoder{tables: []table{t}}
}

// mappingList returns the list of keys or values, of which exactly one attribute must be given.
func mappingList(n ops.Node, a *attributes, name string) *ops.Tensor {
	var found []*ops.Tensor
	add := func(length int, data any) {
		if length > 0 {
			t, err := ops.FromSlice([]int{length}, data)
			a.fail(err)
			found = append(found, t)
		}
	}
	floats := attr(a, name+"_floats", []float32(nil))
	add(len(floats), floats)
	integers := attr(a, name+"_int64s", []int64(nil))
	add(len(integers), integers)
	words := attr(a, name+"_strings", []string(nil))
	add(len(words), words)
	if n.Opset >= 4 {
		if t := attr(a, name+"_tensor", (*ops.Tensor)(nil)); t != nil {
			found = append(found, t)
		}
	}
	if len(found) != 1 {
		a.failf("want one of the lists of %s", name)
		return nil
	}
	return found[0]
}

// valuesOf returns a table from keys to values, or nil if the type of the values is not
// supported.
func valuesOf[K key](keys []K, values *ops.Tensor, defaults map[ops.DType]any, first bool) table {
	switch v := values.Elements().(type) {
	case []float32:
		return newTable(keys, v, defaults[ops.Float32].(float32), first)
	case []float64:
		return newTable(keys, v, defaults[ops.Float64].(float64), first)
	case []int16:
		return newTable(keys, v, defaults[ops.Int16].(int16), first)
	case []int32:
		return newTable(keys, v, defaults[ops.Int32].(int32), first)
	case []int64:
		return newTable(keys, v, defaults[ops.Int64].(int64), first)
	case []string:
		return newTable(keys, v, defaults[ops.String].(string), first)
	}
	return nil
}

// key is the set of types of the elements that are encoded.
type key interface {
	ops.Element
	float32 | float64 | int16 | int32 | int64 | string
}

// table maps the elements of a tensor.
type table interface {
	types() (from, to ops.DType)
	encode(ctx *ops.Context, in, out *ops.Tensor) error
}

type tableOf[K, V key] struct {
	values   map[K]V
	nan      *V // the value for NaN, if there is one
	standard V
}

// newTable returns a table. If first is set, the first one of equal keys counts and NaN is no
// key; otherwise the last one counts.
func newTable[K, V key](keys []K, values []V, standard V, first bool) table {
	t := &tableOf[K, V]{values: make(map[K]V, len(keys)), standard: standard}
	for i, k := range keys {
		if k != k { //nolint:gocritic // NaN
			if !first {
				t.nan = &values[i]
			}
			continue
		}
		if _, ok := t.values[k]; !ok || !first {
			t.values[k] = values[i]
		}
	}
	return t
}

func (t *tableOf[K, V]) types() (from, to ops.DType) { return dtypeOf[K](), dtypeOf[V]() }

func dtypeOf[T ops.Element]() ops.DType {
	t, _ := ops.NewTensor([]int{0}, []T{})
	return t.DType()
}

func (t *tableOf[K, V]) encode(ctx *ops.Context, in, out *ops.Tensor) error {
	x, _ := ops.Data[K](in)
	y, _ := ops.Data[V](out)
	return ctx.For(len(x), grain/16, func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			v, ok := t.values[x[i]]
			switch {
			case ok:
			case t.nan != nil && x[i] != x[i]: //nolint:gocritic // NaN
				v = *t.nan
			default:
				v = t.standard
			}
			y[i] = v
		}
		return nil
	})
}

// encoder maps elements with the table for their type.
type encoder struct{ tables []table }

func (k *encoder) table(d ops.DType) table {
	i := slices.IndexFunc(k.tables, func(t table) bool { from, _ := t.types(); return from == d })
	if i < 0 {
		return nil
	}
	return k.tables[i]
}

func (k *encoder) infer(in []*ops.Input) ([]ops.Type, error) {
	t := k.table(in[0].DType)
	if t == nil {
		var types []ops.DType
		for _, t := range k.tables {
			from, _ := t.types()
			types = append(types, from)
		}
		return nil, in[0].Type.CheckDType("X", types...)
	}
	_, to := t.types()
	return []ops.Type{{DType: to, Shape: in[0].Shape}}, nil
}

func (k *encoder) run(ctx *ops.Context, in, out []*ops.Tensor) error {
	return k.table(in[0].DType()).encode(ctx, in[0], out[0])
}

// newOneHotEncoder returns OneHotEncoder (version 1): for each element of X, of any shape, a
// vector along a new last axis that is 1 at the place of the element in a list and 0 elsewhere,
// float32. Floating-point numbers are truncated.
//
// Attributes: cats_int64s, for numbers, or cats_strings; zeros (default 1; with 0, an element
// that is not listed is an error).
func newOneHotEncoder(_ ops.Node, a *attributes) operation {
	k := &oneHotEncoder{l: readLabels(a, "cats_int64s", "cats_strings"), zeros: attr(a, "zeros", int64(1)) != 0}
	k.integers, k.words = map[int64]int{}, map[string]int{}
	for i, v := range k.l.integers {
		k.integers[v] = i
	}
	for i, v := range k.l.words {
		k.words[v] = i
	}
	return k
}

type oneHotEncoder struct {
	l        labels
	integers map[int64]int
	words    map[string]int
	zeros    bool
}

func (k *oneHotEncoder) infer(in []*ops.Input) ([]ops.Type, error) {
	types := numeric
	if k.l.dtype() == ops.String {
		types = []ops.DType{ops.String}
	}
	shape := append(slices.Clone(in[0].Shape), ops.Dim{Size: k.l.len()})
	return []ops.Type{{DType: ops.Float32, Shape: shape}}, in[0].Type.CheckDType("X", types...)
}

func (k *oneHotEncoder) run(ctx *ops.Context, in, out []*ops.Tensor) error {
	switch x := in[0].Elements().(type) {
	case []string:
		return oneHot(ctx, k, x, out[0], func(s string) (int, bool) { i, ok := k.words[s]; return i, ok })
	case []float32:
		return oneHot(ctx, k, x, out[0], func(v float32) (int, bool) { return k.placeOf(float64(v)) })
	case []float64:
		return oneHot(ctx, k, x, out[0], k.placeOf)
	case []int32:
		return oneHot(ctx, k, x, out[0], func(v int32) (int, bool) { i, ok := k.integers[int64(v)]; return i, ok })
	case []int64:
		return oneHot(ctx, k, x, out[0], func(v int64) (int, bool) { i, ok := k.integers[v]; return i, ok })
	}
	return nil
}

// placeOf returns the place of a number, which is truncated.
func (k *oneHotEncoder) placeOf(v float64) (int, bool) {
	if !(math.Abs(v) < math.MaxInt64) {
		return 0, false
	}
	i, ok := k.integers[int64(v)]
	return i, ok
}

func oneHot[T ops.Element](ctx *ops.Context, k *oneHotEncoder, x []T, out *ops.Tensor, place func(T) (int, bool)) error {
	y, n := out.Float32s(), k.l.len()
	return eachRow(ctx, len(x), n+16, func(lo, hi int) error {
		clear(y[lo*n : hi*n])
		for i := lo; i < hi; i++ {
			at, ok := place(x[i])
			if !ok && !k.zeros {
				return fmt.Errorf("%w: element %d of X is %v, which is not among the %d categories", ops.ErrValue, i, x[i], n)
			}
			if ok {
				y[i*n+at] = 1
			}
		}
		return nil
	})
}
