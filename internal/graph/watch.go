package graph

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// checkWatch returns an error for a watcher that could never be called.
func (p *Program) checkWatch(w *Watcher) error {
	if w == nil {
		return nil
	}
	if w.Snapshot == nil || len(w.After) == 0 {
		return fmt.Errorf("%w: the Watcher is incomplete: set After, the numbers of spikes, and Snapshot, the function to call", ErrOption)
	}
	for _, n := range w.After {
		if n < 1 {
			return fmt.Errorf("%w: After of the Watcher contains %d spikes, want at least 1", ErrOption, n)
		}
	}
	var names []string
	for i := range p.Main.Steps {
		if s := &p.Main.Steps[i]; IsSbS(s.Operator) {
			names = append(names, s.Name)
		}
	}
	if len(names) == 0 {
		return fmt.Errorf("%w: the model has no SbS operator to watch outside of subgraphs", ErrOption)
	}
	for _, layer := range w.Layers {
		if !slices.ContainsFunc(names, func(node string) bool { return MatchLayer(layer, node) }) {
			return fmt.Errorf("%w: there is no SbS layer %q to watch; the SbS layers are %s", ErrOption, layer, strings.Join(names, ", "))
		}
	}
	return nil
}

// watch takes the snapshots of a step that has run. It computes the first spikes again, so
// that watching cannot change the result of the run.
func (f *frame) watch(s *Step, op ops.Op, w *work) error {
	o := f.options.Watch
	if len(o.Layers) > 0 && !slices.ContainsFunc(o.Layers, func(layer string) bool { return MatchLayer(layer, s.Name) }) {
		return nil
	}
	params, ok := sbs.OpParams(op)
	if !ok {
		return fmt.Errorf("%w: the built-in SbS operator was replaced, but only it can be watched", ErrOption)
	}
	after := slices.Sorted(slices.Values(o.After))
	ctx := ops.Context{ // without the temporary memory of the run itself
		Context: w.ctx.Context, Pool: w.ctx.Pool, Spikes: w.ctx.Spikes, Uniforms: w.ctx.Uniforms,
		Seed: w.ctx.Seed, FirstImage: w.ctx.FirstImage, Seeds: w.ctx.Seeds, Images: w.ctx.Images,
	}
	for _, n := range slices.Compact(after) {
		if n > params.Spikes {
			break
		}
		snapshot, err := f.snapshot(s, op, w, &ctx, n, params.Spikes)
		if err != nil {
			return err
		}
		if !o.Snapshot(snapshot) {
			return ErrStopped
		}
	}
	return nil
}

// snapshot returns the snapshot of a step after n of its spikes.
func (f *frame) snapshot(s *Step, op ops.Op, w *work, ctx *ops.Context, n, total int) (Snapshot, error) {
	snapshot := Snapshot{Layer: s.Name, Spikes: n, Total: total}
	defer func() { ctx.Memory = nil }()
	out := ops.TypeOf(w.out[0])
	bytes := Bytes(out)
	if f.options.Watch.Spikes {
		shape, _ := out.Sizes()
		bytes += 8 * int64(n) * int64(shape[0]) * int64(shape[2]) * int64(shape[3])
	}
	if err := f.p.fits(f.budget.base + f.budget.used + bytes); err != nil {
		return snapshot, err
	}
	ctx.Memory = &ops.Memory{Values: f.budget.base + f.budget.used + bytes, Limit: f.budget.limit}
	first, err := sbs.Prefix(op, n)
	if err != nil {
		return snapshot, err
	}
	h, err := ops.Run(first, ctx, w.in)
	if err != nil {
		return snapshot, err
	}
	snapshot.H = h[0]
	if f.options.Watch.Spikes {
		snapshot.Drawn, err = sbs.Spikes(ctx, op, w.in, n)
	}
	return snapshot, err
}
