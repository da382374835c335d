package cli

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

func TestDynamics_HoldsTheFlagsThatWereGiven(t *testing.T) {
	for _, c := range []struct {
		args []string
		want sbs.Dynamics
	}{
		{nil, sbs.Dynamics{}},
		{[]string{"--sampler", "low-discrepancy"}, sbs.Dynamics{Sampler: sbs.LowDiscrepancy}},
		{[]string{"--sampler", "iid", "--epsilon-0", "0.5"}, sbs.Dynamics{Sampler: sbs.IID, Epsilon0: 0.5}},
		{[]string{"--epsilon-schedule", "power:-0.2"}, sbs.Dynamics{Schedule: &sbs.Schedule{Power: -0.2}}},
	} {
		v := newValues()
		require.NoError(t, v.set.Parse(c.args))
		got, err := v.dynamics.Dynamics()
		require.NoError(t, err)
		require.Equal(t, c.want, got, "%q", c.args)
	}
}

func TestDynamics_RefusesInvalidValues(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--sampler", "sobol"}, "--sampler sobol: want iid or low-discrepancy"},
		{[]string{"--epsilon-schedule", "linear"}, "--epsilon-schedule linear: want inverse-sqrt, constant, or power:P with P from -10 to 0, such as power:-0.2"},
		{[]string{"--epsilon-schedule", "power:1"}, "--epsilon-schedule power:1: want inverse-sqrt"},
		{[]string{"--epsilon-0", "0"}, "--epsilon-0 0: want a number above 0, at most 10000"},
		{[]string{"--epsilon-0", "NaN"}, "--epsilon-0 NaN: want a number above 0"},
		{[]string{"--epsilon-0", "10001"}, "--epsilon-0 10001: want a number above 0"},
	} {
		v := newValues()
		require.NoError(t, v.set.Parse(c.args))
		_, err := v.dynamics.Dynamics()
		require.ErrorContains(t, err, c.want, "%q", c.args)
		_, err = v.dynamics.Options(3)
		require.ErrorContains(t, err, c.want, "%q", c.args)
		var usage *UsageError
		require.ErrorAs(t, err, &usage)
	}
}

func TestApplyDynamics_ChangesEverySbSLayer(t *testing.T) {
	n := converttest.Digits()
	before := n.Layers[0].(*convert.SbS).Spikes
	schedule := sbs.Schedule{Power: -0.5}
	require.NoError(t, ApplyDynamics(sbs.Dynamics{Sampler: sbs.LowDiscrepancy, Schedule: &schedule, Epsilon0: 0.25}, n))
	changed := 0
	for _, l := range n.Layers {
		if s, ok := l.(*convert.SbS); ok {
			changed++
			require.Equal(t, sbs.LowDiscrepancy, s.Sampler)
			require.Equal(t, schedule.EpsilonT(s.Spikes), s.EpsilonT)
			require.InDelta(t, 0.25, s.Epsilon0, 0)
		}
	}
	require.Positive(t, changed)
	require.Equal(t, before, n.Layers[0].(*convert.SbS).Spikes)
}

func TestApplyDynamics_NeedsAnSbSLayer(t *testing.T) {
	n := &convert.Network{Layers: []convert.Layer{&convert.ReLU{}}}
	require.NoError(t, ApplyDynamics(sbs.Dynamics{}, n))
	require.EqualError(t, ApplyDynamics(sbs.Dynamics{Epsilon0: 1}, n),
		"--sampler, --epsilon-schedule and --epsilon-0 have no effect: the network has no SbS layer")
}
