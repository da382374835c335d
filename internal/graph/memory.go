package graph

import (
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

// Bytes returns the memory of the elements of a value whose shape is known.
func Bytes(t ops.Type) int64 {
	n := int64(t.DType.Size())
	for _, d := range t.Shape {
		n *= int64(d.Size) // operators bound the product
	}
	return n
}

// size returns the memory of the elements of a value.
func size(t *ops.Tensor) int64 { return t.Bytes() }

// budget counts the memory of the values of a run, in bytes.
type budget struct {
	limit int64
	base  int64 // in use by enclosing graphs
	used  int64 // in use by the graph itself
}

// fits reports whether the limit allows the given memory in addition.
func (b *budget) fits(more int64) bool { return b.base+b.used+more <= b.limit }

// take counts the memory of a value. The type of the value is for the error text.
func (b *budget) take(bytes int64, t ops.Type) error {
	b.used += bytes
	return WithinLimit(t, b.base+b.used, b.limit)
}

func (b *budget) release(bytes int64) { b.used -= bytes }

// WithinLimit returns an error if the memory used is above the limit. t is the type of the
// last value.
func WithinLimit(t ops.Type, used, limit int64) error {
	if used <= limit {
		return nil
	}
	return fmt.Errorf("%w: with the output %v, the values of the run would take %d bytes, but the limit is %d: use smaller batches or a higher memory limit",
		ErrMemory, t, used, limit)
}
