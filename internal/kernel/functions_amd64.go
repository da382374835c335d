//go:build !purego

package kernel

type mapFunc func(dst, x *float32, n int, p *float32)

var (
	mapAVX2 = [functionCount]mapFunc{
		expAVX2, sigmoidAVX2, tanhAVX2, erfAVX2, logAVX2, softplusAVX2, softsignAVX2, mishAVX2, geluAVX2, geluTanhAVX2, swishAVX2, eluAVX2,
		leakyReluAVX2, thresholdedReluAVX2, hardSigmoidAVX2, hardSwishAVX2, clipAVX2, normalizeAVX2, absAVX2, negAVX2, signAVX2, reciprocalAVX2,
		sqrtAVX2, floorAVX2, ceilAVX2, sinAVX2, cosAVX2, roundAVX2,
	}
	mapAVX512 = [functionCount]mapFunc{
		expAVX512, sigmoidAVX512, tanhAVX512, erfAVX512, logAVX512, softplusAVX512, softsignAVX512, mishAVX512, geluAVX512, geluTanhAVX512,
		swishAVX512, eluAVX512, leakyReluAVX512, thresholdedReluAVX512, hardSigmoidAVX512, hardSwishAVX512, clipAVX512, normalizeAVX512, absAVX512,
		negAVX512, signAVX512, reciprocalAVX512, sqrtAVX512, floorAVX512, ceilAVX512, sinAVX512, cosAVX512, roundAVX512,
	}
)

// noParameters is the address of the parameters of functions without any.
var noParameters float32

// mapVectors computes Map, or returns false if the tier has no assembly for it.
func mapVectors(f Function, out, x, p []float32) bool {
	first := &noParameters
	if len(p) > 0 {
		first = &p[0]
	}
	switch active() {
	case AVX512:
		mapAVX512[f](&out[0], &x[0], len(out), first)
	case AVX2:
		mapAVX2[f](&out[0], &x[0], len(out), first)
	default:
		return false
	}
	return true
}
