//go:build !purego

package kernel

// requantizeVectors and the others compute as many integers as fill whole vectors, and return how
// many these are.
func requantizeVectors(out []uint8, x []int32, scales []float32, low, high float32, zero int32) int {
	n := wholeVectors(len(out), lanesNEON)
	if n == 0 {
		return 0
	}
	if len(scales) > 1 {
		requantizeNEON(&out[0], &x[0], n, &scales[:n][0], 16, low, high, zero)
		return n
	}
	var same [16]float32
	for i := range same {
		same[i] = scales[0]
	}
	requantizeNEON(&out[0], &x[0], n, &same[0], 0, low, high, zero)
	return n
}

func quantizeVectors(out []uint8, x []float32, scale, low, high float32, zero int32) int {
	// With these scales, no number is so small or large that it loses digits.
	const least, most = 0x1p-90, 0x1p90
	if !(scale >= least && scale <= most) {
		return 0
	}
	n := wholeVectors(len(out), lanesNEON)
	if n > 0 {
		reciprocal := 1 / scale
		rest := float32(1/float64(scale) - float64(reciprocal))
		quantizeNEON(&out[0], &x[0], n, reciprocal, rest, low*scale, high*scale, float32(-zero), zero)
	}
	return n
}

func dequantizeVectors(out []float32, x []uint8, scale float32, zero int32, flip uint8) int {
	const shift = 1 << 23 // the integers begin as numbers that are greater by this
	n := wholeVectors(len(out), bytesNEON)
	if n == 0 || zero <= -shift || zero >= shift-1<<8 {
		return 0
	}
	dequantizeNEON(&out[0], &x[0], n, uint32(flip), float32(shift+zero), scale)
	return n
}

func boundsVectors(x []float32, low, high float32) (n int, least, largest float32) {
	n = wholeVectors(len(x), sumLanes)
	if n == 0 {
		return 0, low, high
	}
	var lows, highs [sumLanes]float32
	for i := range lows {
		lows[i], highs[i] = low, high
	}
	boundsNEON(&lows, &highs, &x[0], n)
	for i := range lows {
		low, high = min(low, lows[i]), max(high, highs[i])
	}
	return n, low, high
}

func truncateVectors(out []int32, x []float32) int {
	n := wholeVectors(len(out), lanesNEON)
	if n > 0 {
		truncateNEON(&out[0], &x[0], n)
	}
	return n
}

func singlesVectors(out []float32, x []int32) int {
	n := wholeVectors(len(out), lanesNEON)
	if n > 0 {
		singlesNEON(&out[0], &x[0], n)
	}
	return n
}

func longsVectors(out []int64, x []int32) int {
	n := wholeVectors(len(out), lanesNEON)
	if n > 0 {
		longsNEON(&out[0], &x[0], n)
	}
	return n
}

func narrowVectors(out []uint8, x []int32) int {
	n := wholeVectors(len(out), lanesNEON)
	if n > 0 {
		narrowNEON(&out[0], &x[0], n)
	}
	return n
}

func truncateBytesVectors(out []uint8, x []float32, low, high float32) int {
	n := wholeVectors(len(out), lanesNEON)
	if n > 0 {
		truncateBytesNEON(&out[0], &x[0], n, low, high)
	}
	return n
}
