package sbs

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
)

func fullLayerOperator() ops.Operator {
	o := Operator()
	o.Name = OpFullLayer
	o.New = func(n ops.Node) (ops.Op, error) {
		p, err := ParamsOf(n.Attributes)
		if err != nil {
			return nil, err
		}
		return newLayer(p, true), nil
	}
	return o
}

// drawLoop is a parallel.Loop over the images of a run: it draws the spikes of each image from
// all its entries.
type drawLoop struct {
	run    *run
	spaces parallel.Spares[*drawSpace]
}

// drawSpace is the temporary memory of one worker.
type drawSpace struct {
	sums    []float32 // cumulative sums of an image
	sampler *kernel.Sampler
}

// drawImages sets r.drawn to the spikes of all images, (B, S): indices of entries of the image,
// or noSpike for all spikes of an image that is all zero.
func (r *run) drawImages() error {
	if n := r.channels * r.height * r.width; n > math.MaxInt32 {
		return fmt.Errorf("an image of X with %d values has more than %d", n, math.MaxInt32)
	}
	n := r.batch * len(r.eps)
	if err := r.ctx.Reserve(4*int64(n) + 16*int64(len(r.sight.seen))); err != nil {
		return err
	}
	if len(r.drawn) != n {
		r.drawn = make([]int32, n)
	}
	if r.draw.run == nil {
		r.draw.run, r.draw.spaces.New = r, func() *drawSpace {
			n := r.channels * r.height * r.width
			return &drawSpace{sums: make([]float32, n), sampler: kernel.NewSampler(n)}
		}
	}
	return r.ctx.Do(r.batch, 1, &r.draw)
}

// Part implements parallel.Loop.
func (l *drawLoop) Part(lo, hi int) error {
	r := l.run
	bytes := 16 * int64(r.channels*r.height*r.width) // sums, thresholds and a table of up to four times their size
	if err := r.ctx.Reserve(bytes); err != nil {
		return err
	}
	defer r.ctx.Release(bytes)
	s := l.spaces.Get()
	defer l.spaces.Put(s)
	for b := lo; b < hi; b++ {
		if err := r.drawImage(s, b, r.drawn[b*len(r.eps):][:len(r.eps)]); err != nil {
			return err
		}
	}
	return nil
}

// drawImage sets spikes to the first spikes of image b.
func (r *run) drawImage(s *drawSpace, b int, spikes []int32) error {
	// An image has many more entries than a patch, so the sums are added in float64. PyTorch does
	// the same.
	var exact float64
	first := -1 // the first entry that is not 0
	for i, v := range r.x[b*len(s.sums):][:len(s.sums)] {
		if v > 0 && first < 0 {
			first = i
		}
		exact += float64(v)
		s.sums[i] = float32(exact)
	}
	switch total := float32(exact); {
	case !(total <= math.MaxFloat32):
		return fmt.Errorf("%w: X: the sum over image %d is too large for float32", ops.ErrValue, b)
	case total == 0:
		for t := range spikes {
			spikes[t] = noSpike
		}
		return nil
	case r.given != nil || r.uniforms != nil:
		if err := r.givenSpikes(spikes, s.sums, b, 0); err != nil {
			return err
		}
	default:
		s.sampler.Prepare(s.sums)
		for lo := 0; lo < len(spikes); lo += checkGrain {
			if err := r.ctx.Err(); err != nil {
				return err
			}
			s.sampler.Draw(spikes[lo:min(lo+checkGrain, len(spikes))], lo, r.key(b, 0), r.Sampler == LowDiscrepancy)
		}
	}
	if r.given == nil {
		// A random number of 0 selects the first entry of the image, even if it is 0.
		for t, i := range spikes {
			spikes[t] = max(i, int32(first))
		}
	}
	return nil
}

// handed holds the spikes that some output positions of a full layer are handed: rows of W.
type handed struct {
	first, end int     // the pairs of these positions
	bytes      int64   // of reserved memory
	next       []int32 // for each of them, the end of its spikes in rows; the next one begins there
	rows       []int32

	counts []int32 // spikes of each entry of an image
	spans  []span
}

// of returns the spikes of a pair.
func (h *handed) of(pair int) []int32 {
	i, from := pair-h.first, int32(0)
	if i > 0 {
		from = h.next[i-1]
	}
	return h.rows[from:h.next[i]]
}

// maxHanded is the number of spikes after which no further group of positions is handed its
// spikes.
const maxHanded = 1 << 20

// handOut hands the spikes of the images to the positions of the pairs first to end-1, or to
// those of fewer groups if they have many spikes.
func (r *run) handOut(h *handed, first, end int) error {
	values := r.channels * r.height * r.width
	if cap(h.next) < end-first {
		h.next = make([]int32, end-first)
	}
	if len(h.counts) != values {
		h.counts = make([]int32, values)
	}
	h.next = h.next[:end-first]
	clear(h.next)
	if err := r.countHanded(h, first, end); err != nil {
		return err
	}
	total, size := int32(0), r.kernel.Positions()
	for i, n := range h.next {
		if i > 0 && i%size == 0 && total >= maxHanded {
			end = first + i
			break
		}
		h.next[i] = total // where the spikes of the pair begin
		total += n
	}
	r.ctx.Release(h.bytes)
	h.bytes = 4 * (int64(total) + int64(len(h.next)) + int64(values))
	if err := r.ctx.Reserve(h.bytes); err != nil {
		h.bytes = 0
		return err
	}
	if cap(h.rows) < int(total) {
		h.rows = make([]int32, total)
	}
	h.first, h.end, h.next, h.rows = first, end, h.next[:end-first], h.rows[:total]
	return r.writeHanded(h)
}

// countHanded adds the numbers of spikes of the pairs first to end-1 to h.next.
func (r *run) countHanded(h *handed, first, end int) error {
	return r.eachImage(first, end, func(b, lo, hi, origin int) error {
		clear(h.counts)
		for t, spike := range r.spikesOfImage(b) {
			if t%checkGrain == 0 && r.ctx.Err() != nil {
				return r.ctx.Err()
			}
			h.counts[spike]++
		}
		for entry, n := range h.counts {
			if n == 0 {
				continue
			}
			h.spans = r.sight.spans(h.spans[:0], int32(entry), lo, hi)
			for _, s := range h.spans {
				for range s.n {
					h.next[origin+s.pos] += n
					s.pos += r.sight.right
				}
			}
		}
		return nil
	})
}

// writeHanded sets h.rows. It moves h.next from the begin of the spikes of each pair to their end.
func (r *run) writeHanded(h *handed) error {
	rows, right, left := h.rows, r.sight.right, r.sight.left
	return r.eachImage(h.first, h.end, func(b, lo, hi, origin int) error {
		for t, spike := range r.spikesOfImage(b) {
			if t%checkGrain == 0 && r.ctx.Err() != nil {
				return r.ctx.Err()
			}
			h.spans = r.sight.spans(h.spans[:0], spike, lo, hi)
			for _, s := range h.spans {
				i, k := origin+s.pos, s.k
				for range s.n {
					at := h.next[i]
					rows[at] = k
					h.next[i] = at + 1
					i += right
					k -= left
				}
			}
		}
		return nil
	})
}

// eachImage calls f for the images of the pairs first to end-1: with the index of the image, its
// positions lo to hi-1 that belong to the pairs, and the index of position 0 among the pairs, which
// may be negative.
func (r *run) eachImage(first, end int, f func(b, lo, hi, origin int) error) error {
	for b := first / r.positions; b*r.positions < end; b++ {
		origin := b*r.positions - first
		if err := f(b, max(0, -origin), min(r.positions, end-b*r.positions), origin); err != nil {
			return err
		}
	}
	return nil
}

// spikesOfImage returns the spikes of an image: none if it is all zero.
func (r *run) spikesOfImage(b int) []int32 {
	spikes := r.drawn[b*len(r.eps):][:len(r.eps)]
	if spikes[0] == noSpike {
		return nil
	}
	return spikes
}

// giveHanded prepares n positions from pair first on, as positions g and up of the group, with
// the spikes that they are handed.
func (r *run) giveHanded(w *workspace, first, g, n int) {
	for i := range n {
		_, pos := r.pair(first + i)
		w.dead[g+i] = false
		w.scratch.Give(g+i, w.handed.of(first+i), r.epsXY[pos*r.epsPlaces:][:r.epsPlaces])
	}
}

// handedSpikesOf is spikesOf for a full layer.
func (r *run) handedSpikesOf(b int, out []int64) error {
	for i := range out {
		out[i] = noSpike
	}
	var spans []span
	for t, spike := range r.spikesOfImage(b) {
		if t%checkGrain == 0 && r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		spans = r.sight.spans(spans[:0], spike, 0, r.positions)
		for _, s := range spans {
			for range s.n {
				out[t*r.positions+s.pos] = int64(s.k)
				s.pos += r.sight.right
				s.k -= r.sight.left
			}
		}
	}
	return nil
}
