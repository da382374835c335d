package cli

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/runtime"
)

// DynamicsFlags are the flags that change how SbS layers draw their spikes and how much
// each spike changes a layer. Each takes one value for all SbS layers, or a list with one
// value per SbS layer.
type DynamicsFlags struct {
	spikes, sampler, schedule, epsilon0 listValue
}

// listValue is the value of a flag that takes one value or several, separated by commas.
// Repeating the flag replaces the list. It is nil if the flag is not given.
type listValue []string

// Set implements pflag.Value.
func (l *listValue) Set(s string) error {
	*l = strings.Split(s, ",")
	for i, v := range *l {
		(*l)[i] = strings.TrimSpace(v)
	}
	return nil
}

// String implements pflag.Value.
func (l *listValue) String() string { return strings.Join(*l, ",") }

// Type implements pflag.Value.
func (l *listValue) Type() string { return "values" }

// refused returns err with the name of the flag and its values.
func (l *listValue) refused(flag string, err error) error {
	return fmt.Errorf("--%s %s: %w", flag, cmp.Or(l.String(), `""`), err)
}

// of returns the value for SbS layer number i, from 0, of a list with one value for all SbS
// layers or one for each.
func of[T any](list []T, i int) T { return list[min(i, len(list)-1)] }

// SpikesFlag is a flag for numbers of spikes: none, one for all SbS layers, or one per SbS
// layer.
type SpikesFlag struct{ values listValue }

// SpikesVar defines a SpikesFlag. usage says what the spikes are for.
func SpikesVar(s *pflag.FlagSet, f *SpikesFlag, name, usage string) { s.Var(&f.values, name, usage) }

// Set reports whether the flag was given.
func (f *SpikesFlag) Set() bool { return len(f.values) > 0 }

// Dynamics returns the numbers of spikes after the flags are parsed. An error is a
// UsageError that names the flag.
func (f *SpikesFlag) Dynamics(name string) ([]sbs.Dynamics, error) {
	list := make([]sbs.Dynamics, len(f.values))
	for i, v := range f.values {
		if err := setSpikes(&list[i], v); err != nil {
			return nil, Usage(f.values.refused(name, err))
		}
	}
	return list, nil
}

// The flags of DynamicsFlags.
const (
	flagSpikes   = "spikes"
	flagSampler  = "sampler"
	flagSchedule = "epsilon-schedule"
	flagEpsilon0 = "epsilon-0"
)

// DynamicsFlagNames lists the flags of DynamicsFlags, for Group.
func DynamicsFlagNames() []string {
	return []string{flagSpikes, flagSampler, flagSchedule, flagEpsilon0}
}

// Register defines the flags in s. spikes describes the default number of spikes.
func (f *DynamicsFlags) Register(s *pflag.FlagSet, spikes string) {
	s.Var(&f.spikes, flagSpikes, fmt.Sprintf("`number` of spikes per output position, 1 to %d, for all SbS layers or one per SbS layer, such as 25,100,200,200 (default: %s)", sbs.MaxSpikes, spikes))
	s.Var(&f.sampler, flagSampler, "`method` of drawing spikes: iid (independent, as PyTorch-SbS does) or low-discrepancy (evenly spread; needs far fewer spikes), for all SbS layers or one per SbS layer")
	s.Var(&f.schedule, flagSchedule, "`rule` for epsilon_t: inverse-sqrt, constant, power:P for (t+1)^P, or auto; for all SbS layers or one per SbS layer. With fewer spikes, auto keeps epsilon_t and chooses epsilon_0 so that all spikes together change a layer as much as before")
	s.Var(&f.epsilon0, flagEpsilon0, "`value` of epsilon_0, for all SbS layers or one per SbS layer; auto for layers with --epsilon-schedule auto")
}

// Dynamics returns the values of the flags after they are parsed: none, one for all SbS
// layers, or one per SbS layer. A flag that was not given has the zero value. An error is a
// UsageError.
func (f *DynamicsFlags) Dynamics() ([]sbs.Dynamics, error) {
	list, err := f.dynamics()
	return list, Usage(err)
}

func (f *DynamicsFlags) dynamics() ([]sbs.Dynamics, error) {
	if len(f.spikes)+len(f.sampler)+len(f.schedule)+len(f.epsilon0) == 0 {
		return nil, nil
	}
	list := make([]sbs.Dynamics, 1)
	longest := ""
	for _, v := range []struct {
		flag   string
		values listValue
		set    func(d *sbs.Dynamics, value string) error
	}{
		{flagSpikes, f.spikes, setSpikes}, {flagSampler, f.sampler, setSampler},
		{flagSchedule, f.schedule, setSchedule}, {flagEpsilon0, f.epsilon0, setEpsilon0},
	} {
		if n := len(v.values); n > 1 && len(list) == 1 {
			list, longest = slices.Repeat(list, n), v.flag
		} else if n > 1 && n != len(list) {
			return nil, fmt.Errorf("--%s has %d values, but --%s has %d: give one value for all SbS layers, or one per SbS layer", v.flag, n, longest, len(list))
		}
		for i := range list {
			if len(v.values) == 0 {
				continue
			}
			if err := v.set(&list[i], of(v.values, i)); err != nil {
				return nil, v.values.refused(v.flag, err)
			}
		}
	}
	return list, f.checkAuto(list)
}

// checkAuto returns an error if a layer has the schedule auto and an epsilon_0, or if
// epsilon_0 is left to a schedule that does not choose it.
func (f *DynamicsFlags) checkAuto(list []sbs.Dynamics) error {
	for i, d := range list {
		if d.Auto() && d.Epsilon0 != 0 {
			return fmt.Errorf("--%s auto chooses epsilon_0, so a layer cannot also have --%s %v: leave out --%s, or give it a list with auto for this layer",
				flagSchedule, flagEpsilon0, d.Epsilon0, flagEpsilon0)
		}
		if len(f.epsilon0) > 0 && !d.Auto() && of(f.epsilon0, i) == epsilon0Auto {
			return fmt.Errorf("--%s auto needs --%s auto for the same layer", flagEpsilon0, flagSchedule)
		}
	}
	return nil
}

// epsilon0Auto leaves epsilon_0 to the schedule.
const epsilon0Auto = "auto"

func setSpikes(d *sbs.Dynamics, value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > sbs.MaxSpikes {
		return fmt.Errorf("want whole numbers from 1 to %d", sbs.MaxSpikes)
	}
	d.Spikes = n
	return nil
}

func setSampler(d *sbs.Dynamics, value string) (err error) {
	if d.Sampler, err = sbs.ParseSampler(value); err != nil {
		return errors.New("want iid or low-discrepancy")
	}
	return nil
}

func setSchedule(d *sbs.Dynamics, value string) error {
	s, err := ParseSchedule(value)
	d.Schedule = &s
	return err
}

// ParseSchedule parses a value of the flag --epsilon-schedule.
func ParseSchedule(value string) (sbs.Schedule, error) {
	s, err := sbs.ParseSchedule(value)
	if err != nil {
		err = errors.New("want auto, inverse-sqrt, constant, or power:P with P from -10 to 0, such as power:-0.2")
	}
	return s, err
}

func setEpsilon0(d *sbs.Dynamics, value string) error {
	if value == epsilon0Auto {
		return nil
	}
	e, err := strconv.ParseFloat(value, 32)
	if err != nil || !(e > 0 && e <= sbs.MaxEpsilon) {
		return fmt.Errorf("want numbers above 0, at most %g, or auto for layers with --%s auto", float32(sbs.MaxEpsilon), flagSchedule)
	}
	d.Epsilon0 = float32(e)
	return nil
}

// Options returns the options for loading a model with the values of the flags. An error
// is a UsageError.
func (f *DynamicsFlags) Options() ([]runtime.Option, error) {
	list, err := f.Dynamics()
	return RunOptions(list), err
}

// RunOptions returns the options for loading a model with a list that Dynamics returns.
func RunOptions(list []sbs.Dynamics) []runtime.Option {
	switch len(list) {
	case 0:
		return nil
	case 1:
		return []runtime.Option{runtime.AllLayers(list[0])}
	}
	return []runtime.Option{runtime.EachLayer(list...)}
}

// Spiking reports whether a network has an SbS layer.
func Spiking(n *convert.Network) bool {
	layers, _ := spiking(n)
	return len(layers) > 0
}

// NeedSbS returns an error that names the given flags if a network has no SbS layer.
func NeedSbS(n *convert.Network, flags string) error {
	if Spiking(n) {
		return nil
	}
	advice := ""
	if strings.Contains(flags, flagSpikes) && slices.ContainsFunc(n.Layers, func(l convert.Layer) bool { _, ok := l.(*convert.NNMF); return ok }) {
		advice = "; number_of_spikes in the configuration sets the iterations of its NNMF layers"
	}
	return fmt.Errorf("%s cannot be used: the network has no SbS layer%s", flags, advice)
}

// given names the flags that a list that Dynamics returns comes from.
func given(list []sbs.Dynamics) string {
	var flags []string
	for flag, is := range map[string]func(sbs.Dynamics) bool{
		flagSpikes:   func(d sbs.Dynamics) bool { return d.Spikes != 0 },
		flagSampler:  func(d sbs.Dynamics) bool { return d.Sampler != "" },
		flagSchedule: func(d sbs.Dynamics) bool { return d.Schedule != nil },
		flagEpsilon0: func(d sbs.Dynamics) bool { return d.Epsilon0 != 0 },
	} {
		if slices.ContainsFunc(list, is) {
			flags = append(flags, "--"+flag)
		}
	}
	slices.Sort(flags)
	return strings.Join(flags, ", ")
}

// Classes returns the number of classes of a network. It returns an error if the output
// of the network is not one vector per image with an entry per class.
func Classes(n *convert.Network) (int, error) {
	sizes, err := n.Sizes()
	if err != nil {
		return 0, err
	}
	if Reconstructs(n) {
		return 0, errors.New("the output of the network is a reconstruction of its input instead of classes")
	}
	out := sizes[len(sizes)-1]
	if out.Height != 1 || out.Width != 1 {
		return 0, fmt.Errorf("for images of %v (channels x height x width), the output of the last layer is %v: "+
			"use images of another size or another network, so that the output has height 1 and width 1", n.Input, out)
	}
	return out.Channels, nil
}

// Reconstructs reports whether a network ends with a reconstruction of its input.
func Reconstructs(n *convert.Network) bool {
	if len(n.Layers) == 0 {
		return false
	}
	_, ok := n.Layers[len(n.Layers)-1].(*convert.Reconstruction)
	return ok
}

// MaxSpikes returns the largest number of spikes in a list that Dynamics returns, or 0 if
// there is none.
func MaxSpikes(list []sbs.Dynamics) int {
	most := 0
	for _, d := range list {
		most = max(most, d.Spikes)
	}
	return most
}

// spiking returns the SbS layers of a network and their names.
func spiking(n *convert.Network) (layers []*convert.SbS, names []string) {
	for i, l := range n.Layers {
		if s, ok := l.(*convert.SbS); ok {
			layers, names = append(layers, s), append(names, fmt.Sprintf("L%d", i))
		}
	}
	return layers, names
}

// FewSpikes returns a warning if ApplyDynamics has lowered the numbers of spikes of a network
// and their epsilon does not make up for that, and otherwise "". own is what ApplyDynamics has
// completed.
func FewSpikes(own []sbs.Params, n *convert.Network) string {
	layers, names := spiking(n)
	var few []string
	advice := ""
	for i, s := range layers {
		if i < len(own) && sbs.TooFewSpikes(own[i], sbs.Params{Spikes: s.Spikes, Epsilon0: s.Epsilon0, EpsilonT: s.EpsilonT}) {
			few = append(few, fmt.Sprintf("%s draws %d spikes instead of %d", names[i], s.Spikes, own[i].Spikes))
			switch {
			case s.Epsilon0 == sbs.MaxEpsilon:
				advice = "use more spikes"
			case s.Sampler != sbs.LowDiscrepancy && advice == "":
				advice = "pass --sampler low-discrepancy and --epsilon-schedule auto"
			}
		}
	}
	if few == nil {
		return ""
	}
	return strings.Join(few, ", ") + ": epsilon is too small for so few spikes, which lowers the accuracy; " + cmp.Or(advice, "pass --epsilon-schedule auto")
}

// SpikesOf returns the parameters of the spikes of every SbS layer of a network.
func SpikesOf(n *convert.Network) []sbs.Params {
	layers, _ := spiking(n)
	own := make([]sbs.Params, len(layers))
	for i, s := range layers {
		own[i] = sbs.Params{Spikes: s.Spikes, EpsilonT: s.EpsilonT, Epsilon0: s.Epsilon0, Forgetting: s.Forgetting}
	}
	return own
}

// FitsLayers returns a UsageError if a list of length length, with values for SbS layers,
// has neither one value nor one per SbS layer of a network.
func FitsLayers(length int, n *convert.Network) error {
	if layers, names := spiking(n); length > 1 && length != len(layers) {
		return Usage(fmt.Errorf("there are values for %d SbS layers, but the network has %d (%s): give one value for all SbS layers, or one per SbS layer",
			length, len(layers), strings.Join(names, ", ")))
	}
	return nil
}

// ApplyDynamics changes the SbS layers of a network as a list that Dynamics returns says.
// own has the number of spikes and epsilon_t of every SbS layer before the change, which the
// schedule auto needs; ApplyDynamics adds epsilon_0 and forgetting_offset. It returns an error
// if the list does not fit the SbS layers.
func ApplyDynamics(list []sbs.Dynamics, own []sbs.Params, n *convert.Network) error {
	if len(list) == 0 {
		return nil
	}
	if err := NeedSbS(n, given(list)); err != nil {
		return err
	}
	if err := FitsLayers(len(list), n); err != nil {
		return err
	}
	layers, names := spiking(n)
	for i, s := range layers {
		own[i].Epsilon0, own[i].Forgetting = s.Epsilon0, s.Forgetting
		if err := apply(of(list, i), own[i], s); err != nil {
			return fmt.Errorf("layer %s: %w", names[i], err)
		}
	}
	return nil
}

// FitTests returns a list of numbers of spikes for tests, one per SbS layer, with the epsilon_0
// that the schedule auto chooses for them in the layers that have it in trained. own is what
// ApplyDynamics has completed for trained.
func FitTests(list, trained []sbs.Dynamics, own []sbs.Params, n *convert.Network) ([]sbs.Dynamics, error) {
	layers, names := spiking(n)
	fitted := make([]sbs.Dynamics, len(layers))
	for i, s := range layers {
		d := of(list, i)
		if t := of(trained, i); t.Auto() {
			d.Schedule = t.Schedule
			var err error
			if d, err = d.Resolve(own[i], s.EpsilonXY); err != nil {
				return nil, fmt.Errorf("layer %s: %w", names[i], err)
			}
			d.Epsilon0 = cmp.Or(d.Epsilon0, own[i].Epsilon0)
		}
		fitted[i] = d
	}
	return fitted, nil
}

func apply(d sbs.Dynamics, own sbs.Params, s *convert.SbS) error {
	d.Spikes = cmp.Or(d.Spikes, s.Spikes)
	d, err := d.Resolve(own, s.EpsilonXY)
	if err != nil {
		return err
	}
	s.Spikes = d.Spikes
	s.Sampler = cmp.Or(d.Sampler, s.Sampler)
	s.Epsilon0 = cmp.Or(d.Epsilon0, s.Epsilon0)
	e := d.EpsilonT(s.EpsilonT)
	if len(e) < s.Spikes {
		return fmt.Errorf("epsilon_t has values for %d spikes only, and follows no known rule: for %d spikes, give --epsilon-schedule inverse-sqrt, constant or power:P", len(s.EpsilonT), s.Spikes)
	}
	s.EpsilonT = e
	return nil
}
