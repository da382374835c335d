package chart

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNumber_IsShort(t *testing.T) {
	for v, want := range map[float64]string{0: "0", -0.4: "-0.4", 1e-6: "0.000001", 2.5e-7: "2.5e-07", -1e-300: "-1e-300", 87600: "87600", 1e15: "1000000000000000"} {
		require.Equal(t, want, Number(v))
	}
}
