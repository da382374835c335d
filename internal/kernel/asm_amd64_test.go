//go:build amd64 && !purego

package kernel

import (
	"fmt"
	"testing"
)

// BenchmarkAssembly is the assembly alone.
func BenchmarkAssembly(b *testing.B) {
	for _, tier := range Tiers()[1:] {
		b.Run(tier.String(), func(b *testing.B) {
			defer Use(tier)()
			for _, n := range []int{16, 32, 48, 64, 80, 96} {
				l := NewLayer(ones(25*n), n, Schedule{Eps: ones(chunk)})
				s := l.NewScratch()
				for i := range s.offsets {
					s.offsets[i] = uint32(i*7%25) * uint32(4*l.width)
				}
				r := steps{n: chunk, num: make([]float32, chunk), inverse: 1}
				b.Run(fmt.Sprintf("update/n=%d", n), func(b *testing.B) {
					for b.Loop() {
						l.up.fast(l, s, r)
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*chunk*l.Positions()), "ns/spike")
				})
			}
			for _, k := range []int{25, 96, 576, 800} {
				l := NewLayer(ones(k*16), 16, Schedule{Eps: ones(chunk)})
				s := l.NewScratch()
				sums := make([]float32, l.SumsLen())
				cumulate(sums, ones(k))
				s.Draw(0, sums, 1, nil)
				b.Run(fmt.Sprintf("sample/k=%d", k), func(b *testing.B) {
					for b.Loop() {
						l.up.sample(l, s, 0, 0, 64)
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*chunk), "ns/spike")
				})
			}
		})
	}
}
