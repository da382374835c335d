package std

import "github.com/spike-by-spike/sbs/ops"

// slidingPool returns a poolFunc. reduce computes the result of one window. pairs computes
// rows of n results from adjacent windows of 2x2 pixels in rows of the given width, by far
// the most common case.
func slidingPool[T ops.Element](reduce windowFunc[T], pairs func(out, x []T, rows, n, width int)) poolFunc {
	return func(l *poolLoop, lo, hi int) error {
		d, _ := ops.Data[T](l.x)
		o, _ := ops.Data[T](l.out)
		rows, cols := &l.rows, &l.cols
		if rows.pairs() && cols.pairs() {
			at, count := max(1, stepsPerCheck/cols.out), rows.out // rows between checks, and in a piece of memory
			if rows.in == 2*rows.out {                            // the rows of all channels are adjacent
				count, hi = (hi-lo)*rows.out, lo+1
			}
			for c := lo; c < hi; c++ {
				for i := 0; i < count; i += at {
					if i > 0 && l.ctx.Err() != nil {
						return l.ctx.Err()
					}
					pairs(o[(c*rows.out+i)*cols.out:], d[(c*rows.in+2*i)*cols.in:], min(at, count-i), cols.out, cols.in)
				}
			}
			return nil
		}
		watching, window := cancelCheck{ctx: l.ctx}, rows.kernel*cols.kernel
		var within *cancelCheck // a single window takes long
		if window > stepsPerCheck {
			within = &cancelCheck{ctx: l.ctx}
		}
		piece := max(1, stepsPerCheck/window) // of a row: checking after each window would take time
		for c := lo; c < hi; c++ {
			image := d[c*rows.in*cols.in:][:rows.in*cols.in]
			result := o[c*rows.out*cols.out:][:rows.out*cols.out]
			for i := range rows.out {
				r := rows.span(i)
				for j := 0; j < cols.out; j += piece {
					part := l.spans[j:min(j+piece, cols.out)]
					for k, s := range part {
						var err error
						if result[i*cols.out+j+k], err = reduce(within, image, cols.in, r, s); err != nil {
							return err
						}
					}
					if err := watching.after(len(part) * window); err != nil {
						return err
					}
				}
			}
		}
		return nil
	}
}

// windowFunc computes the result of one window. It checks the context if it gets a check.
type windowFunc[T ops.Element] func(watching *cancelCheck, image []T, width int, rows, cols span) (T, error)

// maxOfWindow returns a function that computes the maximum of a window. No element is
// smaller than lowest.
func maxOfWindow[T float32 | float64 | int8 | uint8](lowest T) windowFunc[T] {
	return func(watching *cancelCheck, image []T, width int, rows, cols span) (T, error) {
		top := lowest
		for i := range rows.count {
			at := (rows.first+i*rows.step)*width + cols.first
			for range cols.count {
				top = max(top, image[at])
				at += cols.step
			}
			if watching != nil {
				if err := watching.after(cols.count); err != nil {
					return top, err
				}
			}
		}
		return top, nil
	}
}

// meanOfWindow returns a function that computes the mean of a window.
func meanOfWindow[T float32 | float64](includePads bool) windowFunc[T] {
	return func(watching *cancelCheck, image []T, width int, rows, cols span) (T, error) {
		total := 0.0
		for i := range rows.count {
			at := (rows.first+i*rows.step)*width + cols.first
			if cols.step == 1 {
				for _, v := range image[at : at+cols.count] {
					total += float64(v)
				}
			} else {
				for j := range cols.count {
					total += float64(image[at+j*cols.step])
				}
			}
			if watching != nil {
				if err := watching.after(cols.count); err != nil {
					return 0, err
				}
			}
		}
		return T(total / float64(max(1, divisor(rows, cols, includePads)))), nil // dilations may miss the image
	}
}

// maxOfPairs and meanOfPairs compute windows of 2x2 pixels; see slidingPool.
func maxOfPairs[T float32 | float64 | int8 | uint8](out, x []T, rows, n, width int) {
	for i := range rows {
		result, top, bottom := out[i*n:][:n], x[2*i*width:][:2*n], x[(2*i+1)*width:][:2*n]
		for j := range result {
			result[j] = max(top[2*j], top[2*j+1], bottom[2*j], bottom[2*j+1])
		}
	}
}

func meanOfPairs(out, x []float64, rows, n, width int) {
	for i := range rows {
		result, top, bottom := out[i*n:][:n], x[2*i*width:][:2*n], x[(2*i+1)*width:][:2*n]
		for j := range result {
			result[j] = (top[2*j] + top[2*j+1] + bottom[2*j] + bottom[2*j+1]) / 4
		}
	}
}

// divisor returns the number of pixels that a mean is divided by.
func divisor(rows, cols span, includePads bool) int {
	if includePads {
		return rows.padded * cols.padded
	}
	return rows.count * cols.count
}
