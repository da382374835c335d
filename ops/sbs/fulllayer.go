package sbs

import (
	"fmt"
	"math"

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
	spaces parallel.Spares[*imageSpikes]
}

// drawImages sets r.drawn to the spikes of all images, (B, S): indices of entries of the image,
// or noSpike for all spikes of an image that is all zero.
func (r *run) drawImages() error {
	n := r.batch * len(r.eps)
	if err := r.ctx.Reserve(4 * int64(n)); err != nil {
		return err
	}
	if len(r.drawn) != n {
		r.drawn = make([]int32, n)
	}
	if r.draw.run == nil {
		r.draw.run, r.draw.spaces.New = r, func() *imageSpikes { return newImageSpikes(r.values()) }
	}
	return r.ctx.Do(r.batch, 1, &r.draw)
}

// values returns the number of values of an image.
func (g *geometry) values() int { return g.channels * g.height * g.width }

// Part implements parallel.Loop.
func (l *drawLoop) Part(lo, hi int) error {
	r := l.run
	bytes := imageSpikesBytes(r.values())
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
func (r *run) drawImage(s *imageSpikes, b int, spikes []int32) error {
	total, err := s.start(r.ctx, r.x[b*r.values():][:r.values()], b, &r.injected)
	if err != nil {
		return err
	}
	for first := 0; first < len(spikes); first += checkGrain {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		part := spikes[first:min(first+checkGrain, len(spikes))]
		if total == 0 {
			for t := range part {
				part[t] = noSpike
			}
			continue
		}
		if err := s.draw(r.ctx, part, b, first, &r.injected, r.key(b, 0), r.Sampler == LowDiscrepancy); err != nil {
			return err
		}
	}
	return nil
}

// findSight sets r.sight, unless it is known from the last run.
func (r *run) findSight() error {
	if r.batch == 0 {
		return nil // X has no memory, so that an image may have any size
	}
	if err := checkImageSize(r.values()); err != nil {
		return err
	}
	if r.positions > math.MaxInt32 {
		return fmt.Errorf("%w: an image has %d output positions, more than %d", ops.ErrShape, r.positions, math.MaxInt32)
	}
	if err := r.ctx.Reserve(r.geometry.sightBytes()); err != nil {
		return err
	}
	if r.sight.seen != nil {
		return nil
	}
	var err error
	r.sight, err = r.geometry.sight(r.ctx)
	return err
}

// positionSpikes holds the spikes that some output positions of a full layer see: rows of W.
type positionSpikes struct {
	first, end int     // the pairs of these positions
	bytes      int64   // of reserved memory
	next       []int32 // for each of them, the end of its spikes in rows; the next one begins there
	rows       []int32

	counts []int32 // spikes of each entry of an image
	spans  []span
	work   int // steps since the last check of the context
}

// of returns the spikes of a pair.
func (p *positionSpikes) of(pair int) []int32 {
	i, from := pair-p.first, int32(0)
	if i > 0 {
		from = p.next[i-1]
	}
	return p.rows[from:p.next[i]]
}

// maxAssigned is the number of spikes after which no further group of positions gets its spikes.
const maxAssigned = 1 << 20

// reserve reserves more memory until the end of the Part.
func (r *run) reserve(p *positionSpikes, bytes int64) error {
	if err := r.ctx.Reserve(bytes); err != nil {
		return err
	}
	p.bytes += bytes
	return nil
}

// assignSpikes assigns the spikes of the images to the positions of the pairs first to end-1 that
// see them, or to those of fewer groups if they have many spikes.
func (r *run) assignSpikes(p *positionSpikes, first, end int) error {
	r.ctx.Release(p.bytes)
	p.bytes = 0
	if err := r.reserve(p, 4*(int64(end-first)+int64(r.values()))); err != nil {
		return err
	}
	if cap(p.next) < end-first {
		p.next = make([]int32, end-first)
	}
	if len(p.counts) != r.values() {
		p.counts = make([]int32, r.values())
	}
	p.next = p.next[:end-first]
	clear(p.next)
	if err := r.countSpikes(p, first, end); err != nil {
		return err
	}
	total, size := int32(0), r.kernel.Positions()
	for i, n := range p.next {
		if i > 0 && i%size == 0 && total >= maxAssigned {
			end = first + i
			break
		}
		p.next[i] = total // where the spikes of the pair start
		total += n
	}
	if err := r.reserve(p, 4*int64(total)); err != nil {
		return err
	}
	if cap(p.rows) < int(total) {
		p.rows = make([]int32, total)
	}
	p.first, p.end, p.next, p.rows = first, end, p.next[:end-first], p.rows[:total]
	return r.writeSpikes(p)
}

// find sets p.spans to the positions lo to hi-1 that see an entry of an image. It counts the
// positions as work, and checks the context after some work.
func (r *run) find(p *positionSpikes, entry int32, lo, hi int) error {
	p.spans = r.sight.spans(p.spans[:0], entry, lo, hi)
	p.work++
	for _, s := range p.spans {
		p.work += 1 + s.n
	}
	if p.work < checkGrain {
		return nil
	}
	p.work = 0
	return r.ctx.Err()
}

// countSpikes adds the numbers of spikes of the pairs first to end-1 to p.next.
func (r *run) countSpikes(p *positionSpikes, first, end int) error {
	return r.eachImage(first, end, func(b, lo, hi, origin int) error {
		if err := inParts(r.ctx, len(p.counts), func(lo, hi int) { clear(p.counts[lo:hi]) }); err != nil {
			return err
		}
		spikes := r.spikesOfImage(b)
		if err := inParts(r.ctx, len(spikes), func(lo, hi int) {
			for _, spike := range spikes[lo:hi] {
				p.counts[spike]++
			}
		}); err != nil {
			return err
		}
		for entry, n := range p.counts {
			if entry%checkGrain == 0 && r.ctx.Err() != nil {
				return r.ctx.Err()
			}
			if n == 0 {
				continue
			}
			if err := r.find(p, int32(entry), lo, hi); err != nil {
				return err
			}
			for _, s := range p.spans {
				for range s.n {
					p.next[origin+s.pos] += n
					s.pos += r.sight.right
				}
			}
		}
		return nil
	})
}

// writeSpikes sets p.rows. It moves p.next from the start of the spikes of each pair to their end.
func (r *run) writeSpikes(p *positionSpikes) error {
	rows, right, left := p.rows, r.sight.right, r.sight.left
	return r.eachImage(p.first, p.end, func(b, lo, hi, origin int) error {
		for _, spike := range r.spikesOfImage(b) {
			if err := r.find(p, spike, lo, hi); err != nil {
				return err
			}
			for _, s := range p.spans {
				i, k := origin+s.pos, s.k
				for range s.n {
					at := p.next[i]
					rows[at] = k
					p.next[i] = at + 1
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

// giveAssigned prepares n positions from pair first on, as positions g and up of the group, with
// the spikes that they see.
func (r *run) giveAssigned(w *workspace, first, g, n int) {
	for i := range n {
		_, pos := r.pair(first + i)
		w.dead[g+i] = false
		w.scratch.Give(g+i, w.spikes.of(first+i), r.epsXY[pos*r.epsPlaces:][:r.epsPlaces])
	}
}

// assignedSpikesOf is spikesOf for a full layer.
func (r *run) assignedSpikesOf(b int, out []int64) error {
	if err := inParts(r.ctx, len(out), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			out[i] = noSpike
		}
	}); err != nil {
		return err
	}
	var p positionSpikes
	for t, spike := range r.spikesOfImage(b) {
		if err := r.find(&p, spike, 0, r.positions); err != nil {
			return err
		}
		for _, s := range p.spans {
			for range s.n {
				out[t*r.positions+s.pos] = int64(s.k)
				s.pos += r.sight.right
				s.k -= r.sight.left
			}
		}
	}
	return nil
}
