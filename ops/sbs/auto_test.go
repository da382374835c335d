package sbs_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

var auto = &sbs.Schedule{Auto: true}

// resolve returns the parameters of a layer after the schedule auto has changed it.
func resolve(t *testing.T, p sbs.Params, epsilonXY *ops.Tensor, spikes int) sbs.Params {
	t.Helper()
	d, err := sbs.Dynamics{Spikes: spikes, Schedule: auto}.Resolve(p, epsilonXY)
	require.NoError(t, err)
	require.False(t, d.Schedule != nil && d.Schedule.Auto)
	require.NoError(t, d.Check())
	p.Kernel, p.Strides, p.Dilations = [2]int{1, 1}, [2]int{1, 1}, [2]int{1, 1}
	a := p.Attributes()
	d.Change(a)
	p, err = sbs.ParamsOf(a)
	require.NoError(t, err)
	return p
}

// logarithm returns the logarithm of the factor by which all spikes of a layer divide what h
// contains at the start. mean is the mean of epsilon_xy.
func logarithm(p sbs.Params, mean float64) float64 {
	sum := 0.0
	for _, e := range p.EpsilonT[:p.Spikes] {
		sum += math.Log1p(float64(p.Epsilon0) * float64(e) * mean * (1 + float64(p.Forgetting)))
	}
	return sum
}

// TestResolve_KeepsTheFactorOfAllSpikes has random layers, whose epsilon_t follows no
// schedule.
func TestResolve_KeepsTheFactorOfAllSpikes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 200 {
		p := sbs.Params{Spikes: 2 + r.IntN(300), Epsilon0: 0.01 + r.Float32()}
		for range p.Spikes + r.IntN(20) { // entries after those of the spikes do not count
			p.EpsilonT = append(p.EpsilonT, 0.1+r.Float32())
		}
		var xy *ops.Tensor
		mean := 1.0
		if i%2 > 0 {
			xy = opstest.F32([]int{2, 2}, 0.1, 0.2, 0.3, 3*r.Float32())
			mean = (0.6 + float64(xy.Float32s()[3])) / 4
		}
		if i%4 > 1 {
			p.Forgetting = r.Float32()
		}
		spikes := 1 + r.IntN(p.Spikes-1)
		before := logarithm(p, mean)
		if before/float64(spikes) > 5 {
			continue // exp(5) with a small epsilon_t is near the largest epsilon_0
		}
		after := resolve(t, p, xy, spikes)
		require.Equal(t, spikes, after.Spikes)
		require.InEpsilon(t, before, logarithm(after, mean), 0.006)
		require.Equal(t, p.EpsilonT, after.EpsilonT)
		digits := strconv.FormatFloat(float64(after.Epsilon0), 'e', 2, 32)
		require.Equal(t, digits, fmt.Sprintf("%.2e", after.Epsilon0))
		exact, err := strconv.ParseFloat(digits, 32)
		require.NoError(t, err)
		require.Equal(t, float32(exact), after.Epsilon0, "more than three digits")
	}
}

// published is a layer of the published networks of dialect 2.
func published() sbs.Params {
	return sbs.Params{Spikes: 1600, Epsilon0: 1, EpsilonT: sbs.Schedule{Power: -0.5}.EpsilonT(1600)}
}

func TestResolve_FitsThePublishedLayers(t *testing.T) {
	for spikes, want := range map[int]float32{1: sbs.MaxEpsilon, 8: sbs.MaxEpsilon, 9: 8640, 25: 61.1, 50: 15.1, 100: 6.58, 200: 3.64, 400: 2.25, 1599: 1} {
		p := resolve(t, published(), nil, spikes)
		require.Equal(t, want, p.Epsilon0, "%d spikes", spikes)
		require.Equal(t, published().EpsilonT, p.EpsilonT)
	}
	// A cooldown from spike 800 on, which 200 spikes do not reach, gives the later spikes less
	// weight.
	cooldown := published()
	for t := 800; t < 1600; t++ {
		cooldown.EpsilonT[t] /= 25
	}
	require.Equal(t, float32(2.39), resolve(t, cooldown, nil, 200).Epsilon0)
	// Half the epsilon_xy with twice the epsilon_0 is the same layer.
	double := published()
	double.Epsilon0 = 2
	require.Equal(t, float32(7.27), resolve(t, double, opstest.F32([]int{1, 2}, 0.25, 0.75), 200).Epsilon0)
	// So is half the epsilon_0 with a forgetting_offset of 1, as far as h is divided.
	forgetting := published()
	forgetting.Epsilon0, forgetting.Forgetting = 0.5, 1
	require.Equal(t, float32(1.82), resolve(t, forgetting, nil, 200).Epsilon0)
}

func TestResolve_TwoReductionsAreAsGoodAsOne(t *testing.T) {
	for _, spikes := range []int{50, 100, 399} {
		once := resolve(t, published(), nil, spikes)
		twice := resolve(t, resolve(t, published(), nil, 400), nil, spikes)
		require.InEpsilon(t, once.Epsilon0, twice.Epsilon0, 0.03)
	}
}

func TestResolve_KeepsLayersThatDoNotNeedAnotherEpsilon(t *testing.T) {
	zero, no, late := published(), published(), published()
	clear(late.EpsilonT[:100])
	zero.Epsilon0, no.EpsilonT = 0, make([]float32, 1600)
	for name, c := range map[string]struct {
		p      sbs.Params
		xy     *ops.Tensor
		spikes int
	}{
		"number not given":      {published(), nil, 0},
		"same number":           {published(), nil, 1600},
		"more spikes":           {published(), nil, 1601},
		"epsilon_0 is 0":        {zero, nil, 100},
		"epsilon_t is 0":        {no, nil, 100},
		"no spike has weight":   {late, nil, 100},
		"epsilon_xy is 0":       {published(), opstest.F32([]int{1, 2}, 0, 0), 100},
		"unknown own number":    {sbs.Params{}, nil, 100},
		"epsilon_t not in rule": {sbs.Params{Spikes: 9, Epsilon0: 1, EpsilonT: []float32{1, 2, 3, 4, 5, 6, 7, 8, 9}}, nil, 9},
	} {
		d, err := sbs.Dynamics{Spikes: c.spikes, Sampler: sbs.LowDiscrepancy, Schedule: auto}.Resolve(c.p, c.xy)
		require.NoError(t, err)
		require.Equal(t, sbs.Dynamics{Spikes: c.spikes, Sampler: sbs.LowDiscrepancy}, d, name)
	}
	require.Equal(t, sbs.Schedule{Power: -0.5}.EpsilonT(2000), resolve(t, published(), nil, 2000).EpsilonT)
	other := sbs.Dynamics{Spikes: 3, Epsilon0: 2, Schedule: &sbs.Schedule{Power: -1}}
	d, err := other.Resolve(published(), nil)
	require.NoError(t, err)
	require.Equal(t, other, d, "another schedule")
}

func TestResolve_HandlesTheLargestNumberOfSpikes(t *testing.T) {
	p := sbs.Params{Spikes: sbs.MaxSpikes, Epsilon0: 1, EpsilonT: sbs.Schedule{Power: -0.5}.EpsilonT(sbs.MaxSpikes)}
	for spikes, want := range map[int]float32{1: sbs.MaxEpsilon, 100: sbs.MaxEpsilon, sbs.MaxSpikes - 1: 1} {
		d, err := sbs.Dynamics{Spikes: spikes, Schedule: auto}.Resolve(p, nil)
		require.NoError(t, err)
		require.Equal(t, want, d.Epsilon0)
	}
	few := sbs.Params{Spikes: 2, Epsilon0: sbs.MaxEpsilon, EpsilonT: []float32{sbs.MaxEpsilon, sbs.MaxEpsilon}}
	for _, xy := range []*ops.Tensor{nil, opstest.F32([]int{1, 1}, 1e-6), opstest.F32([]int{1, 1}, 1e4)} {
		d, err := sbs.Dynamics{Spikes: 1, Schedule: auto}.Resolve(few, xy)
		require.NoError(t, err)
		require.NoError(t, d.Check())
	}
}

func TestResolve_RefusesContradictionsAndInvalidValues(t *testing.T) {
	nan := float32(math.NaN())
	negative, short := published(), published()
	negative.EpsilonT[7], short.EpsilonT = -3, short.EpsilonT[:1599]
	for _, c := range []struct {
		p    sbs.Params
		xy   *ops.Tensor
		d    sbs.Dynamics
		want string
	}{
		{published(), nil, sbs.Dynamics{Epsilon0: 0.5}, "epsilon_0 is 0.5, but the epsilon schedule is auto, which chooses epsilon_0"},
		{published(), opstest.F32([]int{1, 2}, 1, nan), sbs.Dynamics{}, "epsilon_xy has no finite mean"},
		{published(), opstest.F32([]int{0, 2}), sbs.Dynamics{}, "epsilon_xy has no finite mean"},
		{published(), opstest.F64([]int{1, 1}, 1), sbs.Dynamics{}, "epsilon_xy is not a float32 tensor"},
		{published(), opstest.F32([]int{1, 1}, -2), sbs.Dynamics{}, "must be at least 0 and finite"},
		{negative, nil, sbs.Dynamics{}, "must be at least 0 and finite"},
		{short, nil, sbs.Dynamics{}, "epsilon_t has 1599 entries for 1600 spikes"},
	} {
		c.d.Spikes, c.d.Schedule = 100, auto
		_, err := c.d.Resolve(c.p, c.xy)
		require.ErrorContains(t, err, c.want)
	}
	require.ErrorContains(t, sbs.Dynamics{Epsilon0: 1, Schedule: auto}.Check(), "give only one of them")
	require.ErrorContains(t, sbs.Schedule{Auto: true, Power: -1}.Check(), "want one of them")
}
