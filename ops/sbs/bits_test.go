package sbs_test

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// TestBits_AreTheSameOnAllProcessors compares h and the gradients of random layers with
// hashes of what an amd64 processor with AVX-512 has computed. Every instruction set and
// every architecture has to give the same bits.
func TestBits_AreTheSameOnAllProcessors(t *testing.T) {
	want := map[string]string{
		"drawn": "ae94c2c86a43f856",
		"given": "3479b6e3b2c4ed87",
		"grad":  "e885149798d28265",
		"full":  "f0455b5f7be60e25",
	}
	for _, tier := range kernel.Tiers() {
		t.Run(tier.String(), func(t *testing.T) {
			defer kernel.Use(tier)()
			got := map[string]string{}
			for name, compute := range map[string]func(*testing.T, uint64) []*ops.Tensor{"drawn": drawnBits, "given": givenBits, "grad": gradientBits, "full": fullBits} {
				sum := fnv.New64a()
				for seed := range uint64(40) {
					for _, v := range compute(t, seed) {
						require.NoError(t, binary.Write(sum, binary.LittleEndian, v.Float32s()))
					}
				}
				got[name] = fmt.Sprintf("%016x", sum.Sum64())
			}
			require.Equal(t, want, got)
		})
	}
}

// drawnBits returns h of a layer that draws its spikes.
func drawnBits(t *testing.T, seed uint64) []*ops.Tensor {
	q := randomProblem(seed)
	if seed%2 == 0 {
		q.p.Sampler = sbs.LowDiscrepancy
	}
	return []*ops.Tensor{runOnce(t, q.p, q.inputs(), &ops.Context{Seed: seed})}
}

// givenBits returns h of a layer with given spikes.
func givenBits(t *testing.T, seed uint64) []*ops.Tensor {
	q := randomProblem(seed)
	return []*ops.Tensor{runOnce(t, q.p, q.inputs(), &ops.Context{Spikes: q.spikes})}
}

// fullBits returns h of a full layer that draws its spikes.
func fullBits(t *testing.T, seed uint64) []*ops.Tensor {
	return []*ops.Tensor{runFull(t, fullProblem(seed), &ops.Context{Seed: seed})}
}

// gradientBits returns the gradients of a layer, of both dialects.
func gradientBits(t *testing.T, seed uint64) []*ops.Tensor {
	q := randomProblem(seed)
	op, err := sbs.Operator().New(ops.Node{Attributes: q.p.Attributes(), Opset: 1, NumInputs: len(q.inputs())})
	require.NoError(t, err)
	ctx := &ops.Context{Context: t.Context(), Pool: parallel.New(2), Spikes: q.spikes}
	h, err := ops.Run(op, ctx, q.inputs())
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(seed, 9))
	gradOut := positive(r, h[0].Shape()...)
	var all []*ops.Tensor
	for _, dialect := range []sbs.Dialect{sbs.Dialect1, sbs.Dialect2} {
		var grads []*ops.Tensor
		for _, in := range q.inputs() {
			g, err := ops.Zeros(ops.Float32, in.Shape())
			require.NoError(t, err)
			grads = append(grads, g)
		}
		d, ok := sbs.WithRule(op, sbs.Rule{Dialect: dialect})
		require.True(t, ok)
		require.NoError(t, d.Backward(ctx, q.inputs(), h, []*ops.Tensor{gradOut}, grads))
		all = append(all, grads...)
	}
	return all
}
