package ml

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/spike-by-spike/sbs/ops"
)

// mode is the comparison of a feature with a threshold.
type mode uint8

// The values are those of the attribute nodes_modes of TreeEnsemble.
const (
	leq mode = iota
	lt
	gte
	gt
	eq
	neq
	member
)

// split is an inner node of a tree, as the file describes it.
type split struct {
	mode      mode
	threshold float64
	members   []float64 // of the mode member
	feature   int64
	missing   bool   // NaN takes the true branch
	next      [2]int // the false and the true branch: a split, or ^leaf
}

// vote is what a leaf adds to the result of a target.
type vote struct {
	target int
	weight float64
}

// forest is an ensemble of trees, as the file describes it.
type forest struct {
	splits []split
	leaves [][]vote
	roots  []int // splits, or ^leaf
	double bool  // the thresholds or weights are float64

	features int // the least number of features of an input
	depth    int // the largest number of splits from a root to a leaf

	single, wide sync.Once
	trees32      *trees[float32]
	trees64      *trees[float64]
}

// check checks the forest, and sets what follows from its splits.
func (f *forest) check(a *attributes, targets int) {
	for _, s := range f.splits {
		if s.feature < 0 || s.feature >= ops.MaxElements {
			a.failf("a node of a tree compares feature %d", s.feature)
			return
		}
		f.features = max(f.features, int(s.feature)+1)
	}
	for _, votes := range f.leaves {
		for _, v := range votes {
			if v.target < 0 || v.target >= targets {
				a.failf("a leaf of a tree has the target or class %d, but there are %d", v.target, targets)
				return
			}
		}
	}
	if len(f.roots) == 0 {
		a.failf("there are no trees")
		return
	}
	depths := make([]int, len(f.splits)) // 0: not visited yet; -1: on the path from the root
	for _, root := range f.roots {
		d, ok := f.depthOf(root, depths)
		if !ok {
			a.failf("a node of a tree is below itself")
			return
		}
		f.depth = max(f.depth, d)
	}
}

// depthOf returns the depth of the tree below a split, and false if it is infinite. It does not
// call itself: a file may have a tree of any depth.
func (f *forest) depthOf(root int, depths []int) (int, bool) {
	const open = -1
	path := []int{root}
	for len(path) > 0 {
		n := path[len(path)-1]
		if n < 0 || depths[n] > 0 {
			path = path[:len(path)-1]
			continue
		}
		if depths[n] == open {
			deepest := 0
			for _, next := range f.splits[n].next {
				if next >= 0 {
					deepest = max(deepest, depths[next])
				}
			}
			depths[n] = deepest + 1
			path = path[:len(path)-1]
			continue
		}
		depths[n] = open
		for _, next := range f.splits[n].next {
			if next < 0 || depths[next] > 0 {
				continue
			}
			if depths[next] == open {
				return 0, false
			}
			path = append(path, next)
		}
	}
	if root < 0 {
		return 0, true
	}
	return depths[root], true
}

// infer returns the number of rows of X, which must have enough features.
func (f *forest) infer(x ops.Type, types ...ops.DType) (rows ops.Dim, err error) {
	if err := x.CheckDType("X", types...); err != nil {
		return rows, err
	}
	rows, columns, err := rowsOf(x, 0)
	if err == nil && columns.Known() && columns.Size < f.features {
		err = fmt.Errorf("%w: X is %v, but the trees compare %d features", ops.ErrShape, x, f.features)
	}
	return rows, err
}

// node is a split or a leaf in the order in which trees are walked through. A leaf is its own
// successor. The comparison is x <= threshold.
type node[T realNumber] struct {
	threshold T
	feature   int32
	next      [2]int32 // if the comparison is false, if it is true
}

// trees is a forest that is ready to run: leaf i is node len(special)+i.
type trees[T realNumber] struct {
	nodes   []node[T]
	roots   []int32
	special []special[T] // by split; nil if NaN is never less and all comparisons are x <= threshold
	first   []int32      // by leaf: its first vote; one more entry for the end
	targets []int32      // by vote
	weights []T          // by vote
	splits  int32
	deep    bool // a walk from a root to a leaf takes long
}

// special is what a comparison does in addition.
type special[T realNumber] struct {
	missing bool // NaN counts as less
	mode    mode // eq, neq, member, or leq for the comparison of the node
	members []T  // sorted
}

// treesOf returns the trees of a forest with thresholds of the type T.
func treesOf[T realNumber](f *forest) *trees[T] {
	switch any(T(0)).(type) {
	case float32:
		f.single.Do(func() { f.trees32 = newTrees[float32](f) })
		return any(f.trees32).(*trees[T])
	default:
		f.wide.Do(func() { f.trees64 = newTrees[float64](f) })
		return any(f.trees64).(*trees[T])
	}
}

func newTrees[T realNumber](f *forest) *trees[T] {
	n := len(f.splits)
	t := &trees[T]{splits: int32(n), deep: f.depth > grain, nodes: make([]node[T], n+len(f.leaves))}
	at := func(i int) int32 {
		if i < 0 {
			return int32(n + ^i)
		}
		return int32(i)
	}
	specials, plain := make([]special[T], n), true
	for i, s := range f.splits {
		var next [2]int32
		for b, c := range s.next {
			next[b] = at(c)
		}
		t.nodes[i], specials[i] = newNode[T](s, next)
		plain = plain && specials[i].mode == leq && !specials[i].missing
	}
	if !plain {
		t.special = specials
	}
	for i, votes := range f.leaves {
		self := int32(n + i)
		t.nodes[self].next = [2]int32{self, self}
		t.first = append(t.first, int32(len(t.targets)))
		for _, v := range votes {
			t.targets, t.weights = append(t.targets, int32(v.target)), append(t.weights, T(v.weight))
		}
	}
	t.first = append(t.first, int32(len(t.targets)))
	for _, r := range f.roots {
		t.roots = append(t.roots, at(r))
	}
	return t
}

// newNode turns the comparison of a split into x <= threshold if it is one with an order:
// x < threshold is x <= the number before it, and the others swap the branches.
func newNode[T realNumber](s split, next [2]int32) (node[T], special[T]) {
	n := node[T]{threshold: T(s.threshold), feature: int32(s.feature), next: next}
	more := special[T]{missing: s.missing}
	switch s.mode {
	case lt, gte:
		n.threshold = before(n.threshold)
	case eq, neq, member:
		more.mode = s.mode
		for _, m := range s.members {
			more.members = append(more.members, T(m))
		}
		slices.Sort(more.members)
	}
	if s.mode == gte || s.mode == gt {
		n.next[0], n.next[1] = n.next[1], n.next[0]
		more.missing = !s.missing
		if T(s.threshold) != T(s.threshold) { //nolint:gocritic // NaN: no number is greater
			n.threshold = T(math.Inf(1))
		}
	}
	return n, more
}

// before returns the largest number that is less than x, and NaN if there is none.
func before[T realNumber](x T) T {
	if math.IsInf(float64(x), -1) {
		return T(math.NaN())
	}
	if v, ok := any(x).(float32); ok {
		return T(math.Nextafter32(v, float32(math.Inf(-1))))
	}
	return T(math.Nextafter(float64(x), math.Inf(-1)))
}

// together is the number of rows that walk through a tree at the same time. The processor
// works on all of them while it waits for memory.
const together = 4

// leaves sets found to the leaf of each row in a tree. rows holds the features of one row after
// the other.
func (t *trees[T]) leaves(ctx *ops.Context, root int32, rows []T, columns int, found []int32) error {
	if root >= t.splits {
		for i := range found {
			found[i] = root - t.splits
		}
		return nil
	}
	if t.special != nil || t.deep {
		return t.leavesOneByOne(ctx, root, rows, columns, found)
	}
	r := 0
	for ; r+together <= len(found); r += together {
		x0, x1 := rows[r*columns:(r+1)*columns], rows[(r+1)*columns:(r+2)*columns]
		x2, x3 := rows[(r+2)*columns:(r+3)*columns], rows[(r+3)*columns:(r+4)*columns]
		a, b, c, d := root, root, root, root
		for min(a, b, c, d) < t.splits {
			a, b = t.step(a, x0), t.step(b, x1)
			c, d = t.step(c, x2), t.step(d, x3)
		}
		found[r], found[r+1], found[r+2], found[r+3] = a-t.splits, b-t.splits, c-t.splits, d-t.splits
	}
	for ; r < len(found); r++ {
		x, at := rows[r*columns:(r+1)*columns], root
		for at < t.splits {
			at = t.step(at, x)
		}
		found[r] = at - t.splits
	}
	return nil
}

// step returns the successor of a node. It has no branch, which the processor would often guess
// wrongly.
func (t *trees[T]) step(at int32, x []T) int32 {
	n := &t.nodes[at]
	less := 0
	if x[n.feature] <= n.threshold {
		less = 1
	}
	return n.next[less]
}

// leavesOneByOne is leaves for any comparison, and for trees of any depth.
func (t *trees[T]) leavesOneByOne(ctx *ops.Context, root int32, rows []T, columns int, found []int32) error {
	steps := 0
	for r := range found {
		x, at := rows[r*columns:(r+1)*columns], root
		for at < t.splits {
			if steps++; steps%grain == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			n := &t.nodes[at]
			v, less := x[n.feature], 0
			if v <= n.threshold {
				less = 1
			}
			if t.special != nil && t.special[at].less(v, n.threshold, less == 1) {
				less = 1
			} else if t.special != nil {
				less = 0
			}
			at = n.next[less]
		}
		found[r] = at - t.splits
	}
	return nil
}

// less returns the result of a comparison, of which x <= threshold is known.
func (s *special[T]) less(x, threshold T, less bool) bool {
	switch s.mode {
	case eq:
		less = x == threshold
	case neq:
		less = x != threshold
	case member:
		_, less = slices.BinarySearch(s.members, x)
		less = less && x == x //nolint:gocritic // NaN
	}
	return less || s.missing && x != x //nolint:gocritic // NaN
}
