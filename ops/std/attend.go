package std

import (
	"fmt"
	"math"
	"sync"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/portmath"
	"github.com/spike-by-spike/sbs/ops"
)

// floating is the set of types in which attention is computed.
type floating interface{ float32 | float64 }

// headed holds vectors of all heads, entries of a batch and positions.
type headed[T floating] struct {
	elements          []T
	entry, head, step int // distances between entries, heads and positions
}

// newHeaded returns the layout of a tensor (batch, heads, length, size) or (batch, length,
// heads*size).
func newHeaded[T floating](elements []T, rank, heads, length, size int) headed[T] {
	if rank == 4 {
		return headed[T]{elements, heads * length * size, length * size, size}
	}
	return headed[T]{elements, length * heads * size, size, heads * size}
}

func (h *headed[T]) place(entry, head, position int) int {
	return entry*h.entry + head*h.head + position*h.step
}

// from returns the elements from a position on.
func (h *headed[T]) from(entry, head, position int) []T {
	return h.elements[h.place(entry, head, position):]
}

// attentionRun is one run of Attention.
type attentionRun[T floating] struct {
	k               *attention
	batch           int
	queries, heads  int
	length, total   int // numbers of queries and keys
	past            int
	size, valueSize int
	scale           float64
	q, keys, values headed[T]
	y               headed[T]
	scores          []T // of all heads, nil if the node does not need them
	mask            *ops.Tensor
	maskSteps       [4]int // along the axes of the scores
	masked          int    // the number of keys in the mask
	lengths         []int64
	rows, perHead   int // rows of a block, and blocks of a head of K

	mutex sync.Mutex // of idle
	idle  []*attentionBlock[T]
}

func attend[T floating](ctx *ops.Context, k *attention, s *attentionSizes, in, out []*ops.Tensor) error {
	r := &attentionRun[T]{
		k: k, batch: s.batch.Size, queries: s.queries.Size, heads: s.heads.Size, length: s.length.Size, total: s.total().Size,
		past: s.past.Size, size: s.size.Size, valueSize: s.valueSize.Size, scale: k.scale,
	}
	if math.IsNaN(r.scale) {
		r.scale = 1 / math.Sqrt(float64(r.size))
	}
	t := temporary{ctx: ctx}
	rank := len(in[queryInput].Shape())
	r.q = newHeaded(floatsOf[T](&t, in[queryInput]), rank, r.queries, r.length, r.size)
	y, _ := ops.Data[T](out[0])
	r.y = newHeaded(y, rank, r.queries, r.length, r.valueSize)
	r.keys = r.withPast(&t, in[keyInput], inputAt(in, pastKeyInput), inputAt(out, 1), r.size)
	r.values = r.withPast(&t, in[valueInput], inputAt(in, pastValueInput), inputAt(out, 2), r.valueSize)
	if len(out) > 3 {
		r.scores, _ = ops.Data[T](out[3])
	}
	if t.err != nil {
		return t.err
	}
	if err := r.setMask(inputAt(in, maskInput), inputAt(in, lengthsInput)); err != nil {
		return err
	}
	if r.batch*r.queries*r.length == 0 {
		return nil
	}
	// The blocks are small enough for the scores of one to stay in a cache, and large enough
	// for fast products.
	group := r.queries / r.heads * r.length
	r.rows = min(group, max(8, min(64, 1<<18/max(1, r.total))))
	r.perHead = (group + r.rows - 1) / r.rows
	steps := r.rows * (r.total*(r.size+r.valueSize+16) + 1)
	return ctx.For(r.batch*r.heads*r.perHead, max(1, grain/steps), func(lo, hi int) error {
		b, err := r.takeBlock(ctx)
		if err != nil {
			return err
		}
		defer r.giveBack(b)
		for ; lo < hi; lo++ {
			if err := b.run(lo); err != nil {
				return err
			}
		}
		return nil
	})
}

// floatsOf returns the elements of a tensor. The slice may be the tensor's own memory, so it
// must not be modified.
func floatsOf[T floating](t *temporary, x *ops.Tensor) []T {
	if v, ok := ops.Data[T](x); ok || t.err != nil {
		return v
	}
	v := bufferOf[T](t, x.Len())
	if t.err != nil {
		return nil
	}
	out, err := ops.NewTensor(x.Shape(), v)
	if err == nil {
		err = convertElements(t.ctx, out, x)
	}
	t.err = err
	return v
}

// withPast returns K or V with its past in front, and stores it in present. Either of past and
// present may be nil.
func (r *attentionRun[T]) withPast(t *temporary, x, past, present *ops.Tensor, size int) headed[T] {
	now := r.total - r.past
	if past == nil && present == nil {
		return newHeaded(floatsOf[T](t, x), len(x.Shape()), r.heads, now, size)
	}
	if t.err == nil && present == nil {
		present, t.err = temporaryTensor(t.ctx, x.DType(), []int{r.batch, r.heads, r.total, size})
	}
	if t.err == nil {
		if x.DType() == ops.Float64 {
			t.err = joinHeads[float64](t.ctx, present, past, x, r.heads, size)
		} else {
			t.err = joinHeads[float32](t.ctx, present, past, x, r.heads, size)
		}
	}
	if t.err != nil {
		return headed[T]{}
	}
	return newHeaded(floatsOf[T](t, present), 4, r.heads, r.total, size)
}

// joinHeads stores past, which may be nil, and x in out, all in the order of the heads.
func joinHeads[T floating](ctx *ops.Context, out, past, x *ops.Tensor, heads, size int) error {
	total, before := out.Shape()[2], 0
	to, _ := ops.Data[T](out)
	from, _ := ops.Data[T](x)
	var old []T
	if past != nil {
		before = past.Shape()[2]
		old, _ = ops.Data[T](past)
	}
	source := newHeaded(from, len(x.Shape()), heads, total-before, size)
	return ctx.For(out.Shape()[0]*heads, max(1, grain/max(1, total*size)), func(lo, hi int) error {
		watching := cancelCheck{ctx: ctx}
		for plane := lo; plane < hi; plane++ {
			dst := to[plane*total*size:][:total*size]
			for i := 0; i < before*size; i += stepsPerCheck {
				copy(dst[i:min(i+stepsPerCheck, before*size)], old[plane*before*size+i:])
				if err := watching.after(stepsPerCheck); err != nil {
					return err
				}
			}
			for i := before; i < total && size > 0; i++ {
				copy(dst[i*size:][:size], source.from(plane/heads, plane%heads, i-before))
				if err := watching.after(1 + size); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// setMask reads the mask and nonpad_kv_seqlen; both may be nil.
func (r *attentionRun[T]) setMask(mask, lengths *ops.Tensor) error {
	r.masked = r.total
	if mask != nil {
		r.mask = mask
		shape := mask.Shape()
		copy(r.maskSteps[:], broadcastStrides(shape, 4))
		if n := len(shape); n > 0 && (shape[n-1] != 1 || r.k.opset >= 24) {
			r.masked = shape[n-1]
		}
	}
	if lengths != nil {
		r.lengths = lengths.Int64s()
		for i, n := range r.lengths {
			if n < 0 || n > int64(r.total) {
				return fmt.Errorf("%w: nonpad_kv_seqlen[%d] is %d, but there are %d keys", ops.ErrValue, i, n, r.total)
			}
		}
	}
	return nil
}

// visible returns the range of keys that a query may see according to everything but the
// elements of the mask.
func (r *attentionRun[T]) visible(entry, query int) (lo, hi int) {
	hi = r.masked
	place := query + r.past
	if r.lengths != nil {
		n := int(r.lengths[entry])
		hi = min(hi, n)
		place = query + n - r.length
	}
	if r.k.causal {
		hi = min(hi, place+1)
	}
	if r.k.right >= 0 {
		hi = min(hi, place+r.k.right+1)
	}
	if r.k.left >= 0 {
		lo = max(lo, place-r.k.left)
	}
	return lo, max(lo, hi)
}

// attentionBlock computes blocks of queries of one head of K. The memory is that of one
// goroutine.
type attentionBlock[T floating] struct {
	*attentionRun[T]
	ctx       *ops.Context
	q         []T // (rows, size), times the scale
	weights   []T // (rows, keys): the scores and then the exponentials
	y         []T // (rows, valueSize)
	mask      []float64
	watching  cancelCheck
	first     int // the first key of the block
	keys      int // and their number
	exclusion T
}

// takeBlock returns memory for a goroutine, which an earlier part of the loop may have used.
func (r *attentionRun[T]) takeBlock(ctx *ops.Context) (*attentionBlock[T], error) {
	r.mutex.Lock()
	if last := len(r.idle) - 1; last >= 0 {
		b := r.idle[last]
		r.idle = r.idle[:last]
		r.mutex.Unlock()
		return b, nil
	}
	r.mutex.Unlock()
	t := temporary{ctx: ctx}
	b := &attentionBlock[T]{attentionRun: r, ctx: ctx, watching: cancelCheck{ctx: ctx}, exclusion: T(math.Inf(-1))}
	b.q, b.y = bufferOf[T](&t, r.rows*r.size), bufferOf[T](&t, r.rows*r.valueSize)
	b.weights = bufferOf[T](&t, r.rows*r.total)
	if r.mask != nil {
		b.mask = bufferOf[float64](&t, min(r.total, stepsPerCheck))
	}
	return b, t.err
}

// giveBack lets other parts of the loop use the memory of a block.
func (r *attentionRun[T]) giveBack(b *attentionBlock[T]) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.idle = append(r.idle, b)
}

// run computes block number n. Its rows belong to the heads of Q that share a head of K.
func (b *attentionBlock[T]) run(n int) error {
	entry, head, start := n/b.perHead/b.heads, n/b.perHead%b.heads, n%b.perHead*b.rows
	group := b.queries / b.heads
	rows := min(b.rows, group*b.length-start)
	place := func(row int) (query, position int) {
		return head*group + (start+row)/b.length, (start + row) % b.length
	}
	b.first, b.keys = b.total, 0
	last := 0
	for row := range rows {
		query, position := place(row)
		from := b.attentionRun.q.from(entry, query, position)[:b.size]
		for i, v := range from {
			b.q[row*b.size+i] = T(float64(v) * b.scale)
		}
		if lo, hi := b.visible(entry, position); lo < hi {
			b.first, last = min(b.first, lo), max(last, hi)
		}
	}
	if b.scores != nil {
		b.first, last = 0, b.total
	}
	b.keys = max(0, last-b.first)
	if b.keys > 0 {
		queries := matrix[T]{b.q, b.size, false}
		keys := matrix[T]{b.attentionRun.keys.from(entry, head, b.first), b.attentionRun.keys.step, true}
		if err := products(b.ctx, b.weights[:rows*b.keys], queries, keys, rows, b.keys, b.size); err != nil {
			return err
		}
	}
	var factors [64]float64
	for row := range rows {
		query, position := place(row)
		var err error
		if factors[row], err = b.softmax(b.weights[row*b.keys:][:b.keys], entry, query, position); err != nil {
			return err
		}
	}
	if b.keys > 0 {
		weights := matrix[T]{b.weights, b.keys, false}
		values := matrix[T]{b.values.from(entry, head, b.first), b.values.step, false}
		if err := products(b.ctx, b.y[:rows*b.valueSize], weights, values, rows, b.valueSize, b.keys); err != nil {
			return err
		}
	}
	for row := range rows {
		query, position := place(row)
		to := b.attentionRun.y.from(entry, query, position)[:b.valueSize]
		if factors[row] == 0 || b.keys == 0 {
			clear(to)
			continue
		}
		for i, v := range b.y[row*b.valueSize:][:b.valueSize] {
			to[i] = T(float64(v) * factors[row])
		}
	}
	return nil
}

// products computes the product C of A (m, k) and B (k, n).
func products[T floating](ctx *ops.Context, c []T, a, b matrix[T], m, n, k int) error {
	if k == 0 {
		clear(c)
		return nil
	}
	return multiply(ctx, c, a, b, 0, m, n, k)
}

// softmax replaces the scores of a query by exponentials. It returns the factor to multiply
// them with, which is 0 if all keys are excluded.
func (b *attentionBlock[T]) softmax(w []T, entry, query, position int) (factor float64, err error) {
	lo, hi := b.visible(entry, position)
	lo, hi = min(max(0, lo-b.first), len(w)), min(max(0, hi-b.first), len(w))
	var scores []T
	if b.scores != nil {
		scores = b.scores[((entry*b.queries+query)*b.length+position)*b.total:][:b.total]
	}
	top := b.exclusion
	maskAt := entry*b.maskSteps[0] + query*b.maskSteps[1] + position*b.maskSteps[2]
	err = inPieces(b.ctx, len(w), func(from, to int) {
		piece := w[from:to]
		b.keep(rawScores, scores, from, piece)
		if c := b.k.softcap; c > 0 {
			for i, s := range piece {
				piece[i] = T(c * portmath.Tanh(float64(s)/c))
			}
		}
		b.keep(cappedScores, scores, from, piece)
		for i := from; i < min(lo, to); i++ {
			w[i] = b.exclusion
		}
		for i := max(from, hi); i < to; i++ {
			w[i] = b.exclusion
		}
		if from, to := max(from, lo), min(to, hi); from < to {
			part := w[from:to]
			if b.attentionRun.mask != nil {
				b.addMask(part, maskAt+(b.first+from)*b.maskSteps[3])
			}
			top = largestOf(top, part)
		}
		b.keep(maskedScores, scores, from, piece)
	})
	if err != nil {
		return 0, err
	}
	if top == b.exclusion {
		clear(w)
		b.keep(probabilities, scores, 0, w)
		return 0, b.watching.after(len(w))
	}
	clear(w[:lo])
	clear(w[hi:])
	var total float64
	err = inPieces(b.ctx, hi-lo, func(from, to int) {
		total += toExponentials(w[lo+from:lo+to], top)
	})
	if err != nil {
		return 0, err
	}
	factor = 1 / total
	if scores != nil && b.k.mode == probabilities {
		err = inPieces(b.ctx, len(w), func(from, to int) {
			for i, e := range w[from:to] {
				scores[from+i] = T(float64(e) * factor)
			}
		})
		if err != nil {
			return 0, err
		}
	}
	return factor, b.watching.after(16 * len(w))
}

// largestOf returns the largest of top and the numbers of v, or NaN if one of them is NaN.
func largestOf[T floating](top T, v []T) T {
	if single, ok := any(v).([]float32); ok {
		return T(kernel.Largest(single, float32(top)))
	}
	for _, s := range v {
		if !(s <= top) {
			if s != s {
				return s
			}
			top = s
		}
	}
	return top
}

// toExponentials replaces the numbers of v by exp(number - top) and returns the sum of them.
func toExponentials[T floating](v []T, top T) (sum float64) {
	if single, ok := any(v).([]float32); ok {
		for ; len(single) > kernel.ShortRow; single = single[kernel.ShortRow:] {
			sum += float64(kernel.ExpSum(single[:kernel.ShortRow], single, float32(top)))
		}
		sum += float64(kernel.ExpSum(single, single, float32(top)))
		return sum
	}
	for i, s := range v {
		e := portmath.Exp(float64(s) - float64(top))
		v[i] = T(e)
		sum += e
	}
	return sum
}

// keep copies scores to the output if the mode of the node asks for them.
func (b *attentionBlock[T]) keep(mode attentionMode, scores []T, from int, piece []T) {
	if scores != nil && b.k.mode == mode {
		copy(scores[from:], piece)
	}
}

// addMask adds the elements of the mask from a place on to scores. Excluded keys get the score
// -infinity, even if their score is not a number.
func (b *attentionBlock[T]) addMask(scores []T, at int) {
	mask := b.mask[:len(scores)]
	load(mask, b.attentionRun.mask, at, b.maskSteps[3])
	if b.attentionRun.mask.DType() == ops.Bool {
		for i, m := range mask {
			if m == 0 {
				scores[i] = b.exclusion
			}
		}
		return
	}
	for i, m := range mask {
		if math.IsInf(m, -1) {
			scores[i] = b.exclusion
		} else {
			scores[i] += T(m)
		}
	}
}
