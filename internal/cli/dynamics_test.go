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
		{[]string{"--epsilon-schedule", "auto"}, []sbs.Dynamics{{Schedule: &sbs.Schedule{Auto: true}}}},
		{[]string{"--epsilon-schedule", "auto", "--epsilon-0", "auto"}, []sbs.Dynamics{{Schedule: &sbs.Schedule{Auto: true}}}},
		{[]string{"--epsilon-schedule", "auto,constant", "--epsilon-0", "auto,0.3"}, []sbs.Dynamics{{Schedule: &sbs.Schedule{Auto: true}}, {Schedule: &sbs.Schedule{}, Epsilon0: 0.3}}},
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
		{[]string{"--epsilon-schedule", "linear"}, "--epsilon-schedule linear: want auto, inverse-sqrt, constant, or power:P with P from -10 to 0, such as power:-0.2"},
		{[]string{"--epsilon-schedule", "power:1"}, "--epsilon-schedule power:1: want auto, inverse-sqrt"},
		{[]string{"--epsilon-0", "0"}, "--epsilon-0 0: want numbers above 0, at most 10000"},
		{[]string{"--epsilon-schedule", "auto", "--epsilon-0", "0.5"}, "--epsilon-schedule auto chooses epsilon_0, so a layer cannot also have --epsilon-0 0.5: leave out --epsilon-0"},
		{[]string{"--epsilon-schedule", "constant,auto", "--epsilon-0", "0.5,2"}, "so a layer cannot also have --epsilon-0 2"},
		{[]string{"--epsilon-schedule", "constant,auto", "--epsilon-0", "auto,auto"}, "--epsilon-0 auto needs --epsilon-schedule auto for the same layer"},
		{[]string{"--epsilon-0", "auto"}, "--epsilon-0 auto needs --epsilon-schedule auto for the same layer"},
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
	require.NoError(t, ApplyDynamics([]sbs.Dynamics{{Sampler: sbs.LowDiscrepancy, Schedule: &schedule, Epsilon0: 0.25}}, SpikesOf(n), n))
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
	require.NoError(t, ApplyDynamics([]sbs.Dynamics{{Spikes: 3}, {Spikes: 300}}, SpikesOf(n), n))
	require.Len(t, n.Layers[0].(*convert.SbS).EpsilonT, 3)
	require.Equal(t, sbs.Schedule{Power: -0.5}.EpsilonT(300), n.Layers[2].(*convert.SbS).EpsilonT)
	require.EqualError(t, ApplyDynamics(make([]sbs.Dynamics, 3), SpikesOf(n), n),
		"there are values for 3 SbS layers, but the network has 2 (L0, L2): give one value for all SbS layers, or one per SbS layer")
	own := converttest.OwnEpsilonT(converttest.Digits())
	require.EqualError(t, ApplyDynamics([]sbs.Dynamics{{Spikes: 41}}, SpikesOf(own), own),
		"layer L0: epsilon_t has values for 40 spikes only, and follows no known rule: for 41 spikes, give --epsilon-schedule inverse-sqrt, constant or power:P")
}

// TestApplyDynamics_AutoStartsFromTheGivenSpikes has layers whose spikes were replaced after
// the network was read, as sbs-convert --spikes does.
func TestApplyDynamics_AutoStartsFromTheGivenSpikes(t *testing.T) {
	n, own := converttest.Digits(), SpikesOf(converttest.Digits())
	l0, l2 := n.Layers[0].(*convert.SbS), n.Layers[2].(*convert.SbS)
	l0.Spikes, l0.EpsilonT = 7, l0.EpsilonT[:7]
	l2.Spikes, l2.EpsilonT = 7, l2.EpsilonT[:7]
	own[0].EpsilonT = sbs.Schedule{}.EpsilonT(40)
	l2.Forgetting = 0.5
	auto := &sbs.Schedule{Auto: true}
	list := []sbs.Dynamics{{Spikes: 7, Schedule: auto}}
	require.NoError(t, ApplyDynamics(list, own, n))
	for i, l := range []*convert.SbS{l0, l2} {
		p := own[i]
		p.Epsilon0, p.Forgetting = 1, l.Forgetting
		want, err := list[0].Resolve(p, nil)
		require.NoError(t, err)
		require.Equal(t, want.Epsilon0, l.Epsilon0)
		require.Len(t, l.EpsilonT, 7)
	}
	require.NotEqual(t, l0.Epsilon0, l2.Epsilon0)

	n = converttest.OwnEpsilonT(converttest.Digits())
	require.NoError(t, ApplyDynamics([]sbs.Dynamics{{Spikes: 39, Schedule: auto}}, SpikesOf(n), n), "fewer spikes need no known rule")
	n = converttest.OwnEpsilonT(converttest.Digits())
	require.ErrorContains(t, ApplyDynamics([]sbs.Dynamics{{Spikes: 41, Schedule: auto}}, SpikesOf(n), n),
		"layer L0: epsilon_t has values for 40 spikes only, and follows no known rule")
	n = converttest.Digits()
	n.Layers[2].(*convert.SbS).EpsilonXY = converttest.New(1).Tensor(-2, -1, 1, 1)
	require.ErrorContains(t, ApplyDynamics(list, SpikesOf(n), n), "layer L2: epsilon_0, epsilon_t, epsilon_xy and forgetting_offset must be at least 0")
}

func TestFewSpikes_WarnsIfEpsilonDoesNotFit(t *testing.T) {
	few := func(list ...sbs.Dynamics) string {
		n := converttest.Digits()
		own := SpikesOf(n)
		require.NoError(t, ApplyDynamics(list, own, n))
		return FewSpikes(own, n)
	}
	auto := &sbs.Schedule{Auto: true}
	for _, list := range [][]sbs.Dynamics{nil, {{Spikes: 40}}, {{Spikes: 30}}, {{Spikes: 400}}, {{Spikes: 8, Epsilon0: 5}}, {{Epsilon0: 0.01}}, {{Spikes: 4, Schedule: auto}}} {
		require.Empty(t, few(list...), "%+v", list)
	}
	require.Equal(t, "L2 draws 4 spikes instead of 40: epsilon is too small for so few spikes, which lowers the accuracy; pass --sampler low-discrepancy and --epsilon-schedule auto",
		few(sbs.Dynamics{Spikes: 40}, sbs.Dynamics{Spikes: 4}))
	require.Contains(t, few(sbs.Dynamics{Spikes: 3, Sampler: sbs.LowDiscrepancy}), "L0 draws 3 spikes instead of 40, L2 draws 3 spikes instead of 40: epsilon")
	require.Contains(t, few(sbs.Dynamics{Spikes: 3, Sampler: sbs.LowDiscrepancy}), "the accuracy; pass --epsilon-schedule auto")
	require.Contains(t, few(sbs.Dynamics{Spikes: 4, Schedule: &sbs.Schedule{Power: -0.5}}), "L0 draws 4 spikes instead of 40")
	require.Contains(t, few(sbs.Dynamics{Spikes: 1, Epsilon0: sbs.MaxEpsilon}, sbs.Dynamics{Spikes: 40}), "")
}

func TestApplyDynamics_NeedsAnSbSLayer(t *testing.T) {
	n := &convert.Network{Layers: []convert.Layer{&convert.ReLU{}}}
	require.NoError(t, ApplyDynamics(nil, nil, n))
	for want, d := range map[string]sbs.Dynamics{
		"--epsilon-0": {Epsilon0: 1}, "--spikes": {Spikes: 1}, "--sampler": {Sampler: sbs.IID},
		"--epsilon-schedule, --spikes": {Spikes: 2, Schedule: &sbs.Schedule{Auto: true}},
	} {
		require.EqualError(t, ApplyDynamics([]sbs.Dynamics{d}, nil, n), want+" cannot be used: the network has no SbS layer")
	}
	n.Layers = append(n.Layers, &convert.NNMF{})
	require.EqualError(t, ApplyDynamics([]sbs.Dynamics{{Epsilon0: 1}}, nil, n), "--epsilon-0 cannot be used: the network has no SbS layer")
	require.EqualError(t, ApplyDynamics([]sbs.Dynamics{{Spikes: 1}}, nil, n),
		"--spikes cannot be used: the network has no SbS layer; number_of_spikes in the configuration sets the iterations of its NNMF layers")
}
