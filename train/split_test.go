package train_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/train"
)

// TestAdd_HasTheBitsOfStep lets several Trainers with different numbers of workers compute the gradients
// of the sub-batches, in another order, and compares the whole state after each update.
func TestAdd_HasTheBitsOfStep(t *testing.T) {
	for name, c := range map[string]struct {
		build func(config train.Config) *train.Trainer
		chain int // sub-batches that must be computed one after the other, -1 for all
	}{
		"dialect 1": {func(c train.Config) *train.Trainer {
			c.RateW, c.RateEpsilonXY = 0.003, 0.0001
			return newTrainer(t, sbsNet(1), c)
		}, 0},
		"dialect 2": {func(c train.Config) *train.Trainer {
			c.RateW = 0.1
			return newTrainer(t, sbsNet(2), c)
		}, 4},
		"new scales": {func(c train.Config) *train.Trainer {
			c.RateW, c.NewGradientScales = 0.1, true
			return newTrainer(t, sbsNet(2), c)
		}, 0},
		"noise": {func(c train.Config) *train.Trainer {
			c.RateW, c.NoGradientScale, c.Noise = 0.1, true, []string{"gaussian=0:0.3"}
			return newTrainer(t, sbsNet(2), c)
		}, 0},
		"cross entropy": {func(c train.Config) *train.Trainer {
			c.RateW, c.Loss = 0.02, train.Loss{Kind: train.CrossEntropy}
			return newTrainer(t, convNet(), c)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			const n = 3
			build := func(workers int) *train.Trainer {
				return c.build(train.Config{SubBatches: n, Workers: workers, Seed: 7})
			}
			whole, main := build(1), build(2)
			helpers := []*train.Trainer{build(1), build(2), build(3)}
			sub := 0
			for range 3 * n {
				var parts []train.Part
				together := main.Independent()
				if sub < c.chain {
					require.Equal(t, 1, together)
				} else {
					require.Equal(t, n-sub%n, together)
				}
				batches := make([]train.Batch, together)
				for k := range batches {
					batches[k] = bars(uint64(sub+k), 8+(sub+k)%3)
				}
				snapshot, err := main.Snapshot()
				require.NoError(t, err)
				firsts := make([]uint64, together)
				next := main.Position().Images
				for k := range firsts {
					firsts[k] = next
					next += uint64(len(batches[k].Labels))
				}
				parts = make([]train.Part, together)
				gradients := make([][]float32, together)
				for k := together - 1; k >= 0; k-- { // the order of the computation has no meaning
					h := helpers[(sub+k)%len(helpers)]
					require.NoError(t, h.Follow(snapshot))
					gradients[k] = make([]float32, h.Len())
					parts[k], err = h.Gradient(t.Context(), batches[k], k, firsts[k], gradients[k])
					require.NoError(t, err)
				}
				sum := main.Sum()
				for _, g := range gradients {
					for i, v := range g {
						sum[i] += v
					}
				}
				got, err := main.Add(parts, sum)
				require.NoError(t, err)
				for k := range batches {
					want, err := whole.Step(t.Context(), batches[k])
					require.NoError(t, err)
					require.Equal(t, want, got[k])
				}
				a, err := whole.State()
				require.NoError(t, err)
				b, err := main.State()
				require.NoError(t, err)
				require.Equal(t, a, b)
				if sub += together; sub >= 3*n {
					break
				}
			}
		})
	}
}

// The running mean of an on/off split changes with every sub-batch.
func TestAdd_MovesTheMeanOfAnOnOffSplit(t *testing.T) {
	whole, b := everyLayer(t, 2)
	main, _ := everyLayer(t, 1)
	helper, _ := everyLayer(t, 1)
	for range 3 {
		require.Equal(t, 1, main.Independent())
		snapshot, err := main.Snapshot()
		require.NoError(t, err)
		require.NoError(t, helper.Follow(snapshot))
		sum, g := main.Sum(), make([]float32, helper.Len())
		part, err := helper.Gradient(t.Context(), b, 0, main.Position().Images, g)
		require.NoError(t, err)
		for i, v := range g {
			sum[i] += v
		}
		got, err := main.Add([]train.Part{part}, sum)
		require.NoError(t, err)
		want, err := whole.Step(t.Context(), b)
		require.NoError(t, err)
		require.Equal(t, want, got[0])
		require.Equal(t, fileOf(t, whole), fileOf(t, main))
	}
}

func TestAdd_RefusesWhatDoesNotFit(t *testing.T) {
	c := train.Config{RateW: 0.1, SubBatches: 2, NoGradientScale: true}
	a := newTrainer(t, sbsNet(2), c)
	b := bars(1, 8)
	g := make([]float32, a.Len())
	part, err := a.Gradient(t.Context(), b, 1, 8, g)
	require.NoError(t, err)
	before, err := a.State()
	require.NoError(t, err)
	_, err = a.Gradient(t.Context(), b, 2, 16, g)
	require.ErrorContains(t, err, "2 sub-batches ahead, but the state determines only 2")
	_, err = a.Gradient(t.Context(), b, 0, 0, g[1:])
	require.ErrorContains(t, err, "vector of gradients")
	for _, err := range []error{
		second(a.Add(nil, g)), second(a.Add([]train.Part{part, part, part}, g)), second(a.Add([]train.Part{part}, g[1:])),
		second(a.Add([]train.Part{{}}, g)), a.Follow(nil), a.Follow(make([]byte, 10)),
	} {
		require.ErrorIs(t, err, train.ErrTrain)
	}
	after, err := a.State()
	require.NoError(t, err)
	require.Equal(t, before, after)
	snapshot, err := a.Snapshot()
	require.NoError(t, err)
	snapshot[16] = 2
	require.ErrorContains(t, a.Follow(snapshot), "sub-batch 2 of 2")
	var none *train.Trainer
	require.Zero(t, none.Len())
	require.Equal(t, 1, none.Independent())
	require.Nil(t, none.Sum())
	require.ErrorIs(t, none.Follow(nil), train.ErrTrain)
	require.ErrorIs(t, second(none.Snapshot()), train.ErrTrain)
	require.ErrorIs(t, second(none.Digest()), train.ErrTrain)
	require.ErrorIs(t, second(none.Add(nil, nil)), train.ErrTrain)
	require.ErrorIs(t, second(none.Gradient(t.Context(), b, 0, 0, nil)), train.ErrTrain)
}

func second[T any](_ T, err error) error { return err }
