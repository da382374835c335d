package sbs

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spike-by-spike/sbs/internal/portmath"
	"github.com/spike-by-spike/sbs/ops"
)

// Sampler selects how the spikes of an output position are drawn. Its values are those
// of the attribute sampler.
type Sampler string

const (
	// IID draws independent uniform numbers, as PyTorch-SbS does.
	IID Sampler = "iid"

	// LowDiscrepancy uses u[t] = frac(u[0] + t/golden ratio), with a random u[0] per
	// output position. It computes u in 32-bit integers, in steps of 0x9e3779b9.
	// Consecutive u are spread evenly, so that far fewer spikes give the same
	// accuracy.
	LowDiscrepancy Sampler = "low_discrepancy"
)

// ParseSampler returns the sampler with the given name. It accepts both
// "low_discrepancy" and "low-discrepancy".
func ParseSampler(name string) (Sampler, error) {
	switch s := Sampler(strings.ReplaceAll(name, "-", "_")); s {
	case IID, LowDiscrepancy:
		return s, nil
	}
	return "", fmt.Errorf("sampler %q: want %s or %s", name, IID, LowDiscrepancy)
}

// Schedule is a rule for epsilon_t: spike t, counted from 0, has (t+1)^Power. Power must
// be from -10 to 0. The zero Schedule is constant: every spike has 1.
type Schedule struct {
	Power float64

	// Auto keeps epsilon_t and chooses epsilon_0 for the number of spikes: see
	// Dynamics.Resolve. Power must be 0.
	Auto bool `json:",omitempty"` // omitted so that settings stored before it existed stay equal
}

// ParseSchedule reads a schedule: "inverse-sqrt" for (t+1)^-0.5, the schedule of dialect
// 2; "constant" for 1; "power:P" for (t+1)^P, such as "power:-0.2"; or "auto".
func ParseSchedule(s string) (Schedule, error) {
	switch power, ok := strings.CutPrefix(s, "power:"); {
	case s == "inverse-sqrt":
		return Schedule{Power: -0.5}, nil
	case s == "constant":
		return Schedule{}, nil
	case s == "auto":
		return Schedule{Auto: true}, nil
	case ok:
		p, err := strconv.ParseFloat(power, 64)
		if s := (Schedule{Power: p}); err == nil && s.Check() == nil {
			return s, nil
		}
	}
	return Schedule{}, fmt.Errorf("epsilon schedule %q: want auto, inverse-sqrt, constant or power:P with P from -10 to 0, such as power:-0.2", s)
}

// Check returns an error if the power is out of range.
func (s Schedule) Check() error {
	if !(s.Power >= -10 && s.Power <= 0) {
		return fmt.Errorf("the power of the epsilon schedule is %v: want -10 to 0", s.Power)
	}
	if s.Auto && s.Power != 0 {
		return fmt.Errorf("the epsilon schedule is auto and has the power %v: want one of them", s.Power)
	}
	return nil
}

// String returns the text that ParseSchedule reads.
func (s Schedule) String() string {
	switch {
	case s.Auto:
		return "auto"
	case s.Power == -0.5:
		return "inverse-sqrt"
	case s.Power == 0:
		return "constant"
	}
	return "power:" + strconv.FormatFloat(s.Power, 'g', -1, 64)
}

// EpsilonT returns the first n entries of epsilon_t, and none if n is negative. It has no
// meaning for Auto: call Dynamics.Resolve first.
func (s Schedule) EpsilonT(n int) []float32 {
	e := make([]float32, max(n, 0))
	for t := range e {
		e[t] = float32(portmath.Pow(float64(t+1), s.Power))
	}
	return e
}

// Dynamics changes how SbS layers draw and weight their spikes. A field with the zero
// value does not change the property.
type Dynamics struct {
	Spikes   int       // number_of_spikes
	Sampler  Sampler   // sampler
	Epsilon0 float32   // epsilon_0; must be 0 if Schedule is auto
	Schedule *Schedule // epsilon_t
}

// Check returns an error if a value is not allowed in any layer. It cannot find out
// whether the epsilon_t of a layer has enough entries for Spikes.
func (d Dynamics) Check() error {
	if d.Spikes < 0 || d.Spikes > MaxSpikes {
		return fmt.Errorf("%d spikes: want 1 to %d, or 0 to keep the number of the model", d.Spikes, MaxSpikes)
	}
	if !(d.Epsilon0 >= 0 && d.Epsilon0 <= MaxEpsilon) {
		return fmt.Errorf("epsilon_0 %v: want more than 0 and at most %g, or 0 to keep the value of the model", d.Epsilon0, float32(MaxEpsilon))
	}
	if d.Sampler != "" {
		if _, err := ParseSampler(string(d.Sampler)); err != nil {
			return err
		}
	}
	if d.Auto() && d.Epsilon0 != 0 {
		return fmt.Errorf("epsilon_0 is %v, but the epsilon schedule is auto, which chooses epsilon_0: give only one of them", d.Epsilon0)
	}
	if d.Schedule != nil {
		return d.Schedule.Check()
	}
	return nil
}

// Auto reports whether the schedule is auto, so that Resolve chooses epsilon_0.
func (d Dynamics) Auto() bool { return d.Schedule != nil && d.Schedule.Auto }

// Over returns d, with every field that is zero in d taken from base.
func (d Dynamics) Over(base Dynamics) Dynamics {
	d.Spikes = cmp.Or(d.Spikes, base.Spikes)
	d.Sampler = cmp.Or(d.Sampler, base.Sampler)
	d.Epsilon0 = cmp.Or(d.Epsilon0, base.Epsilon0)
	d.Schedule = cmp.Or(d.Schedule, base.Schedule)
	return d
}

// Change sets the attributes that d changes in a, the attributes of an SbS node. It does
// nothing if a is nil. It does not choose epsilon_0 for the schedule auto: Resolve must do
// that before.
func (d Dynamics) Change(a ops.Attributes) {
	if a == nil {
		return
	}
	if d.Spikes > 0 {
		a[AttrSpikes] = int64(d.Spikes)
	}
	if d.Sampler != "" {
		a[AttrSampler] = string(d.Sampler)
	}
	if d.Epsilon0 != 0 {
		a[AttrEpsilon0] = d.Epsilon0
	}
	if d.Spikes == 0 && d.Schedule == nil {
		return
	}
	n, err := ops.Attr[int64](a, AttrSpikes, 0)
	if err != nil || n < 1 || n > MaxSpikes {
		return // ParamsOf reports the error
	}
	epsilonT, err := ops.Attr[[]float32](a, AttrEpsilonT, nil)
	if err == nil && (d.Schedule != nil || int(n) > len(epsilonT)) {
		d.Spikes = int(n)
		a[AttrEpsilonT] = d.EpsilonT(epsilonT)
	}
}

// EpsilonT returns epsilon_t for d.Spikes spikes, made from the epsilon_t of a layer. It
// returns one that follows no Schedule whole: it may have fewer entries than spikes, or
// more, which other numbers of spikes need.
func (d Dynamics) EpsilonT(given []float32) []float32 {
	if d.Schedule != nil {
		return d.Schedule.EpsilonT(d.Spikes)
	}
	if s, ok := FitSchedule(given); ok {
		return s.EpsilonT(d.Spikes)
	}
	return given
}

// FitSchedule returns the schedule that an epsilon_t follows. It returns false if there is
// none whose power has at most four decimals, or if epsilon_t has fewer than eight entries,
// which may follow a schedule by accident.
func FitSchedule(epsilonT []float32) (Schedule, bool) {
	const least = 8
	if len(epsilonT) < least || !(epsilonT[1] > 0) {
		return Schedule{}, false
	}
	const digits = 1e4 // 10 to the number of decimals
	s := Schedule{Power: math.Round(portmath.Log(float64(epsilonT[1]))/math.Ln2*digits) / digits}
	if s.Check() != nil || !slices.Equal(s.EpsilonT(len(epsilonT)), epsilonT) {
		return Schedule{}, false
	}
	return s, true
}
