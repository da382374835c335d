package kernel

import "fmt"

// Relu computes out[i] = max(x[i], 0). NaN remains NaN, and -0 becomes 0. out and x
// have the same length and may be the same slice.
func Relu(out, x []float32) {
	x = x[:len(out)]
	done := reluVectors(out, x)
	for i, v := range x[done:] {
		out[done+i] = max(v, 0)
	}
}

// MaxPool2 computes maxima over windows of 2 x 2 pixels with stride 2. x holds
// 2*rows rows of width pixels, and out receives rows rows of n pixels. Width must
// be at least 2*n; pixels of a row from 2*n are ignored. A window that contains NaN
// gives NaN.
func MaxPool2(out, x []float32, rows, n, width int) {
	if out, x = windows(out, x, rows, n, width); len(out) == 0 || poolVectors(false, out, x, rows, n, width) {
		return
	}
	for i := range rows {
		result := out[i*n:][:n]
		top, bottom := x[2*i*width:][:2*n], x[(2*i+1)*width:][:2*n]
		for j := range result {
			result[j] = max(top[2*j], top[2*j+1], bottom[2*j], bottom[2*j+1])
		}
	}
}

// MeanPool2 computes means over windows of 2 x 2 pixels as MaxPool2 does maxima. A mean is
// (top left + bottom left) + (top right + bottom right), of pixels divided by 4, in float32.
func MeanPool2(out, x []float32, rows, n, width int) {
	if out, x = windows(out, x, rows, n, width); len(out) == 0 || poolVectors(true, out, x, rows, n, width) {
		return
	}
	for i := range rows {
		result := out[i*n:][:n]
		top, bottom := x[2*i*width:][:2*n], x[(2*i+1)*width:][:2*n]
		for j := range result {
			left := float32(top[2*j]*0.25) + float32(bottom[2*j]*0.25)
			right := float32(top[2*j+1]*0.25) + float32(bottom[2*j+1]*0.25)
			result[j] = left + right
		}
	}
}

// windows checks the arguments of MaxPool2 and MeanPool2 and returns the parts of the slices
// that they use.
func windows(out, x []float32, rows, n, width int) (used, pixels []float32) {
	if rows == 0 || n == 0 {
		return nil, nil
	}
	if n < 0 || rows < 0 || width < 2*n {
		panic(fmt.Sprintf("kernel: %d x %d windows of 2 x 2 pixels do not fit into rows of %d pixels", rows, n, width))
	}
	return out[:rows*n], x[:(2*rows-1)*width+2*n]
}
