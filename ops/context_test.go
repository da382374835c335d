package ops_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

// triple multiplies float32 tensors by 3 in a parallel loop.
type triple struct{}

func (triple) Infer(in []*ops.Input) ([]ops.Type, error) { return []ops.Type{in[0].Type}, nil }

func (triple) Run(ctx *ops.Context, in, out []*ops.Tensor) error {
	x, y := in[0].Float32s(), out[0].Float32s()
	err := ctx.For(len(x), 1, func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			y[i] = 3 * x[i]
		}
		return ctx.Err()
	})
	if err == nil {
		err = ctx.Err()
	}
	return err
}

func TestContext_ZeroRunsInTheCallingGoroutine(t *testing.T) {
	x := opstest.F32([]int{3}, 1, 2, 3)
	for name, ctx := range map[string]*ops.Context{
		"zero":            {},
		"without Pool":    {Context: context.Background()},
		"without Context": {Pool: ops.NewContext(t.Context(), 1).Pool},
		"nil parent":      ops.NewContext(nil, 0), //nolint:staticcheck // nil is the case
	} {
		t.Run(name, func(t *testing.T) {
			out, err := ops.Run(triple{}, ctx, []*ops.Tensor{x})
			require.NoError(t, err)
			require.Equal(t, []float32{3, 6, 9}, out[0].Float32s())
			require.NoError(t, ctx.Err())
			require.Nil(t, ctx.Value("key"))
			_, ok := ctx.Deadline()
			require.False(t, ok)
			select {
			case <-ctx.Done():
				t.Fatal("the context is done")
			default:
			}
			ctx.Close()
		})
	}
}

func TestContext_LoopsAreCutIntoParts(t *testing.T) {
	for name, ctx := range map[string]*ops.Context{"zero": {}, "two goroutines": ops.NewContext(t.Context(), 2)} {
		t.Run(name, func(t *testing.T) {
			defer ctx.Close()
			for _, grain := range []int{-1, 0, 1, 3, 7, 8} {
				done := make([]bool, 7)
				require.NoError(t, ctx.For(len(done), grain, func(lo, hi int) error {
					if hi-lo > max(grain, 1) {
						return errors.New("the part is too long")
					}
					for i := lo; i < hi; i++ {
						done[i] = true
					}
					return nil
				}))
				require.NotContains(t, done, false)
			}
			require.NoError(t, ctx.For(-1, 1, nil))
			broken := errors.New("broken")
			require.ErrorIs(t, ctx.For(7, 1, func(int, int) error { return broken }), broken)
		})
	}
}

func TestContext_CanceledRunFails(t *testing.T) {
	parent, cancel := context.WithCancel(t.Context())
	cancel()
	for name, ctx := range map[string]*ops.Context{"no goroutines": {Context: parent}, "goroutines": ops.NewContext(parent, 2)} {
		t.Run(name, func(t *testing.T) {
			defer ctx.Close()
			_, err := ops.Run(triple{}, ctx, []*ops.Tensor{opstest.F32([]int{1}, 1)})
			require.ErrorIs(t, err, context.Canceled)
		})
	}
}

func TestContext_CloseEndsItsGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		ctx := ops.NewContext(t.Context(), 0)
		x := []*ops.Tensor{opstest.Random(1, 1000)}
		want, err := ops.Run(triple{}, ctx, x)
		require.NoError(t, err)
		ctx.Close()
		ctx.Close()
		got, err := ops.Run(triple{}, ctx, x)
		require.NoError(t, err, "a closed Context runs loops in the calling goroutine")
		require.Equal(t, want, got)
	}
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), before)
	(*ops.Context)(nil).Close()
}

func TestContext_SeedsAndImagesOfTheBatch(t *testing.T) {
	ctx := ops.Context{Seed: 5, FirstImage: 10, Seeds: []uint64{7, 8}, Images: []uint64{3}}
	require.Equal(t, []uint64{7, 8, 5}, []uint64{ctx.ImageSeed(0), ctx.ImageSeed(1), ctx.ImageSeed(2)})
	require.Equal(t, []uint64{3, 11, 12}, []uint64{ctx.Image(0), ctx.Image(1), ctx.Image(2)})
}

func TestScratch_ReturnsTheSameMemoryInEveryCall(t *testing.T) {
	var ctx ops.Context
	*ops.Scratch[int](&ctx) = 3
	require.Equal(t, 3, *ops.Scratch[int](&ctx))
}

func TestRun_RefusesMissingArguments(t *testing.T) {
	x := []*ops.Tensor{opstest.F32([]int{1}, 1)}
	_, err := ops.Run(nil, &ops.Context{}, x)
	require.ErrorContains(t, err, "needs an Op and a Context")
	_, err = ops.Run(triple{}, nil, x)
	require.ErrorContains(t, err, "needs an Op and a Context")
	_, err = ops.Run(triple{}, &ops.Context{}, []*ops.Tensor{{}})
	require.ErrorContains(t, err, "input 0: ops: unsupported element type: the tensor is nil or zero")
}

func TestCheckGradients_RefusesMissingAndMisshapenTensors(t *testing.T) {
	x, y, ints := opstest.F32([]int{2}, 1, 2), opstest.F32([]int{1}, 1), opstest.Ints(1, 2)
	list := func(t ...*ops.Tensor) []*ops.Tensor { return t }
	require.NoError(t, ops.CheckGradients(list(x, nil), list(y), list(y), list(x, nil)))
	require.ErrorIs(t, ops.CheckGradients(list(x), list(y), list(y), nil), ops.ErrShape, "no gradients of the inputs")
	require.ErrorIs(t, ops.CheckGradients(list(x), list(y), nil, list(x)), ops.ErrShape, "no gradients of the outputs")
	require.ErrorIs(t, ops.CheckGradients(list(x), list(y), list(nil), list(x)), ops.ErrShape, "a nil gradient of an output")
	require.ErrorIs(t, ops.CheckGradients(list(x), list(nil), list(y), list(x)), ops.ErrShape, "a nil output")
	require.ErrorIs(t, ops.CheckGradients(list(nil), list(y), list(y), list(x)), ops.ErrShape, "the gradient of an omitted input")
	require.ErrorIs(t, ops.CheckGradients(list(x), list(y), list(x), list(x)), ops.ErrShape, "another shape")
	require.ErrorIs(t, ops.CheckGradients(list(ints), list(y), list(y), list(x)), ops.ErrDType, "integers")
	require.ErrorIs(t, ops.CheckGradients(list(x), list(y), list(y), list(ints)), ops.ErrShape, "an integer gradient")
	require.ErrorIs(t, ops.CheckGradients(list(x), list(y), list(y), list(&ops.Tensor{})), ops.ErrShape, "the zero Tensor")
}
