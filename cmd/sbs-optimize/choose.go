package main

import (
	"context"
	"fmt"
	"slices"
)

// choice is the result of a search.
type choice struct {
	rows   []*row // by updates
	given  *row
	chosen *row
	met    bool // the wish holds for chosen
}

// choose fine-tunes the networks of the path that are worth it, and chooses one.
func (o *optimizer) choose(ctx context.Context, path []*candidate) (*choice, error) {
	c := &choice{}
	var err error
	if c.given, err = o.newRow(ctx, o.given); err != nil {
		return nil, err
	}
	if err := o.addNoise(ctx, c.given); err != nil {
		return nil, err
	}
	for _, p := range path {
		r, err := o.newRow(ctx, p)
		if err != nil {
			return nil, err
		}
		c.rows = append(c.rows, r)
	}
	if o.maxUpdates.Set {
		err = o.tuneBelow(ctx, c, path)
	} else {
		err = o.tuneToTheEdge(ctx, c, path)
	}
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(c.rows, func(a, b *row) int { return a.candidate.updates - b.candidate.updates })
	if err := o.pick(ctx, c); err != nil {
		return nil, err
	}
	for _, r := range c.front() {
		if err := o.addNoise(ctx, r); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// tuneToTheEdge finds the cheapest network of the path that has the accuracy of the wish after
// fine-tuning. It halves the part of the path in which that network must be.
func (o *optimizer) tuneToTheEdge(ctx context.Context, c *choice, path []*candidate) error {
	holds, fails := -1, len(path)
	for i, r := range c.rows {
		ok, err := o.meets(ctx, c, r)
		if err != nil {
			return err
		}
		if ok {
			holds = i
		}
	}
	for n := 0; n < o.trainings.Or(defaultTrainings) && fails-holds > 1; n++ {
		i := (holds + fails) / 2
		r, err := o.tune(ctx, c, path[i])
		if err != nil {
			return err
		}
		ok, err := o.meets(ctx, c, r)
		if err != nil {
			return err
		}
		if ok {
			holds = i
		} else {
			fails = i
		}
	}
	return nil
}

// tuneBelow fine-tunes the networks of the path with the most updates that the wish allows.
func (o *optimizer) tuneBelow(ctx context.Context, c *choice, path []*candidate) error {
	n := 0
	for _, p := range path {
		if p.updates > o.maxUpdates.Value || n >= o.trainings.Or(defaultTrainings) {
			continue
		}
		n++
		if _, err := o.tune(ctx, c, p); err != nil {
			return err
		}
	}
	return nil
}

// tune fine-tunes a network of the path. It starts from the weights of the network that was
// trained with the next larger number of updates, if there is one.
func (o *optimizer) tune(ctx context.Context, c *choice, p *candidate) (*row, error) {
	weights := o.given
	for _, r := range c.rows {
		if r.trained && r.candidate.updates > p.updates && (weights == o.given || r.candidate.updates < weights.updates) {
			weights = r.candidate
		}
	}
	o.printf("fine-tuning with %d updates, spikes %s\n", p.updates, p.spikes())
	t, err := o.fineTune(ctx, withSpikes(weights.network, p.network))
	if err != nil {
		return nil, err
	}
	r, err := o.newRow(ctx, t)
	if err != nil {
		return nil, err
	}
	c.rows = append(c.rows, r)
	o.printf("  %s%.2f%% of the images of the search\n", o.staged(r), r.accuracy)
	return r, nil
}

// staged says how many updates a model with stages takes on average.
func (o *optimizer) staged(r *row) string {
	if o.loss == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f updates with stages, ", r.updates)
}

// meets reports whether the wish holds for a network.
func (o *optimizer) meets(ctx context.Context, c *choice, r *row) (bool, error) {
	if r.accuracy < o.minAccuracy || o.maxUpdates.Set && r.updates > float64(o.maxUpdates.Value) {
		return false, nil
	}
	if !o.set.Changed(flagRobustness) {
		return true, nil
	}
	if err := o.addNoise(ctx, r); err != nil {
		return false, err
	}
	return r.noisyMean >= c.given.noisyMean-o.robustness, nil
}

// pick chooses a network: of those for which the wish holds, the one with the fewest updates
// or, with --max-updates, the most accurate one; if there is none, the one that comes closest.
func (o *optimizer) pick(ctx context.Context, c *choice) error {
	all := append(slices.Clone(c.rows), c.given)
	for _, r := range all {
		ok, err := o.meets(ctx, c, r)
		if err != nil {
			return err
		}
		switch better := c.chosen == nil || o.better(r, c.chosen, ok); {
		case ok && (!c.met || better):
			c.chosen, c.met = r, true
		case !ok && !c.met && better:
			c.chosen = r
		}
	}
	return nil
}

// better reports whether a is a better choice than b. met says whether the wish holds for a.
func (o *optimizer) better(a, b *row, met bool) bool {
	byUpdates := met && !o.maxUpdates.Set
	if !met && o.maxUpdates.Set {
		byUpdates = true // none has so few: the fewest come closest
	}
	if byUpdates && a.updates != b.updates {
		return a.updates < b.updates
	}
	if a.accuracy != b.accuracy {
		return a.accuracy > b.accuracy
	}
	return a.updates < b.updates
}

// front returns the networks that are worth a line of the table: no other one has more right
// answers with as few updates, or the network was fine-tuned, or it is chosen.
func (c *choice) front() []*row {
	var front []*row
	best := -1.0
	for _, r := range c.rows {
		if r.accuracy > best || r.trained || r == c.chosen {
			front = append(front, r)
		}
		best = max(best, r.accuracy)
	}
	return front
}
