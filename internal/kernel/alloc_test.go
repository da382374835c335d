//go:build !race

package kernel

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGemm_DoesNotAllocate is not built with the race detector, under which a
// sync.Pool drops objects at random.
func TestGemm_DoesNotAllocate(t *testing.T) {
	v := make([]float32, 300*300)
	require.Zero(t, testing.AllocsPerRun(20, func() { Gemm(false, true, 100, 100, 300, v, 300, v, 300, v, 300, true) }))
}
