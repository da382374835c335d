package ops

import (
	"fmt"
	"reflect"
	"slices"
)

// Take returns a copy of the part of t that has index i along an axis. The result
// lacks that axis: Take(1, 2) of a tensor of shape (4, 5, 6) has shape (4, 6). The
// error wraps ErrShape if t has no such axis or index.
func (t *Tensor) Take(axis, i int) (*Tensor, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	if axis < 0 || axis >= len(t.shape) || i < 0 || i >= t.shape[axis] {
		return nil, fmt.Errorf("ops: %w: %v has no index %d along axis %d", ErrShape, t.shape, i, axis)
	}
	part, err := Zeros(t.dtype, slices.Delete(slices.Clone(t.shape), axis, axis+1))
	if err != nil {
		return nil, err
	}
	eachSlice(t, part, axis, i, func(inWhole, inPart reflect.Value) { reflect.Copy(inPart, inWhole) })
	return part, nil
}

// Put is the inverse of Take: it copies src to the part of t that has index i along
// an axis. The error wraps ErrShape if t has no such part, or if src does not have the
// type of that part.
func (t *Tensor) Put(axis, i int, src *Tensor) error {
	if err := t.check(); err != nil {
		return err
	}
	if err := src.check(); err != nil {
		return err
	}
	ok := axis >= 0 && axis < len(t.shape) && i >= 0 && i < t.shape[axis] && src.dtype == t.dtype &&
		slices.Equal(src.shape, slices.Delete(slices.Clone(t.shape), axis, axis+1))
	if !ok {
		return fmt.Errorf("ops: %w: %v cannot be put at index %d along axis %d of %v", ErrShape, TypeOf(src), i, axis, TypeOf(t))
	}
	eachSlice(t, src, axis, i, func(inWhole, inPart reflect.Value) { reflect.Copy(inWhole, inPart) })
	return nil
}

// eachSlice calls f for the slices of elements that make up the part of whole with
// index i along an axis, and for the same elements of a tensor that holds this part
// alone.
func eachSlice(whole, part *Tensor, axis, i int, f func(inWhole, inPart reflect.Value)) {
	outer, inner := 1, 1
	for d, size := range whole.shape {
		switch {
		case d < axis:
			outer *= size
		case d > axis:
			inner *= size
		}
	}
	w, p := reflect.ValueOf(whole.data), reflect.ValueOf(part.data)
	for o := range outer {
		start := (o*whole.shape[axis] + i) * inner
		f(w.Slice(start, start+inner), p.Slice(o*inner, (o+1)*inner))
	}
}
