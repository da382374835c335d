package reduce

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// waiting computes vectors in a time that it spends waiting, so that members of one machine can stand for
// members on machines of their own.
type waiting struct {
	length int
	time   time.Duration
}

func (c waiting) Len() int            { return c.length }
func (c waiting) Follow([]byte) error { return nil }

func (c waiting) Compute(context.Context, int, int, []float32) ([]byte, error) {
	time.Sleep(c.time)
	return nil, nil
}

// BenchmarkCompute measures rounds of 20 tasks with as many gradients as the MNIST network has, on a network
// with a delay in each direction. A task takes 20 ms, as 24 images do on one core. The efficiency is the time
// of all tasks divided by the time of the round and by the number of members.
func BenchmarkCompute(b *testing.B) {
	const length, tasks, each = 110_000, 20, 20 * time.Millisecond
	for _, members := range []int{1, 2, 4, 10, 20} {
		for _, delay := range []time.Duration{0, 200 * time.Microsecond, time.Millisecond} {
			b.Run(fmt.Sprintf("members=%d/delay=%v", members, delay), func(b *testing.B) {
				dial := connect(b)
				l := &Leader{Lost: 3 * time.Second}
				direct := dial()
				url := direct.ConnectedUrl()
				if delay > 0 {
					direct = (&proxy{delay: delay}).dial(b, url)
				}
				if err := l.Lead(direct, length); err != nil {
					b.Fatal(err)
				}
				for range members {
					conn := dial()
					if delay > 0 {
						conn = (&proxy{delay: delay}).dial(b, url)
					}
					join(b, conn, l.Session, &Member{Computer: waiting{length, each}})
				}
				there(b, l, members)
				state, sum := make([]byte, 4*length), make([]float32, length)
				for b.Loop() {
					if _, _, err := l.Compute(b.Context(), state, 0, tasks, sum); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(tasks*each)*float64(b.N)/float64(members)/float64(b.Elapsed()), "efficiency")
				if err := l.End(); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}
