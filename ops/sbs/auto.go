package sbs

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/spike-by-spike/sbs/ops"
)

// Resolve replaces the schedule auto of d by the values that it chooses for a layer, and
// returns d itself if its schedule is not auto. p has the parameters of the layer before
// the change: Spikes, Epsilon0, EpsilonT and Forgetting count. epsilonXY is the epsilon_xy
// of the layer, or nil.
//
// A spike multiplies what h contains from earlier spikes by 1/(1+e), with
//
//	e = epsilon_0 * epsilon_t[t] * m
//
// where m is the mean of epsilon_xy (1 if the layer has none), times 1+forgetting_offset if
// the layer forgets. With fewer spikes, auto makes epsilon_t constant and chooses epsilon_0
// so that all spikes together multiply it by the same number as before. For S instead of S0
// spikes:
//
//	A         = sum of ln(1 + e) over the S0 spikes of the layer
//	epsilon_0 = (exp(A/S) - 1) / m
//
// rounded to three significant digits, and at most MaxEpsilon. Two reductions one after the
// other therefore give the same result as one, apart from rounding. With the same number of
// spikes or more, and if no spike of the layer changes h, the layer keeps its epsilon_0 and
// its epsilon_t, which Change extends.
//
// Resolve returns an error if d sets epsilon_0 too, and if a parameter is invalid.
func (d Dynamics) Resolve(p Params, epsilonXY *ops.Tensor) (Dynamics, error) {
	if !d.auto() {
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
	m *= 1 + float64(max(p.Forgetting, 0))
	e, err := fit(p, m, d.Spikes)
	if err == nil && e > 0 {
		d.Epsilon0, d.Schedule = e, &Schedule{}
	}
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
// p.Spikes, and 0 if the spikes of the layer do not change h. The factor m is the one that
// Resolve documents.
func fit(p Params, m float64, spikes int) (float32, error) {
	if len(p.EpsilonT) < p.Spikes {
		return 0, fmt.Errorf("epsilon_t has %d entries for %d spikes, so that the epsilon schedule auto has no values to start from", len(p.EpsilonT), p.Spikes)
	}
	a := 0.0
	for _, e := range p.EpsilonT[:p.Spikes] {
		a += math.Log(1 + float64(p.Epsilon0)*float64(e)*m)
	}
	if !(a >= 0 && a <= math.MaxFloat64) {
		return 0, errors.New("epsilon_0, epsilon_t, epsilon_xy and forgetting_offset must be at least 0 and finite for the epsilon schedule auto")
	}
	if a == 0 {
		return 0, nil
	}
	e := math.Exp(a/float64(spikes)) - 1
	return rounded(min(min(e, MaxEpsilon)/m, MaxEpsilon)), nil
}

// rounded returns e with three significant digits. With them, the last bit of Log and Exp,
// which differs between processors, does not change the result.
func rounded(e float64) float32 {
	const digits = 3
	r, _ := strconv.ParseFloat(strconv.FormatFloat(e, 'e', digits-1, 64), 32) // e is finite
	return float32(r)
}
