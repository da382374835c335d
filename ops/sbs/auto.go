package sbs

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/spike-by-spike/sbs/internal/portmath"
	"github.com/spike-by-spike/sbs/ops"
)

// Resolve replaces the schedule auto of d by the epsilon_0 that it chooses for a layer, and
// returns d itself if its schedule is not auto. p has the parameters of the layer before
// the change: Spikes, Epsilon0, EpsilonT and Forgetting count. epsilonXY is the epsilon_xy
// of the layer, or nil.
//
// Spike t multiplies what h contains from before by 1/(1+e[t]), with
//
//	e[t] = epsilon_0 * epsilon_t[t] * m
//
// where m is the mean of epsilon_xy (1 if the layer has none), times 1+forgetting_offset if
// the layer forgets. With S spikes instead of the S0 spikes of the layer, S < S0, auto keeps
// epsilon_t and chooses epsilon_0 so that all spikes together multiply it by the same number
// as before:
//
//	sum of ln(1 + e[t]) over S spikes, with the new epsilon_0
//	    = sum of ln(1 + e[t]) over S0 spikes, with the old epsilon_0
//
// The new epsilon_0 is rounded to three significant digits, and at most MaxEpsilon. Two
// reductions one after the other therefore give the same result as one, apart from
// rounding. With S0 spikes or more, and if the spikes do not change h, the layer keeps its
// epsilon_0. With more spikes, Change continues epsilon_t.
//
// Resolve returns an error if d sets epsilon_0 too, and if a parameter is invalid.
func (d Dynamics) Resolve(p Params, epsilonXY *ops.Tensor) (Dynamics, error) {
	if !d.Auto() {
		return d, nil
	}
	if err := d.Check(); err != nil {
		return d, err
	}
	d.Schedule = nil
	if d.Spikes == 0 || d.Spikes >= p.Spikes {
		return d, nil
	}
	m, err := meanOf(epsilonXY)
	if err != nil {
		return d, err
	}
	d.Epsilon0, err = fit(p, m*(1+float64(max(p.Forgetting, 0))), d.Spikes)
	return d, err
}

// meanOf returns the mean of an epsilon_xy, and 1 for nil.
func meanOf(epsilonXY *ops.Tensor) (float64, error) {
	if epsilonXY == nil {
		return 1, nil
	}
	if epsilonXY.DType() != ops.Float32 {
		return 0, errors.New("epsilon_xy is not a float32 tensor")
	}
	sum := 0.0
	for _, v := range epsilonXY.Float32s() {
		sum += float64(v)
	}
	mean := sum / float64(epsilonXY.Len())
	if math.IsNaN(mean) || math.IsInf(mean, 0) {
		return 0, errors.New("epsilon_xy has no finite mean, which the epsilon schedule auto needs")
	}
	return mean, nil
}

// fit returns the epsilon_0 that the schedule auto chooses for a number of spikes below
// p.Spikes, or 0 if the spikes do not change h. The factor m is the one that Resolve
// documents.
func fit(p Params, m float64, spikes int) (float32, error) {
	if len(p.EpsilonT) < p.Spikes {
		return 0, fmt.Errorf("epsilon_t has %d entries for %d spikes, so that the epsilon schedule auto has no values to start from", len(p.EpsilonT), p.Spikes)
	}
	own := float64(p.Epsilon0)
	if own > MaxEpsilon {
		return 0, fmt.Errorf("epsilon_0 is %v: the epsilon schedule auto takes at most %g", p.Epsilon0, float32(MaxEpsilon))
	}
	want := logarithms(own*m, p.EpsilonT[:p.Spikes])
	if !(want >= 0 && want <= math.MaxFloat64) {
		return 0, errors.New("epsilon_0, epsilon_t, epsilon_xy and forgetting_offset must be at least 0 and finite for the epsilon schedule auto")
	}
	epsilonT := p.EpsilonT[:spikes]
	if want == 0 || logarithms(MaxEpsilon*m, epsilonT) == 0 {
		return 0, nil
	}
	// The sum grows with epsilon_0, and with fewer spikes it is not above the sum for all.
	low, high := own, float64(MaxEpsilon)
	for range 64 {
		middle := math.Sqrt(low * high)
		if logarithms(middle*m, epsilonT) < want {
			low = middle
		} else {
			high = middle
		}
		if rounded(low) == rounded(high) {
			break
		}
	}
	return rounded(high), nil
}

// TooFewSpikes reports whether a layer with the parameters after has fewer spikes than before,
// and its epsilon does not make up for that: the sum of ln(1 + epsilon_0*epsilon_t) over its
// spikes is less than half of the sum before. That costs accuracy. The schedule auto keeps the
// sum.
func TooFewSpikes(before, after Params) bool {
	sum := func(p Params) float64 {
		return logarithms(float64(p.Epsilon0), p.EpsilonT[:min(p.Spikes, len(p.EpsilonT))])
	}
	return after.Spikes < before.Spikes && sum(after) < sum(before)/2
}

// logarithms returns the sum of ln(1 + e*epsilon_t).
func logarithms(e float64, epsilonT []float32) float64 {
	sum := 0.0
	for _, t := range epsilonT {
		sum += portmath.Log(1 + float64(e*float64(t)))
	}
	return sum
}

// rounded returns e with three significant digits, so that it is readable.
func rounded(e float64) float32 {
	const digits = 3
	r, _ := strconv.ParseFloat(strconv.FormatFloat(e, 'e', digits-1, 64), 32) // e is finite
	return float32(r)
}
