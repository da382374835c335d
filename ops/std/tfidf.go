package std

import (
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

// newTfIdfVectorizer returns TfIdfVectorizer (opset 9): how often each n-gram of a pool occurs
// in a sequence of int32, int64 or strings, float32. X is a vector, or a matrix of one
// sequence per row, and so is the output. The items of an n-gram may be apart by up to
// max_skip_count items, the same number for all of them.
//
// Attributes (all but weights and one of the pools are required): pool_int64s or pool_strings,
// first the n-grams of one item, then those of two, and so on; ngram_counts, the place in the
// pool of the first n-gram of each length; ngram_indexes, the place in the output of each
// n-gram; min_gram_length and max_gram_length, the lengths that count; max_skip_count; mode (TF:
// the number, IDF: the weight if there is one at least, TFIDF: the number times the weight);
// weights (default 1), of each n-gram.
func newTfIdfVectorizer(n ops.Node) (operation, error) {
	names := []string{"max_gram_length", "max_skip_count", "min_gram_length", "mode", "ngram_counts", "ngram_indexes"}
	if err := n.Attributes.Only(append(names, "pool_int64s", "pool_strings", "weights")...); err != nil {
		return nil, err
	}
	for _, name := range names {
		if _, ok := n.Attributes[name]; !ok {
			return nil, fmt.Errorf("%w: %s is missing", ops.ErrAttribute, name)
		}
	}
	k := &tfIdf{}
	for _, a := range []struct {
		name  string
		value *int64
		least int64
	}{{"min_gram_length", &k.shortest, 1}, {"max_gram_length", &k.longest, 1}, {"max_skip_count", &k.skips, 0}} {
		var err error
		if *a.value, err = ops.Attr(n.Attributes, a.name, int64(0)); err != nil {
			return nil, err
		}
		if *a.value < a.least {
			return nil, fmt.Errorf("%w: %s is %d, want at least %d", ops.ErrAttribute, a.name, *a.value, a.least)
		}
	}
	if k.shortest > k.longest {
		return nil, fmt.Errorf("%w: min_gram_length is %d and max_gram_length %d", ops.ErrAttribute, k.shortest, k.longest)
	}
	if err := k.readMode(n.Attributes); err != nil {
		return nil, err
	}
	return k, k.readPool(n.Attributes)
}

// tfIdf counts n-grams.
type tfIdf struct {
	shortest, longest int64 // lengths of n-grams
	skips             int64
	once              bool      // several occurrences count as one
	weights           []float32 // by place in the output; nil means 1
	size              int       // of the output
	integers          *gram[int64]
	words             *gram[string]
}

// gram is a node in the tree of all n-grams of a pool.
type gram[T comparable] struct {
	place int // in the output of the n-gram that ends here, or nowhere
	next  map[T]*gram[T]
}

func (k *tfIdf) readMode(a ops.Attributes) error {
	mode, err := ops.Attr(a, "mode", "")
	if err != nil {
		return err
	}
	weights, err := ops.Attr(a, "weights", []float32(nil))
	if err != nil {
		return err
	}
	indexes, err := ops.Attr(a, "ngram_indexes", []int64(nil))
	if err != nil {
		return err
	}
	for _, i := range indexes {
		if i < 0 || i >= ops.MaxElements {
			return fmt.Errorf("%w: ngram_indexes has the index %d, want 0 to %d", ops.ErrAttribute, i, ops.MaxElements-1)
		}
		k.size = max(k.size, int(i)+1)
	}
	if len(indexes) == 0 {
		return fmt.Errorf("%w: ngram_indexes is empty", ops.ErrAttribute)
	}
	switch mode {
	case "TF":
		weights = nil
	case "IDF":
		k.once = true
	case "TFIDF":
	default:
		return fmt.Errorf("%w: mode %q, want TF, IDF or TFIDF", ops.ErrAttribute, mode)
	}
	if len(weights) == 0 {
		return nil
	}
	if len(weights) != len(indexes) {
		return fmt.Errorf("%w: %d weights for %d n-grams", ops.ErrAttribute, len(weights), len(indexes))
	}
	if k.size > 4*len(indexes)+1<<20 {
		return fmt.Errorf("%w: the output has %d elements for %d n-grams with weights", ops.ErrAttribute, k.size, len(indexes))
	}
	k.weights = make([]float32, k.size)
	for i, at := range indexes {
		k.weights[at] = weights[i]
	}
	return nil
}

func (k *tfIdf) readPool(a ops.Attributes) error {
	integers, err := ops.Attr(a, "pool_int64s", []int64(nil))
	if err != nil {
		return err
	}
	words, err := ops.Attr(a, "pool_strings", []string(nil))
	if err != nil {
		return err
	}
	if (len(integers) > 0) == (len(words) > 0) {
		return fmt.Errorf("%w: want either pool_int64s or pool_strings", ops.ErrAttribute)
	}
	if len(words) > 0 {
		k.words, err = newGrams(a, words, k.shortest, k.longest)
		return err
	}
	k.integers, err = newGrams(a, integers, k.shortest, k.longest)
	return err
}

// newGrams returns the tree of the n-grams of a pool that have the given lengths.
func newGrams[T comparable](a ops.Attributes, pool []T, shortest, longest int64) (*gram[T], error) {
	starts, err := ops.Attr(a, "ngram_counts", []int64(nil))
	if err != nil {
		return nil, err
	}
	indexes, _ := ops.Attr(a, "ngram_indexes", []int64(nil)) // checked by readMode
	root := &gram[T]{place: nowhere, next: map[T]*gram[T]{}}
	number := 0 // of n-grams so far
	for i, lo := range starts {
		hi, length := int64(len(pool)), i+1
		if length < len(starts) {
			hi = starts[length]
		}
		if lo < 0 || hi < lo || hi > int64(len(pool)) || (hi-lo)%int64(length) != 0 {
			return nil, fmt.Errorf("%w: ngram_counts %v does not divide a pool of %d items into n-grams", ops.ErrAttribute, starts, len(pool))
		}
		for ; lo < hi; lo += int64(length) {
			if number >= len(indexes) {
				return nil, fmt.Errorf("%w: the pool has more n-grams than ngram_indexes has entries, %d", ops.ErrAttribute, len(indexes))
			}
			if int64(length) >= shortest && int64(length) <= longest {
				root.add(pool[lo:lo+int64(length)], int(indexes[number]))
			}
			number++
		}
	}
	return root, nil
}

func (g *gram[T]) add(items []T, place int) {
	for _, x := range items {
		if g.next == nil {
			g.next = map[T]*gram[T]{}
		}
		if g.next[x] == nil {
			g.next[x] = &gram[T]{place: nowhere}
		}
		g = g.next[x]
	}
	g.place = place
}

func (k *tfIdf) infer(in []*ops.Input) (ops.Type, error) {
	x := in[0].Type
	types := indexTypes
	if k.words != nil {
		types = []ops.DType{ops.String}
	}
	if err := x.CheckDType("X", types...); err != nil {
		return x, err
	}
	if len(x.Shape) > 2 {
		return x, fmt.Errorf("%w: X is %v, want a vector or a matrix", ops.ErrShape, x)
	}
	t := ops.Type{DType: ops.Float32, Shape: ops.Dims(k.size)}
	if len(x.Shape) == 2 {
		t.Shape = []ops.Dim{x.Shape[0], {Size: k.size}}
	}
	return t, nil
}

func (k *tfIdf) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if k.words != nil {
		return countGrams(ctx, k, k.words, texts(in[0]), in[0].Shape(), out.Float32s())
	}
	t := temporary{ctx: ctx}
	items := elementsOf[int64](&t, in[0])
	if t.err != nil {
		return t.err
	}
	return countGrams(ctx, k, k.integers, items, in[0].Shape(), out.Float32s())
}

// countGrams computes the output for all rows.
func countGrams[T comparable](ctx *ops.Context, k *tfIdf, root *gram[T], items []T, shape []int, out []float32) error {
	rows, length := 1, len(items)
	if len(shape) == 2 {
		rows, length = shape[0], shape[1]
	}
	return ctx.For(rows, 1, func(lo, hi int) error {
		watching := cancelCheck{ctx: ctx}
		for r := lo; r < hi; r++ {
			row := out[r*k.size : (r+1)*k.size]
			if err := inPieces(ctx, len(row), func(lo, hi int) { clear(row[lo:hi]) }); err != nil {
				return err
			}
			if err := countRow(&watching, k, root, items[r*length:(r+1)*length], row); err != nil {
				return err
			}
			if err := inPieces(ctx, len(row), func(lo, hi int) { k.weigh(lo, row[lo:hi]) }); err != nil {
				return err
			}
		}
		return nil
	})
}

// countRow adds the numbers of the n-grams of a row to counts.
func countRow[T comparable](watching *cancelCheck, k *tfIdf, root *gram[T], items []T, counts []float32) error {
	for skip := range k.skips + 1 {
		distance, shortest := skip+1, k.shortest
		if skip > 0 { // single items are the same at any distance
			shortest = max(shortest, 2)
		}
		if shortest > k.longest || shortest > 1 && distance > int64(len(items)-1)/(shortest-1) {
			break
		}
		for start := range items {
			g, size := root, int64(0)
			for at := int64(start); at < int64(len(items)) && size < k.longest; at += distance {
				if g = g.next[items[at]]; g == nil {
					break
				}
				if size++; size >= shortest && g.place != nowhere {
					counts[g.place]++
				}
			}
			if err := watching.after(16 * (int(size) + 1)); err != nil {
				return err
			}
		}
	}
	return nil
}

// weigh turns the numbers of n-grams, of which the first is at place first of the output, into
// elements of the output.
func (k *tfIdf) weigh(first int, counts []float32) {
	for i, n := range counts {
		if k.once {
			n = min(n, 1)
		}
		if k.weights != nil {
			n *= k.weights[first+i]
		}
		counts[i] = n
	}
}
