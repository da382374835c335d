//go:build !purego

package kernel

var mapNEON = [functionCount]func(dst, x *float32, n int, p *float32){
	expNEON, sigmoidNEON, tanhNEON, erfNEON, logNEON, softplusNEON, softsignNEON, mishNEON, geluNEON, geluTanhNEON, swishNEON, eluNEON,
	leakyReluNEON, thresholdedReluNEON, hardSigmoidNEON, hardSwishNEON, clipNEON, normalizeNEON, absNEON, negNEON, signNEON, reciprocalNEON,
	sqrtNEON, floorNEON, ceilNEON, sinNEON, cosNEON, roundNEON,
}

// noParameters is the address of the parameters of functions without any.
var noParameters float32

// mapVectors computes Map, or returns false if the tier has no assembly for it.
func mapVectors(f Function, out, x, p []float32) bool {
	n := wholeVectors(len(out), lanesNEON)
	if n == 0 {
		return false
	}
	first := &noParameters
	if len(p) > 0 {
		first = &p[0]
	}
	mapNEON[f](&out[0], &x[0], n, first)
	mapPortable(f, out[n:], x[n:], p)
	return true
}
