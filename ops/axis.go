package ops

import (
	"fmt"
	"reflect"
	"slices"
)

// Take returns what a tensor holds at one place along an axis, without that axis.
func (t *Tensor) Take(axis, at int) (*Tensor, error) {
	if axis < 0 || axis >= len(t.shape) || at < 0 || at >= t.shape[axis] {
		return nil, fmt.Errorf("ops: %w: %v has no place %d along axis %d", ErrShape, t.shape, at, axis)
	}
	out, err := Zeros(t.dtype, slices.Delete(slices.Clone(t.shape), axis, axis+1))
	if err != nil {
		return nil, err
	}
	copyAt(t, out, axis, at, false)
	return out, nil
}

// Put is the opposite of Take: it copies src to one place along an axis of t.
func (t *Tensor) Put(axis, at int, src *Tensor) error {
	ok := axis >= 0 && axis < len(t.shape) && at >= 0 && at < t.shape[axis] && src.dtype == t.dtype &&
		slices.Equal(src.shape, slices.Delete(slices.Clone(t.shape), axis, axis+1))
	if !ok {
		return fmt.Errorf("ops: %w: %v cannot be put at place %d along axis %d of %v", ErrShape, TypeOf(src), at, axis, TypeOf(t))
	}
	copyAt(t, src, axis, at, true)
	return nil
}

// copyAt copies between part, which is one place along an axis of whole, and whole.
func copyAt(whole, part *Tensor, axis, at int, put bool) {
	outer, inner := 1, 1
	for i, d := range whole.shape {
		switch {
		case i < axis:
			outer *= d
		case i > axis:
			inner *= d
		}
	}
	w, p := reflect.ValueOf(whole.data), reflect.ValueOf(part.data)
	for o := range outer {
		i := (o*whole.shape[axis] + at) * inner
		a, b := w.Slice(i, i+inner), p.Slice(o*inner, (o+1)*inner)
		if put {
			reflect.Copy(a, b)
		} else {
			reflect.Copy(b, a)
		}
	}
}
