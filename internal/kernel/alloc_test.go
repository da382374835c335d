//go:build !race

package kernel

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGemmDoesNotAllocate is not for the race detector, which makes a sync.Pool
// lose what it holds.
func TestGemmDoesNotAllocate(t *testing.T) {
	v := make([]float32, 300*300)
	require.Zero(t, testing.AllocsPerRun(20, func() { Gemm(false, true, 100, 100, 300, v, 300, v, 300, v, 300, true) }))
}
