//go:build !race

package runtime_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/convert/converttest"
	"github.com/spike-by-spike/sbs/runtime"
)

// TestRunAllocatesItsOutputsOnly counts what a Run allocates when all is warm. It is
// not for the race detector, which makes a sync.Pool lose what it holds.
func TestRunAllocatesItsOutputsOnly(t *testing.T) {
	n := converttest.EveryLayer()
	for _, workers := range []int{1, 2} {
		m, err := runtime.New(write(t, n, convert.Options{}), runtime.Workers(workers))
		require.NoError(t, err)
		in := map[string]*runtime.Tensor{"image": pixels(1, 2, n.Input)}
		ctx := t.Context()
		allocations := testing.AllocsPerRun(100, func() {
			if _, err := m.Run(ctx, in); err != nil {
				t.Error(err)
			}
		})
		// The map, and of the output its shape (twice), numbers and what holds them.
		require.LessOrEqual(t, allocations, 8.0)
	}
}
