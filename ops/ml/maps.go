package ml

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/spike-by-spike/sbs/ops"
)

// newZipMap returns ZipMap (version 1): a sequence of maps, one per row of X, float32, from the
// names of the classes to the elements of the row. A vector is one row.
//
// Attributes: classlabels_int64s or classlabels_strings, the keys.
func newZipMap(_ ops.Node, a *attributes) operation {
	return &zipMap{readLabels(a, "classlabels_int64s", "classlabels_strings")}
}

type zipMap struct{ l labels }

func (k *zipMap) elem() *ops.Type {
	return &ops.Type{DType: ops.Map, Key: k.l.dtype(), Elem: &ops.Type{DType: ops.Float32}}
}

func (k *zipMap) infer(in []*ops.Input) ([]ops.Type, error) {
	if err := in[0].Type.CheckDType("X", ops.Float32); err != nil {
		return nil, err
	}
	_, _, err := rowsOf(in[0].Type, k.l.len())
	return []ops.Type{{DType: ops.Sequence, Elem: k.elem()}}, err
}

func (k *zipMap) run(ctx *ops.Context, in, out []*ops.Tensor) error {
	rows, columns := sizesOf(in[0])
	if columns != k.l.len() {
		return fmt.Errorf("%w: X is %v, but there are %d classes", ops.ErrShape, ops.TypeOf(in[0]), k.l.len())
	}
	// A map is a tensor of keys, which all rows share, and one of values.
	if err := ctx.Reserve(int64(rows) * (3*ops.ItemBytes + 4*int64(columns))); err != nil {
		return err
	}
	keys, err := k.keys()
	if err != nil {
		return err
	}
	items := make([]*ops.Tensor, rows)
	err = eachRow(ctx, rows, columns+64, func(lo, hi int) error {
		for r := lo; r < hi; r++ {
			values, err := ops.NewTensor([]int{columns}, slices.Clone(in[0].Float32s()[r*columns:(r+1)*columns]))
			if err != nil {
				return err
			}
			if items[r], err = ops.NewMap(keys, values); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		out[0], err = ops.NewSequence(*k.elem(), items)
	}
	return err
}

func (k *zipMap) keys() (*ops.Tensor, error) {
	if k.l.dtype() == ops.String {
		return ops.NewTensor([]int{k.l.len()}, slices.Clone(k.l.words))
	}
	return ops.NewTensor([]int{k.l.len()}, slices.Clone(k.l.integers))
}

// newDictVectorizer returns DictVectorizer (version 1): the values of a map, (1, size of the
// vocabulary), at the places of their keys in a vocabulary, and 0 or "" at other places. Keys
// that are not in the vocabulary have no effect.
//
// Attributes: int64_vocabulary or string_vocabulary.
func newDictVectorizer(_ ops.Node, a *attributes) operation {
	return &dictVectorizer{readLabels(a, "int64_vocabulary", "string_vocabulary")}
}

type dictVectorizer struct{ l labels }

func (k *dictVectorizer) infer(in []*ops.Input) ([]ops.Type, error) {
	x := in[0].Type
	if x.DType != ops.Map || x.Key != k.l.dtype() {
		return nil, fmt.Errorf("%w: X is %v, want a map with keys of type %v", ops.ErrDType, x, k.l.dtype())
	}
	if err := x.Elem.CheckDType("the values of X", ops.Int64, ops.Float32, ops.Float64, ops.String); err != nil {
		return nil, err
	}
	return []ops.Type{{DType: x.Elem.DType, Shape: ops.Dims(1, k.l.len())}}, nil
}

func (k *dictVectorizer) run(ctx *ops.Context, in, out []*ops.Tensor) error {
	keys, values := ops.MapOf(in[0])
	if k.l.dtype() == ops.String {
		return vectorize(ctx, keys, values, out[0], k.l.words)
	}
	return vectorize(ctx, keys, values, out[0], k.l.integers)
}

func vectorize[K interface {
	ops.Element
	int64 | string
}](ctx *ops.Context, keys, values, out *ops.Tensor, vocabulary []K) error {
	if err := ctx.Reserve(int64(keys.Len()) * 48); err != nil {
		return err
	}
	given, _ := ops.Data[K](keys)
	places := make(map[K]int, len(given)) // in the map
	for i, k := range given {
		places[k] = i
		if i%grain == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	at := func(i int) int {
		if p, ok := places[vocabulary[i]]; ok {
			return p
		}
		return -1
	}
	switch v := values.Elements().(type) {
	case []int64:
		return place(ctx, v, out, at)
	case []float32:
		return place(ctx, v, out, at)
	case []float64:
		return place(ctx, v, out, at)
	case []string:
		return place(ctx, v, out, at)
	}
	return nil
}

// place sets each element of an output to the element of v with the given index, or to zero if
// the index is negative.
func place[T ops.Element](ctx *ops.Context, v []T, out *ops.Tensor, at func(i int) int) error {
	y, _ := ops.Data[T](out)
	return ctx.For(len(y), grain/16, func(lo, hi int) error {
		clear(y[lo:hi])
		for i := lo; i < hi; i++ {
			if p := at(i); p >= 0 {
				y[i] = v[p]
			}
		}
		return nil
	})
}

// newCastMap returns CastMap (version 1): the values of a map with int64 keys as a matrix of one
// row, in the order of the keys.
//
// Attributes: cast_to, the type of the output (TO_FLOAT, the default, TO_INT64 or TO_STRING);
// map_form (DENSE, the default: the values without gaps; SPARSE: each value at the place of its
// key); max_map (default 1), the number of places if map_form is SPARSE.
func newCastMap(_ ops.Node, a *attributes) operation {
	k := &castMap{
		to:     map[string]ops.DType{"TO_FLOAT": ops.Float32, "TO_INT64": ops.Int64, "TO_STRING": ops.String}[choice(a, "cast_to", "TO_FLOAT", "TO_INT64", "TO_STRING")],
		sparse: choice(a, "map_form", "DENSE", "SPARSE") == "SPARSE",
		length: attr(a, "max_map", int64(1)),
	}
	if k.sparse && (k.length < 1 || k.length > ops.MaxElements) {
		a.failf("max_map is %d, want 1 to %d", k.length, ops.MaxElements)
	}
	return k
}

type castMap struct {
	to     ops.DType
	sparse bool
	length int64
}

func (k *castMap) infer(in []*ops.Input) ([]ops.Type, error) {
	x := in[0].Type
	if x.DType != ops.Map || x.Key != ops.Int64 {
		return nil, fmt.Errorf("%w: X is %v, want a map with keys of type int64", ops.ErrDType, x)
	}
	if err := x.Elem.CheckDType("the values of X", ops.String, ops.Float32); err != nil {
		return nil, err
	}
	size := -1
	switch {
	case k.sparse:
		size = int(k.length)
	case in[0].Const != nil:
		keys, _ := ops.MapOf(in[0].Const)
		size = keys.Len()
	}
	return []ops.Type{{DType: k.to, Shape: ops.Dims(1, size)}}, nil
}

func (k *castMap) run(ctx *ops.Context, in, out []*ops.Tensor) error {
	t, values := ops.MapOf(in[0])
	keys := t.Int64s()
	order, err := ops.Temporary[int](ctx, len(keys))
	if err != nil {
		return err
	}
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(keys[a], keys[b]) })
	places := map[int]int{} // by place in the output: that in the map
	for i, at := range order {
		if k.sparse {
			if keys[at] < 0 || keys[at] >= k.length {
				return fmt.Errorf("%w: the map has the key %d, want 0 to %d (max_map)", ops.ErrValue, keys[at], k.length-1)
			}
			i = int(keys[at])
		}
		places[i] = at
	}
	if out[0] == nil {
		if out[0], err = ops.Zeros(k.to, []int{1, len(keys)}); err != nil {
			return err
		}
	}
	return castValues(ctx, values, out[0], places)
}

// castValues converts the values of a map. A place without a value is 0.
func castValues(ctx *ops.Context, values, out *ops.Tensor, places map[int]int) error {
	return ctx.For(out.Len(), grain/16, func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			text, number := "0", 0.0
			if at, ok := places[i]; ok {
				text, number = valueAt(values, at)
			}
			switch y := out.Elements().(type) {
			case []string:
				y[i] = text
				continue
			case []float32:
				y[i] = float32(number)
			case []int64:
				y[i] = int64(number)
			}
			if number != number { //nolint:gocritic // NaN
				return fmt.Errorf("%w: the value %q of the map is not a number", ops.ErrValue, text)
			}
		}
		return nil
	})
}

// valueAt returns a value of a map as a text and as a number, which is NaN if the text is not a
// number.
func valueAt(values *ops.Tensor, at int) (text string, number float64) {
	if floats := values.Float32s(); floats != nil {
		return strconv.FormatFloat(float64(floats[at]), 'g', -1, 32), float64(floats[at])
	}
	words, _ := ops.Data[string](values)
	number, err := strconv.ParseFloat(words[at], 64)
	if err != nil {
		number = math.NaN()
	}
	return words[at], number
}
