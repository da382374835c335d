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
		want []sbs.Dynamics
	}{
		{nil, nil},
		{[]string{"--sampler", "low-discrepancy"}, []sbs.Dynamics{{Sampler: sbs.LowDiscrepancy}}},
		{[]string{"--sampler", "iid", "--epsilon-0", "0.5"}, []sbs.Dynamics{{Sampler: sbs.IID, Epsilon0: 0.5}}},
		{[]string{"--spikes", "7"}, []sbs.Dynamics{{Spikes: 7}}},
		{[]string{"--spikes", "7", "--spikes", "8"}, []sbs.Dynamics{{Spikes: 8}}},
		{[]string{"--spikes", "25, 100", "--epsilon-0", "8,0.5", "--sampler", "iid"}, []sbs.Dynamics{{Spikes: 25, Epsilon0: 8, Sampler: sbs.IID}, {Spikes: 100, Epsilon0: 0.5, Sampler: sbs.IID}}},
		{[]string{"--spikes", "25", "--epsilon-0", "8,0.5"}, []sbs.Dynamics{{Spikes: 25, Epsilon0: 8}, {Spikes: 25, Epsilon0: 0.5}}},
		{[]string{"--epsilon-schedule", "power:-0.2"}, []sbs.Dynamics{{Schedule: &sbs.Schedule{Power: -0.2}}}},
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
		{[]string{"--spikes", "5,,6"}, "--spikes 5,,6: want whole numbers from 1 to 16777216"},
		{[]string{"--spikes", ""}, "--spikes \"\": want whole numbers"},
		{[]string{"--spikes", "5,16777217"}, "--spikes 5,16777217: want whole numbers"},
		{[]string{"--sampler", "iid,"}, "--sampler iid,: want iid or low-discrepancy"},
		{[]string{"--spikes", "1,2", "--sampler", "iid,iid,iid"}, "--sampler has 3 values, but --spikes has 2: give one value for all SbS layers, or one per SbS layer"},
		{[]string{"--epsilon-schedule", "linear"}, "--epsilon-schedule linear: want inverse-sqrt, constant, or power:P with P from -10 to 0, such as power:-0.2"},
		{[]string{"--epsilon-schedule", "power:1"}, "--epsilon-schedule power:1: want inverse-sqrt"},
		{[]string{"--epsilon-0", "0"}, "--epsilon-0 0: want numbers above 0, at most 10000"},
		{[]string{"--epsilon-0", "NaN"}, "--epsilon-0 NaN: want numbers above 0"},
		{[]string{"--epsilon-0", "10001"}, "--epsilon-0 10001: want numbers above 0"},
	} {
		v := newValues()
		require.NoError(t, v.set.Parse(c.args))
		_, err := v.dynamics.Dynamics()
		require.ErrorContains(t, err, c.want, "%q", c.args)
		_, err = v.dynamics.Options()
		require.ErrorContains(t, err, c.want, "%q", c.args)
		var usage *UsageError
		require.ErrorAs(t, err, &usage)
	}
}

func TestApplyDynamics_ChangesEverySbSLayer(t *testing.T) {
	n := converttest.Digits()
	before := n.Layers[0].(*convert.SbS).Spikes
	schedule := sbs.Schedule{Power: -0.5}
	require.NoError(t, ApplyDynamics([]sbs.Dynamics{{Sampler: sbs.LowDiscrepancy, Schedule: &schedule, Epsilon0: 0.25}}, n))
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

func TestApplyDynamics_TakesOneValuePerSbSLayer(t *testing.T) {
	n := converttest.Digits()
	require.NoError(t, ApplyDynamics([]sbs.Dynamics{{Spikes: 3}, {Spikes: 300}}, n))
	require.Len(t, n.Layers[0].(*convert.SbS).EpsilonT, 3)
	require.Equal(t, sbs.Schedule{Power: -0.5}.EpsilonT(300), n.Layers[2].(*convert.SbS).EpsilonT)
	require.EqualError(t, ApplyDynamics(make([]sbs.Dynamics, 3), n),
		"there are values for 3 SbS layers, but the network has 2 (L0, L2): give one value for all SbS layers, or one per SbS layer")
	require.EqualError(t, ApplyDynamics([]sbs.Dynamics{{Spikes: 41}}, converttest.OwnEpsilonT(converttest.Digits())),
		"layer L0: epsilon_t has values for 40 spikes only, and follows no known rule: for 41 spikes, give a rule with --epsilon-schedule")
}

func TestFewSpikes_WarnsBelowATenth(t *testing.T) {
	n := converttest.Digits()
	few := func(list ...sbs.Dynamics) string { return FewSpikes(list, []int{40, 49}, n) }
	for _, list := range [][]sbs.Dynamics{nil, {{Spikes: 5}}, {{Spikes: 4, Schedule: &sbs.Schedule{}}}, {{Spikes: 4, Epsilon0: 3}}, {{Epsilon0: 3}}} {
		require.Empty(t, few(list...))
	}
	require.Equal(t, "L2 draws 4 spikes instead of 49: far fewer spikes lower the accuracy; pass --sampler low-discrepancy and a larger epsilon "+
		"(such as --epsilon-schedule power:-0.2 --epsilon-0 3)", few(sbs.Dynamics{Spikes: 40}, sbs.Dynamics{Spikes: 4}))
	list := []sbs.Dynamics{{Spikes: 3, Sampler: sbs.LowDiscrepancy}}
	require.NoError(t, ApplyDynamics(list, n))
	require.Contains(t, few(list...), "L0 draws 3 spikes instead of 40, L2 draws 3 spikes instead of 49: far fewer spikes lower the accuracy; pass a larger epsilon")
}

func TestApplyDynamics_NeedsAnSbSLayer(t *testing.T) {
	n := &convert.Network{Layers: []convert.Layer{&convert.ReLU{}}}
	require.NoError(t, ApplyDynamics(nil, n))
	require.EqualError(t, ApplyDynamics([]sbs.Dynamics{{Epsilon0: 1}}, n),
		"--spikes, --sampler, --epsilon-schedule and --epsilon-0 cannot be used: the network has no SbS layer")
}
