package pytorch

import (
	"fmt"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/ops/sbs"
)

// most returns the largest number of spikes of an SbS layer, 0 if there is none.
func (p *plan) most() int {
	most := 0
	for _, l := range p.layers {
		if l.kind.sbs() {
			most = max(most, l.spikes)
		}
	}
	return most
}

// dynamics sets the parameters of the updates of h. Values that no layer uses are not
// checked.
func (p *plan) dynamics(c *config) error {
	if i := slices.IndexFunc(p.layers, func(l layer) bool { return l.kind.nnmf() }); i >= 0 &&
		(c.epsilon0 > sbs.MaxEpsilon || c.epsilon0 > 0 && float32(c.epsilon0) == 0) {
		return fmt.Errorf("%s is %v for %v, want at most %v, and a float32 number (0 or less selects the multiplicative update)",
			c.where("epsilon_0"), c.epsilon0, p.layers[i], float32(sbs.MaxEpsilon))
	}
	p.epsilon0 = float32(max(c.epsilon0, 0))
	spikes := p.most()
	if spikes == 0 {
		return nil // no SbS layer
	}
	if c.epsilon0 > sbs.MaxEpsilon || float32(c.epsilon0) <= 0 {
		i := slices.IndexFunc(p.layers, func(l layer) bool { return l.kind.sbs() })
		return fmt.Errorf("%s is %v, but %v needs more than 0, at most %v; only NNMF layers accept 0 or less",
			c.where("epsilon_0"), c.epsilon0, p.layers[i], float32(sbs.MaxEpsilon))
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
	p.epsilonT = c.epsilonT(p.generation, spikes)

	const alpha, forgetting = "learning_parameters.alpha_number_of_iterations", "forgetting_offset"
	switch {
	case c.alpha <= 0:
	case !generations.alpha[p.generation]:
		p.warn("%s belongs to dialect 1 and is ignored", c.where(alpha))
	case c.alpha > maxAlpha:
		return fmt.Errorf("%s is %d, want at most %d", c.where(alpha), c.alpha, maxAlpha)
	default:
		p.alpha = c.alpha
	}
	switch {
	case c.forgetting <= 0:
	case !generations.forgetting[p.generation]:
		p.warn("%s belongs to dialect 2 and is ignored", c.where(forgetting))
	case c.forgetting > sbs.MaxEpsilon:
		return fmt.Errorf("%s is %v, want at most %v", c.where(forgetting), c.forgetting, float32(sbs.MaxEpsilon))
	default:
		p.forgetting = float32(c.forgetting)
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
func (c *config) epsilonT(g generation, spikes int) []float32 {
	e := generations.epsilonT[g].EpsilonT(spikes)
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
		if l.kind.sbs() {
			most = max(most, inRange(l.given))
		}
	}
	return c.epsilonT(p.generation, most)
}

// inRange returns a number of spikes that a layer can have, and 0 for other numbers.
func inRange(spikes int) int {
	if spikes < 0 || spikes > maxSpikes {
		return 0
	}
	return spikes
}

// initialXY returns the initial epsilon_xy.
func (c *config) initialXY(g generation) float64 {
	if _, ok := c.given[initialXYKey]; ok && generations.usesInitialXY[g] {
		return c.epsilonXY
	}
	return generations.initialXY[g]
}

const noiseRangeKey = "learning_parameters.weight_noise_range"

const initialXYKey = "learning_parameters.eps_xy_intitial"

// initialEpsilon returns epsilon_0 times the initial epsilon_xy: the epsilon_0 of layers
// without an EpsXY file.
func (c *config) initialEpsilon(g generation) (float32, error) {
	xy := c.initialXY(g)
	if xy < 0 || xy > sbs.MaxEpsilon {
		return 0, fmt.Errorf("%s is %v, want 0 to %v", c.where(initialXYKey), xy, float32(sbs.MaxEpsilon))
	}
	if c.epsilon0*xy > sbs.MaxEpsilon {
		return 0, fmt.Errorf("%s is %v, which times epsilon_0 = %v is more than %v", c.where(initialXYKey), xy, c.epsilon0, float32(sbs.MaxEpsilon))
	}
	return float32(c.epsilon0 * xy), nil
}

// untrained returns the range of untrained weights before normalization.
func (c *config) untrained(g generation) (lo, hi float64, err error) {
	key := generations.noise[g]
	lo, hi = 1, 1+c.noise
	if generations.dialect[g] == 2 {
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
