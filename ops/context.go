package ops

import (
	"context"

	"github.com/spike-by-spike/sbs/internal/parallel"
)

// Loop is the body of a parallel loop. Part does iterations lo to hi-1; it is
// called from several goroutines.
type Loop = interface{ Part(lo, hi int) error }

// Pool runs parallel loops.
type Pool interface {
	// Do calls body.Part for consecutive parts of [0, n), each of at most grain
	// iterations, possibly from several goroutines. It returns after the last
	// call, with the first error of body, or with the error of ctx if ctx is done
	// before all parts have run.
	Do(ctx context.Context, n, grain int, body Loop) error
}

// Context is what an Op can use during one run. It is a context.Context: an Op
// stops a long computation soon after the context is done.
//
// An Op must not keep a Context after Run returns.
type Context struct {
	context.Context

	// Pool runs the parallel loops; nil runs them in the calling goroutine. Results
	// must not depend on the number of workers.
	Pool Pool

	// Seed selects the random numbers of the run, and FirstImage is the number of
	// the first entry of the batch; the next entry has the next number. Seeds and
	// Images, if not nil, give each entry of the batch a seed and a number of its
	// own. See ImageSeed and Image.
	Seed       uint64
	FirstImage uint64
	Seeds      []uint64
	Images     []uint64

	// Spikes or Uniforms, if not nil, replace the random numbers of the node. The
	// operator defines their shape.
	Spikes   *Tensor
	Uniforms *Tensor

	scratch any // see Scratch
	own     *parallel.Pool
}

// NewContext returns a Context for running single operators: see Run. Its loops use
// up to the given number of CPU cores, and no more than the process may use; 0 means
// all of these. Close ends the goroutines that it starts.
func NewContext(ctx context.Context, workers int) *Context {
	if ctx == nil {
		ctx = context.Background()
	}
	p := parallel.New(workers)
	return &Context{Context: ctx, Pool: p, own: p}
}

// Close ends the goroutines that a Context of NewContext has started. The Context
// must not be in use.
func (c *Context) Close() {
	if c.own != nil {
		c.own.Close()
	}
}

// Image returns the number of entry i of the batch. An entry draws its random
// numbers by its number and its seed, and not by its place in the batch.
func (c *Context) Image(i int) uint64 {
	if i < len(c.Images) {
		return c.Images[i]
	}
	return c.FirstImage + uint64(i)
}

// ImageSeed returns the seed of entry i of the batch.
func (c *Context) ImageSeed(i int) uint64 {
	if i < len(c.Seeds) {
		return c.Seeds[i]
	}
	return c.Seed
}

// Scratch returns temporary memory that a node keeps between runs: a T, which is
// zero at first. Only one run uses it at a time. It is reset when the type of an
// input or output changes, or an input value that determines the types of the
// outputs.
func Scratch[T any](c *Context) *T {
	s, ok := c.scratch.(*T)
	if !ok {
		s = new(T)
		c.scratch = s
	}
	return s
}

// Do calls body.Part for consecutive parts of [0, n), as For does. A body that is
// kept in the Scratch costs no allocation.
func (c *Context) Do(n, grain int, body Loop) error {
	ctx := c.Context
	if ctx == nil {
		ctx = context.Background()
	}
	if c.Pool == nil {
		return inTurn(ctx, n, grain, body)
	}
	return c.Pool.Do(ctx, n, grain, body)
}

func inTurn(ctx context.Context, n, grain int, body Loop) error {
	for lo := 0; lo < n; lo += max(grain, 1) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := body.Part(lo, min(lo+max(grain, 1), n)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// For calls body for consecutive parts of [0, n), each of at most grain iterations,
// possibly from several goroutines. It returns after the last call, with the first
// error of body, or with the error of the context if that is done before all parts
// have run.
func (c *Context) For(n, grain int, body func(lo, hi int) error) error {
	return c.Do(n, grain, loop(body))
}

type loop func(lo, hi int) error

func (f loop) Part(lo, hi int) error { return f(lo, hi) }
