package measure

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWilson compares with published values: Newcombe, "Two-sided confidence intervals for the
// single proportion", Statistics in Medicine 17, 1998, table I, method 3.
func TestWilson_HasPublishedValues(t *testing.T) {
	for _, c := range []struct {
		count, n  int
		low, high float64
	}{{81, 263, 0.2553, 0.3662}, {15, 148, 0.0624, 0.1605}, {0, 20, 0, 0.1611}, {1, 29, 0.0061, 0.1718}} {
		low, high := Wilson(c.count, c.n)
		require.InDelta(t, c.low, low, 6e-5)
		require.InDelta(t, c.high, high, 6e-5)
	}
	low, high := Wilson(20, 20)
	require.Equal(t, 1.0, high)
	require.InDelta(t, 1-0.1611, low, 6e-5)
}
