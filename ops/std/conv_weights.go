package std

import (
	"sync"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// keptWeights holds constant weights of a convolution in the memory layouts of the kernels, for
// all later runs. It is safe for concurrent use.
type keptWeights struct {
	mu      sync.Mutex
	of      *float32 // the first of the weights
	columns *kernel.Filters
	windows *kernel.WindowFilters
}

// layOut sets the weights in the memory layout of the kernel.
func (c *convolution) layOut(ctx *ops.Context) (err error) {
	k, taps := &c.of.weights, c.taps()
	bytes := kernel.FiltersBytes(c.group, c.filters, taps)
	if c.windows != nil {
		bytes = kernel.WindowFiltersBytes(c.group, c.filters, taps)
	}
	if err := ctx.Reserve(bytes); err != nil {
		return err
	}
	c.kept = ctx.Constant(1) && len(c.w) > 0
	if c.kept {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.of != &c.w[0] {
			k.of, k.columns, k.windows = &c.w[0], nil, nil
		}
	} else {
		k = &c.loose
		k.columns, k.windows = nil, nil
	}
	switch {
	case c.windows != nil && (k.windows == nil || !k.windows.Active()):
		k.windows, err = kernel.NewWindowFilters(ctx, c.group, c.filters, taps, c.w)
	case c.windows == nil && (k.columns == nil || !k.columns.Active()):
		k.columns, err = kernel.NewFilters(ctx, c.group, c.filters, taps, c.w)
	}
	if err != nil {
		return err
	}
	if c.windows != nil {
		c.windows.filters = k.windows
	} else {
		c.product = k.columns
	}
	return nil
}
