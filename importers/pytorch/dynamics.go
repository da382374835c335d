package pytorch

import (
	"fmt"
	"math"
)

// maxEpsilon bounds epsilon_0, epsilon_t, epsilon_xy and forgetting_offset: the
// operator takes no larger ones.
const maxEpsilon = 1e4

// dynamics sets what governs the updates of h, for at most so many spikes. What
// no layer uses is not looked at.
func (p *plan) dynamics(c *config, spikes int) error {
	if spikes == 0 {
		return nil // there is no SbS layer
	}
	if c.epsilon0 > maxEpsilon || float32(c.epsilon0) <= 0 {
		return fmt.Errorf("%s is %v, want more than 0 and at most %v", c.where("epsilon_0"), c.epsilon0, float32(maxEpsilon))
	}
	cools := c.cooldown >= 0 && c.cooldown < spikes
	if cools && (c.reduction < 1/maxEpsilon || c.reduction > math.MaxFloat32) {
		return fmt.Errorf("%s is %v, want %v to %v: it divides epsilon_t, which can be at most %v",
			c.where("reduction_cooldown"), c.reduction, 1/maxEpsilon, float32(math.MaxFloat32), float32(maxEpsilon))
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
	case c.forgetting > maxEpsilon:
		return fmt.Errorf("%s is %v, want at most %v", c.where(forgetting), c.forgetting, float32(maxEpsilon))
	default:
		p.forgetting = float32(max(c.forgetting, 0))
		if c.alpha > 0 {
			p.warn("%s belongs to dialect 1 and is ignored", c.where(alpha))
		}
	}
	return nil
}

// epsilonT returns the schedule for a number of spikes. The cooldown changes
// nothing before its own beginning, so that the schedule for fewer spikes is
// the beginning of this one.
func (c *config) epsilonT(dialect, spikes int) []float32 {
	e := make([]float32, spikes)
	for t := range e {
		e[t] = 1
		if dialect == 2 {
			e[t] = float32(1 / math.Sqrt(float64(t+1)))
		}
		if c.cooldown >= 0 && t >= c.cooldown {
			e[t] /= float32(c.reduction)
		}
	}
	return e
}

// initialEpsilon returns epsilon_0 times the initial epsilon_xy, which layers
// without an EpsXY file have.
func (c *config) initialEpsilon(dialect int) (float32, error) {
	const key = "learning_parameters.eps_xy_intitial"
	xy := c.epsilonXY
	if _, ok := c.given[key]; !ok {
		xy = map[int]float64{1: 0.1, 2: 1}[dialect]
	}
	if xy < 0 || xy > maxEpsilon {
		return 0, fmt.Errorf("%s is %v, want 0 to %v", c.where(key), xy, float32(maxEpsilon))
	}
	if c.epsilon0*xy > maxEpsilon {
		return 0, fmt.Errorf("%s is %v, which times epsilon_0 = %v is more than %v", c.where(key), xy, c.epsilon0, float32(maxEpsilon))
	}
	return float32(c.epsilon0 * xy), nil
}

// untrained returns the range of untrained weights, before they are normalised.
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
