package std

import (
	"context"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// cancelCheck checks a context from time to time within one call from a parallel loop: a
// few small tensors can mean hours of work.
type cancelCheck struct {
	ctx   context.Context
	steps int // since the last check
}

// stepsPerCheck is the number of simple steps between two checks. It is small enough to
// stop soon and large enough for the checks to take no measurable time.
const stepsPerCheck = 1 << 16

// after counts steps. It returns the context's error if it is time for a check.
func (w *cancelCheck) after(steps int) error {
	if w.steps += steps; w.steps < stepsPerCheck {
		return nil
	}
	w.steps = 0
	return w.ctx.Err()
}

// inPieces calls f for consecutive pieces of [0, n), and checks the context between them. It
// is for loops within one call from a parallel loop, which may be long.
func inPieces(ctx context.Context, n int, f func(lo, hi int)) error {
	for lo := 0; lo < n; lo += stepsPerCheck {
		if lo > 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		f(lo, min(lo+stepsPerCheck, n))
	}
	return nil
}

// sortBy sorts a list and keeps the order of equal elements. It stops soon after the
// context is done: a long list takes minutes.
func sortBy[T any](ctx *ops.Context, list []T, compare func(a, b T) int) error {
	for lo := 0; lo < len(list); lo += sortedAtOnce {
		if err := ctx.Err(); err != nil {
			return err
		}
		slices.SortStableFunc(list[lo:min(lo+sortedAtOnce, len(list))], compare)
	}
	if len(list) <= sortedAtOnce {
		return nil
	}
	other, err := ops.Temporary[T](ctx, len(list))
	if err != nil {
		return err
	}
	defer ops.Free(ctx, other)
	watching := cancelCheck{ctx: ctx}
	from, to := list, other
	for size := sortedAtOnce; size < len(list); size *= 2 {
		for lo := 0; lo < len(list); lo += 2 * size {
			middle, hi := min(lo+size, len(list)), min(lo+2*size, len(list))
			if err := merge(&watching, to[lo:hi], from[lo:middle], from[middle:hi], compare); err != nil {
				return err
			}
		}
		from, to = to, from
	}
	if &from[0] != &list[0] {
		copy(list, from)
	}
	return nil
}

// sortedAtOnce is the number of elements of a list that are sorted without a check of the
// context.
const sortedAtOnce = 1 << 12

// merge merges two sorted lists. Of equal elements, those of a come first.
func merge[T any](watching *cancelCheck, out, a, b []T, compare func(a, b T) int) error {
	for i := range out {
		if i%chunk == 0 {
			if err := watching.after(16 * chunk); err != nil { // a comparison may take many steps
				return err
			}
		}
		if len(b) == 0 || len(a) > 0 && compare(b[0], a[0]) >= 0 {
			out[i], a = a[0], a[1:]
		} else {
			out[i], b = b[0], b[1:]
		}
	}
	return nil
}

// temporary takes temporary memory for one run of an operation. After an error, which err
// holds, its functions return nil.
type temporary struct {
	ctx *ops.Context
	err error
}

// bufferOf returns n zeros of temporary memory.
func bufferOf[T any](t *temporary, n int) []T {
	if t.err != nil {
		return nil
	}
	var v []T
	v, t.err = ops.Temporary[T](t.ctx, n)
	return v
}

// elementsOf returns all elements of a tensor. The slice may be the tensor's own memory, so
// it must not be modified.
func elementsOf[W wide](t *temporary, x *ops.Tensor) []W {
	if v, ok := ops.Data[W](x); ok {
		return v
	}
	return copyOf[W](t, x)
}

// copyOf returns a copy of all elements of a tensor.
func copyOf[W wide](t *temporary, x *ops.Tensor) []W {
	v := bufferOf[W](t, x.Len())
	if t.err != nil {
		return nil
	}
	if t.err = loadAll(t.ctx, v, x, 0, 1); t.err != nil {
		return nil
	}
	return v
}

// loadAll is load for any number of elements. It stops soon after the context is done.
func loadAll[W wide](ctx context.Context, dst []W, src *ops.Tensor, from, step int) error {
	return inPieces(ctx, len(dst), func(lo, hi int) { load(dst[lo:hi], src, from+lo*step, step) })
}

// storeAll is store for any number of elements. It stops soon after the context is done.
func storeAll[W wide](ctx context.Context, dst *ops.Tensor, to, step int, src []W) error {
	return inPieces(ctx, len(src), func(lo, hi int) { store(dst, to+lo*step, step, src[lo:hi]) })
}
