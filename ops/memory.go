package ops

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"unsafe"
)

// ErrMemory is wrapped by errors about memory beyond a limit.
var ErrMemory = errors.New("too much memory")

// Memory counts the temporary memory of one run of an Op against a limit. Its methods may
// be called from several goroutines at the same time. A nil *Memory has no limit.
type Memory struct {
	// Values is the memory of the values of the run that includes the Op, in bytes. It
	// counts toward the limit.
	Values int64

	// Limit is the number of bytes that the values and the temporary memory may take
	// together. Temporary memory of up to 1 MiB is always allowed.
	Limit int64

	taken atomic.Int64
}

// freeMemory is the temporary memory that an Op may take beyond a limit. Almost every Op
// needs a little.
const freeMemory = 1 << 20

// Reserve counts temporary memory that an Op is about to take. It returns an error that
// wraps ErrMemory, and counts nothing, if the limit does not allow this memory. An Op must
// not take large temporary memory that it has not reserved.
//
// The memory counts until Release, or else until Run returns. An Op that keeps memory in
// its Scratch for the next run reserves it again in the next run.
func (c *Context) Reserve(bytes int64) error {
	m := c.Memory
	if m == nil || bytes <= 0 {
		return nil
	}
	if taken := m.taken.Add(bytes); taken > max(m.Limit-m.Values, freeMemory) || taken < 0 {
		m.taken.Add(-bytes)
		return fmt.Errorf("%w: the node needs %d bytes of temporary memory in addition to the %d bytes of the values of the run, but the limit is %d: "+
			"use smaller batches or a higher memory limit", ErrMemory, taken, m.Values, m.Limit)
	}
	return nil
}

// Release ends the count of memory that Reserve has counted, because the Op no longer uses
// it.
func (c *Context) Release(bytes int64) {
	if m := c.Memory; m != nil && bytes > 0 {
		m.taken.Add(-bytes)
	}
}

// Reserved returns the number of bytes that count at the moment.
func (m *Memory) Reserved() int64 {
	if m == nil {
		return 0
	}
	return m.taken.Load()
}

// Temporary returns n elements of temporary memory, all zero, after reserving it. See
// Reserve.
func Temporary[T any](c *Context, n int) ([]T, error) {
	var element T
	size := int64(unsafe.Sizeof(element))
	if n < 0 || size > 0 && int64(n) > math.MaxInt64/size {
		return nil, fmt.Errorf("%w: %d elements of temporary memory", ErrMemory, n)
	}
	if err := c.Reserve(int64(n) * size); err != nil {
		return nil, err
	}
	return make([]T, n), nil
}

// Free releases memory that Temporary has returned. The Op must not use it anymore.
func Free[T any](c *Context, memory []T) {
	var element T
	c.Release(int64(cap(memory)) * int64(unsafe.Sizeof(element)))
}
