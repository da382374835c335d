package kernel

// Relu computes out[i] = max(x[i], 0); NaN stays NaN, and -0 becomes 0. out and x
// are of one length and may be the same.
func Relu(out, x []float32) {
	x = x[:len(out)]
	done := reluVectors(out, x)
	for i, v := range x[done:] {
		out[done+i] = max(v, 0)
	}
}

// MaxPool2 computes rows of n pixels, one after the other, from twice as many rows
// of width pixels: the largest of each 2x2 pixels, where NaN is larger than all
// numbers. Pixels of a row from 2n on are left out.
func MaxPool2(out, x []float32, rows, n, width int) {
	if rows == 0 || n == 0 {
		return
	}
	if n < 0 || rows < 0 || width < 2*n {
		panic("kernel: rows that are too short for their windows")
	}
	out, x = out[:rows*n], x[:(2*rows-1)*width+2*n]
	if maxPoolVectors(out, x, rows, n, width) {
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
