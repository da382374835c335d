package ops

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBuffers_ReturnsFreeMemoryThatFits(t *testing.T) {
	var b Buffers
	v := b.Take(100)
	require.Len(t, v, 100)
	w := b.Take(100)
	require.NotSame(t, &v[0], &w[0], "both are in use")
	b.Give(v)
	require.NotSame(t, &v[0], &b.Take(101)[0], "too small")
	require.NotSame(t, &v[0], &b.Take(20)[0], "far too large")
	small := b.Take(30)
	require.Same(t, &v[0], &small[0])
	require.Len(t, small, 30)
	b.Give(small)
	require.Same(t, &v[0], &b.Take(100)[0])
}

func TestBuffers_KeepsTheLargest(t *testing.T) {
	var b Buffers
	for n := range 10 {
		b.Give(make([]float32, 1+n))
	}
	require.Len(t, b.free, mostBuffers)
	for _, v := range b.free {
		require.Greater(t, cap(v), 6)
	}
	var none *Buffers
	none.Give(none.Take(3))
}
