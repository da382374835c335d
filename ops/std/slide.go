package std

import "github.com/spike-by-spike/sbs/ops"

// slidingPool returns a poolFunc. reduce computes the result of one window. pairs computes
// rows of n results from adjacent windows of 2x2 pixels in rows of the given width, by far
// the most common case.
func slidingPool[T ops.Element](reduce func(image []T, width int, rows, cols span) T, pairs func(out, x []T, rows, n, width int)) poolFunc {
	return func(l *poolLoop, lo, hi int) error {
		d, _ := ops.Data[T](l.x)
		o, _ := ops.Data[T](l.out)
		rows, cols := &l.rows, &l.cols
		if rows.pairs() && cols.pairs() {
			if rows.in == 2*rows.out { // the rows of all channels are adjacent
				pairs(o[lo*rows.out*cols.out:], d[lo*rows.in*cols.in:], (hi-lo)*rows.out, cols.out, cols.in)
				return nil
			}
			for c := lo; c < hi; c++ {
				pairs(o[c*rows.out*cols.out:], d[c*rows.in*cols.in:], rows.out, cols.out, cols.in)
			}
			return nil
		}
		watching, window := cancelCheck{ctx: l.ctx}, rows.kernel*cols.kernel
		piece := max(1, stepsPerCheck/window) // of a row: checking after each window would take time
		for c := lo; c < hi; c++ {
			image := d[c*rows.in*cols.in:][:rows.in*cols.in]
			result := o[c*rows.out*cols.out:][:rows.out*cols.out]
			for i := range rows.out {
				r := rows.span(i)
				for j := 0; j < cols.out; j += piece {
					part := l.spans[j:min(j+piece, cols.out)]
					for k, s := range part {
						result[i*cols.out+j+k] = reduce(image, cols.in, r, s)
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

// maxOfWindow returns a function that computes the maximum of a window. No element is
// smaller than lowest.
func maxOfWindow[T float32 | float64 | int8 | uint8](lowest T) func(image []T, width int, rows, cols span) T {
	return func(image []T, width int, rows, cols span) T {
		top := lowest
		for i := range rows.count {
			at := (rows.first+i*rows.step)*width + cols.first
			for range cols.count {
				top = max(top, image[at])
				at += cols.step
			}
		}
		return top
	}
}

// meanOfWindow returns a function that computes the mean of a window without dilations.
func meanOfWindow[T float32 | float64](includePads bool) func(image []T, width int, rows, cols span) T {
	return func(image []T, width int, rows, cols span) T {
		total := 0.0
		for i := range rows.count {
			at := (rows.first+i*rows.step)*width + cols.first
			for _, v := range image[at : at+cols.count] { // AveragePool has no dilations
				total += float64(v)
			}
		}
		return T(total / float64(divisor(rows, cols, includePads)))
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
