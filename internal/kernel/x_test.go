//go:build amd64
package kernel
import "testing"
func BenchmarkX(b *testing.B) {
	for _, tier := range Tiers()[1:] {
		for _, m := range []int{1, 2, 5, 25} {
		b.Run(tier.String()+"/"+sizeName(m), func(b *testing.B) {
			defer Use(tier)()
			const n = 32
				l := NewLayer(ones(25*n), n, Schedule{Eps: ones(chunk)})
				s := l.NewScratch()
				for i := range s.offsets {
					s.offsets[i] = uint32(i*7%m) * uint32(4*l.width)
				}
				r := steps{n: chunk, num: make([]float32, chunk), inverse: 1}
					for b.Loop() {
						l.up.fast(l, s, r)
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*chunk*l.Positions()), "ns/spike")
		})
	}}
}
