package kernel

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// report reports the time per spike, in nanoseconds and in processor cycles.
func report(b *testing.B, spikes int) {
	ns := float64(b.Elapsed().Nanoseconds()) / float64(b.N) / float64(spikes)
	b.ReportMetric(ns, "ns/spike")
	b.ReportMetric(ns*cyclesPerNanosecond(), "cycles/spike")
}

var sink uint64

// cyclesPerNanosecond measures the current clock rate with a chain of dependent
// additions and exclusive ors, which take one cycle each. It takes the fastest of
// several runs, which was most likely not interrupted.
func cyclesPerNanosecond() float64 {
	const runs, rounds, cycles = 20, 2000, 16
	x, y, z := sink|1, sink|3, sink|5
	best := time.Duration(1 << 62)
	for range runs {
		start := time.Now()
		for range rounds {
			x = x + y ^ z
			x = x + y ^ z
			x = x + y ^ z
			x = x + y ^ z
			x = x + y ^ z
			x = x + y ^ z
			x = x + y ^ z
			x = x + y ^ z
		}
		best = min(best, time.Since(start))
	}
	sink = x
	return rounds * cycles / float64(best.Nanoseconds())
}

// BenchmarkUpdate measures the update without drawing: all groups get the same chunk
// of spikes.
func BenchmarkUpdate(b *testing.B) {
	for _, tier := range Tiers() {
		for _, kind := range []struct {
			name     string
			schedule Schedule
		}{
			{"fast", Schedule{}},
			{"general", Schedule{Places: 25, MaxEpsXY: 1}},
			{"forgetting", Schedule{Forgetting: 0.1}},
		} {
			for _, n := range []int{10, 16, 32, 64, 96, 128, 512} {
				b.Run(fmt.Sprintf("%v/%s/n=%d", tier, kind.name, n), func(b *testing.B) {
					defer Use(tier)()
					const k = 25
					r := rand.New(rand.NewPCG(1, 1))
					kind.schedule.Eps = constants(chunk, 0.1)
					l := newLayer(uniform(r, k*n), n, kind.schedule)
					s := l.NewScratch()
					for g := range l.Positions() {
						spikes := make([]int32, chunk)
						for i := range spikes {
							spikes[i] = int32(r.IntN(k))
						}
						s.Give(g, spikes, constants(kind.schedule.Places, 1))
					}
					s.live = l.Positions()
					s.fill(0, l.spikes, l.Positions())
					for b.Loop() {
						copy(s.h, l.initial) // after many runs h would be subnormal, which is slow
						for _, r := range l.runs {
							s.apply(r)
						}
					}
					report(b, chunk*l.Positions())
				})
			}
		}
	}
}

// BenchmarkSample measures the drawing of a chunk of spikes.
func BenchmarkSample(b *testing.B) {
	for _, tier := range Tiers() {
		for _, k := range []int{25, 50, 96, 288, 800, 2000} {
			b.Run(fmt.Sprintf("%v/k=%d", tier, k), func(b *testing.B) {
				defer Use(tier)()
				l := newLayer(constants(k, 1), 1, Schedule{Eps: constants(chunk, 1)})
				s := l.NewScratch()
				sums := make([]float32, l.SumsLen())
				cumulate(sums, uniform(rand.New(rand.NewPCG(1, 1)), k))
				s.Draw(0, sums, 1, nil)
				for b.Loop() {
					l.up.sample(l, s, 0, 1, 0, 1)
				}
				report(b, chunk)
			})
		}
	}
}

func constants(n int, v float32) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = v
	}
	return x
}

func uniform(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = 0.01 + r.Float32()
	}
	return x
}

// BenchmarkLayer measures groups of positions with thresholds, drawing and update.
func BenchmarkLayer(b *testing.B) {
	for _, tier := range Tiers() {
		for _, size := range []struct{ k, n int }{{25, 32}, {800, 64}, {576, 96}, {96, 10}} {
			b.Run(fmt.Sprintf("%v/k=%d/n=%d", tier, size.k, size.n), func(b *testing.B) {
				defer Use(tier)()
				r := rand.New(rand.NewPCG(1, 1))
				weights, sums := make([]float32, size.k*size.n), make([]float32, size.k)
				for i := range weights {
					weights[i] = 0.01 + r.Float32()
				}
				cumulate(sums, constants(size.k, 1))
				const spikes = 1600
				eps := make([]float32, spikes)
				for i := range eps {
					eps[i] = 0.1
				}
				l := newLayer(weights, size.n, Schedule{Eps: eps})
				sums = append(sums, make([]float32, l.SumsLen()-size.k)...)
				s := l.NewScratch()
				for b.Loop() {
					for g := range l.Positions() {
						s.Draw(g, sums, uint64(g), nil)
					}
					_ = s.Run(context.Background(), l.Positions())
				}
				report(b, spikes*l.Positions())
			})
		}
	}
}

// BenchmarkParts measures the parts of a layer with few spikes, for the first two SbS layers
// of the MNIST network: cycles per entry of a patch for the tables of DrawRow, per spike for
// drawing and updating, and per number for storing and pooling.
func BenchmarkParts(b *testing.B) {
	for _, tier := range Tiers() {
		for _, z := range []struct{ k, n, spikes, width, channels int }{{25, 32, 25, 24, 1}, {800, 64, 100, 10, 32}} {
			benchmarkParts(b, tier, z.k, z.n, z.spikes, z.width, z.channels)
		}
	}
}

// benchmarkParts measures a layer with windows of 5 x 5 pixels in square images.
func benchmarkParts(b *testing.B, tier Tier, k, n, spikes, width, channels int) {
	defer Use(tier)()
	r := rand.New(rand.NewPCG(1, 1))
	l := newLayer(uniform(r, k*n), n, Schedule{Eps: constants(spikes, 0.3), LowDiscrepancy: true})
	s, group := l.NewScratch(), l.Positions()
	x := uniform(r, width*width*channels)
	offsets := make([]int32, 0, roundUp(k, RowLen))
	for c := range channels {
		for i := range 25 {
			offsets = append(offsets, int32((c*width+i/5)*width+i%5))
		}
	}
	side := width - 4
	draw := func() {
		if l.RowPositions() == 0 {
			sums := make([]float32, l.SumsLen())
			for g := range group {
				CumulateAt(sums, x[g/side*width+g%side:], offsets)
				s.Draw(g, sums, uint64(g), nil)
			}
			return
		}
		keys := make([]uint64, RowLen)
		for g := 0; g < group; {
			end := min(group, g+l.RowPositions())
			var spans []Span
			for at := g; at < end && len(spans) < MaxSpans; {
				p := Span{at/side*width + at%side, min(side-at%side, end-at)}
				spans, at = append(spans, p), at+p.N
			}
			s.DrawRow(g, x, spans, offsets[:cap(offsets)], keys[:end-g], nil)
			g = end
		}
	}
	part := func(name, unit string, count int, f func()) {
		b.Run(fmt.Sprintf("%v/k=%d/%s", tier, k, name), func(b *testing.B) {
			for b.Loop() {
				f()
			}
			ns := float64(b.Elapsed().Nanoseconds()) / float64(b.N) / float64(count)
			b.ReportMetric(ns*cyclesPerNanosecond(), "cycles/"+unit)
			b.ReportMetric(0, "ns/op")
		})
	}
	draw()
	s.live = group
	part("tables", "entry", k*group, draw)
	part("sample", "spike", spikes*group, func() { s.fill(0, l.spikes, group) })
	part("update", "spike", spikes*group, func() {
		copy(s.h, l.initial)
		for _, r := range l.runs {
			s.apply(r)
		}
	})
	h := make([]float32, n*side*side)
	part("store", "number", n*group, func() { s.Store(h, side*side, 0, group) })
	pooled := make([]float32, n*side/2*side/2)
	part("pool", "number", len(h), func() { MeanPool2(pooled, h, n*side/2, side/2, side) })
}
