package ml

import "github.com/spike-by-spike/sbs/ops"

// aggregation is how the votes for a target become one number.
type aggregation uint8

// The values are those of the attribute aggregate_function of TreeEnsemble.
const (
	average aggregation = iota
	total
	least
	most
)

// blockRows is the largest number of rows that go through a tree before the next one is read.
const blockRows = 64

// block is the state of some rows.
type block[T realNumber] struct {
	found  []int32 // by row: the leaf in the last tree
	totals []T     // by row and target
	has    []bool  // by row and target: whether there is a vote
}

func newBlock[T realNumber](targets int) *block[T] {
	return &block[T]{make([]int32, blockRows), make([]T, blockRows*targets), make([]bool, blockRows*targets)}
}

// vote lets all trees vote on some rows, at most blockRows.
func (t *trees[T]) vote(ctx *ops.Context, b *block[T], how aggregation, rows []T, columns, count, targets int) error {
	totals, has, found := b.totals[:count*targets], b.has[:count*targets], b.found[:count]
	clear(totals)
	clear(has)
	for _, root := range t.roots {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.leaves(ctx, root, rows, columns, found); err != nil {
			return err
		}
		for r, leaf := range found {
			for v := t.first[leaf]; v < t.first[leaf+1]; v++ {
				at := r*targets + int(t.targets[v])
				w := t.weights[v]
				switch {
				case how == least && has[at]:
					totals[at] = min(totals[at], w)
				case how == most && has[at]:
					totals[at] = max(totals[at], w)
				default:
					totals[at] += w
				}
				has[at] = true
			}
		}
	}
	if how == average {
		for i := range totals {
			totals[i] /= T(len(t.roots))
		}
	}
	return nil
}

// eachBlock calls f for blocks of rows after all trees have voted on them.
func eachBlock[T realNumber](ctx *ops.Context, f *forest, how aggregation, in *ops.Tensor, targets int, finish func(row int, totals []T, has []bool) error) error {
	rows, columns := sizesOf(in)
	if _, err := f.infer(ops.TypeOf(in), in.DType()); err != nil {
		return err
	}
	x, err := numbers[T](ctx, in)
	if err != nil {
		return err
	}
	t := treesOf[T](f)
	blocks := (rows + blockRows - 1) / blockRows
	size := blockRows
	if blocks < 32 { // few rows: smaller blocks keep all goroutines at work
		size = max(1, (rows+31)/32)
		size = min(blockRows, (size+together-1)/together*together)
	}
	if err := ctx.Reserve(int64(min(rows, 64*blockRows)) * int64(targets) * 16); err != nil {
		return err
	}
	return ctx.For((rows+size-1)/size, max(1, grain/(size*len(t.roots)*8)), func(lo, hi int) error {
		b := newBlock[T](targets)
		for i := lo; i < hi; i++ {
			first, last := i*size, min((i+1)*size, rows)
			if err := t.vote(ctx, b, how, x[first*columns:last*columns], columns, last-first, targets); err != nil {
				return err
			}
			for r := range last - first {
				if err := finish(first+r, b.totals[r*targets:(r+1)*targets], b.has[r*targets:(r+1)*targets]); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
