package pytorch

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/ops/sbs"
)

// dynamics sets the parameters of the updates of h. spikes is the largest number of
// spikes of a layer. Values that no layer uses are not checked.
func (p *plan) dynamics(c *config, spikes int) error {
	if spikes == 0 {
		return nil // no SbS layer
	}
	if c.epsilon0 > sbs.MaxEpsilon || float32(c.epsilon0) <= 0 {
		return fmt.Errorf("%s is %v, want more than 0 and at most %v", c.where("epsilon_0"), c.epsilon0, float32(sbs.MaxEpsilon))
	}
	cools := c.cooldown >= 0 && c.cooldown < spikes
	if cools && (c.reduction < 1/sbs.MaxEpsilon || c.reduction > math.MaxFloat32) {
		return fmt.Errorf("%s is %v, want %v to %v: it divides epsilon_t, which can be at most %v",
			c.where("reduction_cooldown"), c.reduction, 1/sbs.MaxEpsilon, float32(math.MaxFloat32), float32(sbs.MaxEpsilon))
	}
	if late := p.beforeCooldown(c); late != nil {
		p.warn("%s is %d, but %v has %d spikes: the model does not include the cooldown, and continues without it if it runs with more spikes",
			c.where("cooldown_after_number_of_spikes"), c.cooldown, *late, late.spikes)
	}
	p.epsilon0 = float32(c.epsilon0)
	p.epsilonT = c.epsilonT(p.dialect, spikes)

	const alpha, forgetting = "learning_parameters.alpha_number_of_iterations", "forgetting_offset"
	switch {
	case p.dialect == 1 && c.alpha > maxAlpha:
		return fmt.Errorf("%s is %d, want at most %d", c.where(alpha), c.alpha, maxAlpha)
	case p.dialect == 1:
		p.alpha = max(c.alpha, 0)
		if c.forgetting > 0 {
			p.warn("%s belongs to dialect 2 and is ignored", c.where(forgetting))
		}
	case c.forgetting > sbs.MaxEpsilon:
		return fmt.Errorf("%s is %v, want at most %v", c.where(forgetting), c.forgetting, float32(sbs.MaxEpsilon))
	default:
		p.forgetting = float32(max(c.forgetting, 0))
		if c.alpha > 0 {
			p.warn("%s belongs to dialect 1 and is ignored", c.where(alpha))
		}
	}
	return nil
}

// beforeCooldown returns an SbS layer whose number of spikes was lowered below the start of
// the cooldown, or nil if there is none.
func (p *plan) beforeCooldown(c *config) *layer {
	for i := range p.layers {
		if l := &p.layers[i]; c.cooldown >= 0 && l.spikes <= c.cooldown && c.cooldown < l.given {
			return l
		}
	}
	return nil
}

// epsilonT returns the schedule for a number of spikes. Since the cooldown affects only
// the spikes after its start, the schedule for fewer spikes is a prefix of it.
func (c *config) epsilonT(dialect, spikes int) []float32 {
	rule := sbs.Schedule{} // constant
	if dialect == 2 {
		rule.Power = -0.5
	}
	e := rule.EpsilonT(spikes)
	for t := range e {
		if c.cooldown >= 0 && t >= c.cooldown {
			e[t] /= float32(c.reduction)
		}
	}
	return e
}

// configured returns epsilon_t for the layer with most spikes in the configuration, whether
// or not Options.Spikes replaces them.
func (p *plan) configured(c *config) []float32 {
	most := 0
	for _, l := range p.layers {
		most = max(most, inRange(l.given))
	}
	return c.epsilonT(p.dialect, most)
}

// inRange returns a number of spikes that a layer can have, and 0 for other numbers.
func inRange(spikes int) int {
	if spikes < 0 || spikes > maxSpikes {
		return 0
	}
	return spikes
}

// initialXY returns the initial epsilon_xy.
func (c *config) initialXY(dialect int) float64 {
	if _, ok := c.given[initialXYKey]; ok {
		return c.epsilonXY
	}
	return map[int]float64{1: 0.1, 2: 1}[dialect]
}

const initialXYKey = "learning_parameters.eps_xy_intitial"

// initialEpsilon returns epsilon_0 times the initial epsilon_xy: the epsilon_0 of layers
// without an EpsXY file.
func (c *config) initialEpsilon(dialect int) (float32, error) {
	xy := c.initialXY(dialect)
	if xy < 0 || xy > sbs.MaxEpsilon {
		return 0, fmt.Errorf("%s is %v, want 0 to %v", c.where(initialXYKey), xy, float32(sbs.MaxEpsilon))
	}
	if c.epsilon0*xy > sbs.MaxEpsilon {
		return 0, fmt.Errorf("%s is %v, which times epsilon_0 = %v is more than %v", c.where(initialXYKey), xy, c.epsilon0, float32(sbs.MaxEpsilon))
	}
	return float32(c.epsilon0 * xy), nil
}

// untrained returns the range of untrained weights before normalization.
func (c *config) untrained(dialect int) (lo, hi float64, err error) {
	key := "learning_parameters.weight_noise_amplitude"
	lo, hi = 1, 1+c.noise
	if dialect == 2 {
		key = "learning_parameters.weight_noise_range"
		if len(c.noiseRange) != 2 {
			return 0, 0, fmt.Errorf("%s has %d entries, want 2", c.where(key), len(c.noiseRange))
		}
		lo, hi = c.noiseRange[0], c.noiseRange[1]
	}
	if lo < 0 || hi < lo || hi <= 0 || hi > math.MaxFloat32 {
		return 0, 0, fmt.Errorf("%s: untrained weights cannot lie between %v and %v", c.where(key), lo, hi)
	}
	return lo, hi, nil
}
