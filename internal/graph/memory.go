package graph

import (
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

// Bytes returns the memory of the elements of a value of known shape.
func Bytes(t ops.Type) int64 {
	n := int64(t.DType.Size())
	for _, d := range t.Shape {
		n *= int64(d.Size) // the operator bounds the product
	}
	return n
}

func size(t *ops.Tensor) int64 { return int64(t.Len()) * int64(t.DType().Size()) }

// budget counts the memory of the values of a run.
type budget struct {
	limit int64
	base  int64 // in use by the enclosing graph
	used  int64
}

func (b *budget) fits(more int64) bool { return b.base+b.used+more <= b.limit }

// take counts the memory of a value of the given type.
func (b *budget) take(bytes int64, t ops.Type) error {
	b.used += bytes
	return WithinLimit(t, b.base+b.used, b.limit)
}

func (b *budget) release(bytes int64) { b.used -= bytes }

// WithinLimit returns an error if the values of a run, of which the last one is of the
// given type, take more memory than the limit.
func WithinLimit(t ops.Type, used, limit int64) error {
	if used <= limit {
		return nil
	}
	return fmt.Errorf("%w: with the output %v the values of the run would take %d bytes, the limit is %d (see MemoryLimit; smaller batches take less)",
		ErrMemory, t, used, limit)
}
