package train

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Part is what a sub-batch contributes to an update, apart from its gradient. Its fields can be
// encoded with gob.
type Part struct {
	Result Result // without Update

	// Scales holds the scales of the gradients after the sub-batch, one per node of the model,
	// and Means the running means of the on/off splits that are trained.
	Scales []float32
	Means  [][]float32

	// Contributions holds the number of contributions to the gradient of the weights, one per node.
	Contributions []int64
}

// Len returns the length of a vector of gradients: the number of entries of all parameters that have
// one.
func (t *Trainer) Len() int {
	if !t.made() {
		return 0
	}
	n := 0
	for _, p := range t.params {
		n += len(p.sum)
	}
	return n
}

// Independent returns the number of sub-batches, at least 1, that do not depend on each other: the
// next ones, up to the end of the update in progress. Their gradients can be computed at the same
// time, by several Trainers. It is 1 while the scales of the gradients are measured (see
// Config.NoGradientScale), and if a running mean is trained, which every sub-batch changes.
func (t *Trainer) Independent() int {
	if !t.made() || t.measures(0) || t.moves() {
		return 1
	}
	return t.config.SubBatches - t.state.SubBatches
}

// moves reports whether every sub-batch changes a running mean.
func (t *Trainer) moves() bool {
	return slices.ContainsFunc(t.params, func(p *param) bool { return p.running })
}

// measures reports whether a sub-batch, a number of sub-batches ahead in the update in progress, changes
// scales that the sub-batches after it use.
func (t *Trainer) measures(ahead int) bool {
	if !t.scales() || t.config.NewGradientScales {
		return false
	}
	st := &t.state
	return st.Updates == 0 || st.Updates == 1 && st.SubBatches+ahead == 0
}

// scales reports whether gradients are scaled.
func (t *Trainer) scales() bool {
	return t.config.Dialect == 2 && !t.config.NoGradientScale &&
		slices.ContainsFunc(t.layers, func(l layer) bool { return l.scaled && l.active })
}

// Gradient computes the gradient of one sub-batch, and does not change the state. The sub-batch is
// ahead sub-batches after the next one, in the same update, and its first image is the image
// firstImage of the training. ahead must be less than Independent. The gradient is stored in dst,
// which must have Len entries.
//
// An update is defined by the gradients of its sub-batches, each of them computed from zero, and by
// their sum: beginning with zero, entry by entry, the gradients are added in float32 in the order of the
// sub-batches. Step computes the same, so that
//
//	for k := range n {
//		parts[k], err = t.Gradient(ctx, batches[k], k, first+images, gradient)
//		images += uint64(parts[k].Result.Images)
//		for i, v := range gradient {
//			sum[i] += v
//		}
//	}
//	results, err := t.Add(parts, sum)
//
// gives the bits of n calls of Step, wherever the gradients are computed.
func (t *Trainer) Gradient(ctx context.Context, b Batch, ahead int, firstImage uint64, dst []float32) (Part, error) {
	if !t.made() {
		return Part{}, errNoTrainer
	}
	if n := t.Independent(); ahead < 0 || ahead >= n {
		return Part{}, fmt.Errorf("train: %w: the sub-batch is %d sub-batches ahead, but the state determines only %d", ErrTrain, ahead, n)
	}
	if len(dst) != t.Len() {
		return Part{}, fmt.Errorf("train: %w: the vector of gradients has %d entries, want %d", ErrTrain, len(dst), t.Len())
	}
	part, err := t.partOf(ctx, b, ahead, firstImage)
	if err != nil {
		return Part{}, fmt.Errorf("train: %w", err)
	}
	part.Scales = slices.Clone(part.Scales)
	n := 0
	for _, p := range t.params {
		if !p.running {
			copy(dst[n:], p.grad.Float32s())
		} else {
			clear(dst[n : n+len(p.sum)])
		}
		n += len(p.sum)
	}
	return part, nil
}

// partOf computes the part of a sub-batch, and leaves the gradients in the params. The scales of the
// part are memory of the frame.
func (t *Trainer) partOf(ctx context.Context, b Batch, ahead int, firstImage uint64) (part Part, err error) {
	if err := t.check(ctx, b); err != nil {
		return Part{}, err
	}
	if b.Images, err = t.noisy(b.Images, firstImage); err != nil {
		return Part{}, err
	}
	if part.Result, err = t.compute(ctx, b, firstImage); err != nil {
		return Part{}, err
	}
	t.frame.measures = t.config.NewGradientScales || t.measures(ahead)
	if err := t.backward(ctx); err != nil {
		return Part{}, err
	}
	part.Scales, part.Contributions = t.frame.scales, make([]int64, len(t.layers))
	for i, s := range t.program.Main.Steps {
		if t.layers[i].divides {
			h := t.frame.values[s.Outputs[0]]
			part.Contributions[i] = int64(h.Len() / h.Shape()[1])
		}
	}
	for _, p := range t.params {
		if p.running {
			part.Means = append(part.Means, t.movedMean(p))
		}
	}
	t.frame.forget(t.program.InputSlot(t.program.Inputs[0].Name))
	return part, nil
}

// Sum returns the sum of the gradients of the update in progress. A sum for Add begins with it.
func (t *Trainer) Sum() []float32 {
	if !t.made() {
		return nil
	}
	sum := make([]float32, 0, t.Len())
	for _, p := range t.params {
		sum = append(sum, p.sum...)
	}
	return sum
}

// Add adds the parts of the next sub-batches, at most Independent, in their order. sum is the sum of
// the gradients of the update with those of these sub-batches: see Gradient. If the sub-batches complete
// an update, Add makes it, and reports it in the last result. If Add returns an error, the state of the
// Trainer is unchanged.
func (t *Trainer) Add(parts []Part, sum []float32) ([]Result, error) {
	if !t.made() {
		return nil, errNoTrainer
	}
	if err := t.fits(parts, sum); err != nil {
		return nil, fmt.Errorf("train: %w: %w", ErrTrain, err)
	}
	n := 0
	for _, p := range t.params {
		copy(p.sum, sum[n:n+len(p.sum)])
		n += len(p.sum)
	}
	results := make([]Result, len(parts))
	for i := range parts {
		results[i] = t.add(&parts[i])
	}
	return results, nil
}

// fits returns an error if Add cannot add some parts.
func (t *Trainer) fits(parts []Part, sum []float32) error {
	if n := t.Independent(); len(parts) < 1 || len(parts) > n {
		return fmt.Errorf("there are %d sub-batches to add, want 1 to %d", len(parts), n)
	}
	if len(sum) != t.Len() {
		return fmt.Errorf("the sum of the gradients has %d entries, want %d", len(sum), t.Len())
	}
	for _, part := range parts {
		means := 0
		for _, p := range t.params {
			if p.running && (means >= len(part.Means) || len(part.Means[means]) != len(p.sum)) {
				return fmt.Errorf("a part does not have the running mean %q", p.name)
			}
			if p.running {
				means++
			}
		}
		if len(part.Scales) != len(t.layers) || len(part.Contributions) != len(t.layers) || len(part.Means) != means || part.Result.Images < 1 {
			return fmt.Errorf("a part has %d scales, %d contributions and %d means of %d images, want those of another model",
				len(part.Scales), len(part.Contributions), len(part.Means), part.Result.Images)
		}
	}
	return nil
}

// snapshotHead is the number of bytes of a snapshot before its scales: images, updates and sub-batches.
const snapshotHead = 24

// Snapshot returns all of the state on which the gradients of the next Independent sub-batches depend:
// the values of the parameters, the scales of the gradients and the position. It is smaller than
// State, since it does not have the state of the optimizer.
func (t *Trainer) Snapshot() ([]byte, error) {
	if !t.made() {
		return nil, errNoTrainer
	}
	st := &t.state
	b := make([]byte, 0, t.snapshotLen())
	for _, v := range []uint64{st.Images, uint64(st.Updates), uint64(st.SubBatches)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	for _, v := range st.Scales {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	for _, p := range t.params {
		for _, v := range p.value.Float32s() {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
	}
	return b, nil
}

func (t *Trainer) snapshotLen() int { return snapshotHead + 4*(len(t.layers)+t.Len()) }

// Follow sets the state to a Snapshot of a Trainer with the same model and Config. Gradient then
// computes what it computes there. The optimizer and the sums of an update in progress keep their
// state: a Trainer that follows must not call Step, Add or State.
func (t *Trainer) Follow(snapshot []byte) error {
	if !t.made() {
		return errNoTrainer
	}
	if len(snapshot) != t.snapshotLen() {
		return fmt.Errorf("train: %w: the snapshot has %d bytes, that of this model and Config has %d", ErrTrain, len(snapshot), t.snapshotLen())
	}
	updates, done := binary.LittleEndian.Uint64(snapshot[8:]), binary.LittleEndian.Uint64(snapshot[16:])
	if updates > math.MaxInt32 || done >= uint64(t.config.SubBatches) {
		return fmt.Errorf("train: %w: the snapshot is at update %d, sub-batch %d of %d", ErrTrain, updates, done, t.config.SubBatches)
	}
	st := &t.state
	st.Images, st.Updates, st.SubBatches = binary.LittleEndian.Uint64(snapshot), int(updates), int(done)
	rest := snapshot[snapshotHead:]
	read := func(values []float32) {
		for i := range values {
			values[i] = math.Float32frombits(binary.LittleEndian.Uint32(rest[4*i:]))
		}
		rest = rest[4*len(values):]
	}
	read(st.Scales)
	for _, p := range t.params {
		read(p.value.Float32s())
	}
	return nil
}

// Digest identifies the settings of the Config that change the result. Trainers of one training must
// have the same.
func (t *Trainer) Digest() (string, error) {
	if !t.made() {
		return "", errNoTrainer
	}
	return t.config.digest()
}

// Sequential reports whether every sub-batch depends on the one before, also after the first updates:
// Independent is always 1.
func (t *Trainer) Sequential() bool { return t.made() && t.moves() }
