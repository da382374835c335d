package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// choice is the result of a search.
type choice struct {
	rows   []*row // by updates
	given  *row
	chosen *row
	met    bool // chosen meets the goal
}

// choose fine-tunes the most promising networks of the path, and chooses a network.
func (o *optimizer) choose(ctx context.Context, path []*candidate) (*choice, error) {
	c := &choice{}
	o.printf("measuring %d networks with %d images\n", len(path), o.images.search.Len())
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
	switch {
	case o.loss > 0:
		err = o.tuneStages(ctx, c, path)
	case o.maxUpdates.Set:
		err = o.tuneBelow(ctx, c, path)
	default:
		err = o.tuneToTheEdge(ctx, c, path)
	}
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(c.rows, func(a, b *row) int {
		return cmp.Or(cmp.Compare(a.updates, b.updates), cmp.Compare(b.accuracy, a.accuracy))
	})
	if err := o.pick(ctx, c); err != nil {
		return nil, err
	}
	front := c.front()
	o.printf("measuring %d networks under noise\n", len(front))
	for _, r := range front {
		if err := o.addNoise(ctx, r); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// tuneToTheEdge finds the cheapest network of the path that meets the goal after fine-tuning. It
// halves the part of the path in which that network must be.
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

// tuneStages fine-tunes networks for the first stage. With few spikes, many images go on to the
// last stage, so the cheapest first stage does not make the cheapest model. tuneStages starts with
// the network that makes the best model, and continues with the nearest ones beside the best
// network that it has fine-tuned.
func (o *optimizer) tuneStages(ctx context.Context, c *choice, path []*candidate) error {
	best := 0
	for i, r := range c.rows { // none is trained yet
		if o.prefers(r, c.rows[best]) {
			best = i
		}
	}
	trained := make([]*row, len(path))
	for range min(o.trainings.Or(defaultTrainings), len(path)) {
		next := best
		for distance := 1; next < 0 || next >= len(path) || trained[next] != nil; distance++ {
			if next = best + distance; next >= len(path) || trained[next] != nil {
				next = best - distance
			}
		}
		var err error
		if trained[next], err = o.tune(ctx, c, path[next]); err != nil {
			return err
		}
		if trained[best] == nil || o.prefers(trained[next], trained[best]) {
			best = next
		}
	}
	return nil
}

// tuneBelow fine-tunes the networks of the path with the most updates that the goal allows.
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
	o.printf("  %s%.2f%% of the search images\n", o.staged(r), r.accuracy)
	return r, nil
}

// staged says how many updates a model with stages takes on average.
func (o *optimizer) staged(r *row) string {
	if o.loss == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f updates with stages, ", r.updates)
}

// meets reports whether a network meets the goal.
func (o *optimizer) meets(ctx context.Context, c *choice, r *row) (bool, error) {
	if !o.fits(r) {
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

// fits reports whether a network meets the goal, apart from its robustness.
func (o *optimizer) fits(r *row) bool {
	if o.maxUpdates.Set {
		return r.updates <= float64(o.maxUpdates.Value)
	}
	return r.accuracy >= o.minAccuracy
}

// pick chooses a network: of those that meet the goal, the one with the fewest updates or, with
// --max-updates, the most accurate one; if there is none, the one that comes closest.
func (o *optimizer) pick(ctx context.Context, c *choice) error {
	for _, r := range append([]*row{c.given}, c.rows...) { // the model given, if there is no better one
		ok, err := o.meets(ctx, c, r)
		if err != nil {
			return err
		}
		switch {
		case c.chosen == nil || ok && !c.met:
			c.chosen, c.met = r, ok
		case ok && o.better(r, c.chosen), !ok && !c.met && o.closer(r, c.chosen):
			c.chosen = r
		}
	}
	return nil
}

// better reports whether a is a better choice than b if both meet the goal.
func (o *optimizer) better(a, b *row) bool {
	byUpdates, byAccuracy := cmp.Compare(a.updates, b.updates), cmp.Compare(b.accuracy, a.accuracy)
	if o.maxUpdates.Set {
		return cmp.Or(byAccuracy, byUpdates) < 0
	}
	return cmp.Or(byUpdates, byAccuracy) < 0
}

// prefers reports whether a is a better choice than b, apart from its robustness.
func (o *optimizer) prefers(a, b *row) bool {
	if o.fits(a) && o.fits(b) {
		return o.better(a, b)
	}
	return o.closer(a, b)
}

// closer reports whether a comes closer to the goal than b if neither meets it: it is more robust,
// if nothing else is missing; otherwise it has fewer updates or a better accuracy.
func (o *optimizer) closer(a, b *row) bool {
	switch fitsA, fitsB := o.fits(a), o.fits(b); {
	case fitsA != fitsB:
		return fitsA
	case fitsA:
		return cmp.Or(cmp.Compare(b.noisyMean, a.noisyMean), cmp.Compare(a.updates, b.updates)) < 0
	case o.maxUpdates.Set:
		return cmp.Or(cmp.Compare(a.updates, b.updates), cmp.Compare(b.accuracy, a.accuracy)) < 0
	}
	return cmp.Or(cmp.Compare(b.accuracy, a.accuracy), cmp.Compare(a.updates, b.updates)) < 0
}

// front returns the networks for the table: those that no other one beats in both updates and
// accuracy, those that were fine-tuned, and the chosen one.
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
