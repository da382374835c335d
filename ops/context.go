package ops

import (
	"context"
	"time"

	"github.com/spike-by-spike/sbs/internal/parallel"
)

// Loop is the body of a parallel loop. Part performs iterations lo to hi-1 of it and
// is called from several goroutines at the same time.
type Loop = interface{ Part(lo, hi int) error }

// Pool runs parallel loops.
type Pool interface {
	// Do calls body.Part for consecutive parts of [0, n), each of at most grain
	// iterations, possibly from several goroutines. It returns after the last
	// call, with the first error of body, or with the error of ctx if ctx is done
	// before all parts have run.
	Do(ctx context.Context, n, grain int, body Loop) error
}

// Context holds what an Op can use during one run: cancellation, a pool of goroutines,
// the source of random numbers, and temporary memory. NewContext returns a Context for
// a program that runs single operators. A model makes its own Contexts.
//
// A *Context is a context.Context. An Op stops a long computation soon after the
// context is done. Do and For return an error then; an Op that computes for long
// without them calls Err from time to time, at least every 10 milliseconds. An Op must not keep a Context after Run
// returns.
//
// The zero Context is valid. It is never canceled, runs loops in the calling
// goroutine, and has seed 0. A Context must not be used by several runs at the same
// time.
type Context struct {
	// Context cancels the run. A nil Context means context.Background().
	context.Context

	// Pool runs the parallel loops, apart from short loops that are faster in the calling
	// goroutine; nil runs all of them there. Results must not depend on the number of
	// goroutines.
	Pool Pool

	// Seed selects the random numbers of the run. FirstImage is the number of the
	// first entry of the batch; each following entry has the next number. Seeds and
	// Images, if not nil, give each entry of the batch its own seed and number; for
	// entries beyond their end Seed and FirstImage apply. See ImageSeed and Image.
	Seed       uint64
	FirstImage uint64
	Seeds      []uint64
	Images     []uint64

	// Spikes or Uniforms, if not nil, replace the random numbers of the node. The
	// operator defines their shape.
	Spikes   *Tensor
	Uniforms *Tensor

	// Memory counts the temporary memory of the run, see Reserve; nil means that there is
	// no limit.
	Memory *Memory

	// Constants says for each input of the node whether it is a constant: the same tensor with the
	// same elements in all runs that share a Scratch, so that an operator may keep there what it
	// computes from it. Inputs beyond its end are not constants, and in training, none are.
	Constants []bool

	// Buffers holds memory of earlier nodes. It is nil if there is none.
	Buffers *Buffers

	scratch any // see Scratch
	own     *parallel.Pool
	pace    pace
}

// NewContext returns a Context for running single operators with Run. It is canceled
// when ctx is; a nil ctx never is. Loops use up to the given number of goroutines, at
// most runtime.GOMAXPROCS(0). A number below 1 means runtime.GOMAXPROCS(0). Close ends
// these goroutines.
func NewContext(ctx context.Context, workers int) *Context {
	p := parallel.New(workers)
	return &Context{Context: ctx, Pool: p, own: p}
}

// Close ends the goroutines that a Context of NewContext has started, and returns when
// they have ended. Close must not be called while the Context is in use. The Context
// remains usable: its loops then run in the calling goroutine. For any other Context,
// Close does nothing.
func (c *Context) Close() {
	if c != nil && c.own != nil {
		c.own.Close()
	}
}

// parent returns the embedded context.Context, or the background if it is nil.
func (c *Context) parent() context.Context {
	if c.Context == nil {
		return context.Background()
	}
	return c.Context
}

// Deadline implements context.Context.
func (c *Context) Deadline() (time.Time, bool) { return c.parent().Deadline() }

// Done implements context.Context.
func (c *Context) Done() <-chan struct{} { return c.parent().Done() }

// Err implements context.Context.
func (c *Context) Err() error { return c.parent().Err() }

// Value implements context.Context.
func (c *Context) Value(key any) any { return c.parent().Value(key) }

// Constant reports whether input i of the node is a constant; see Constants.
func (c *Context) Constant(i int) bool { return i < len(c.Constants) && c.Constants[i] }

// Image returns the number of entry i of the batch. The random numbers of an entry
// depend on its number and its seed, and not on its place in the batch.
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

// Scratch returns temporary memory that a node keeps between runs: a T, which is zero
// at first. Only one run uses it at a time. It is reset when the type of an input or
// output changes, and when an input value changes that determines the types of the
// outputs. An Op must ask for the same T in all its runs.
func Scratch[T any](c *Context) *T {
	s, ok := c.scratch.(*T)
	if !ok {
		s = new(T)
		c.scratch = s
	}
	return s
}

// Do calls body.Part for consecutive parts of [0, n), as For does. If the body is kept
// in memory from Scratch, Do does not allocate. Loops that are faster without the other
// goroutines run in the calling one.
func (c *Context) Do(n, grain int, body Loop) error {
	switch p, ok := c.Pool.(*parallel.Pool); {
	case c.Pool == nil:
		return inTurn(c.parent(), n, grain, body)
	case n <= grain || ok && p.Workers() == 1:
		return c.Pool.Do(c.parent(), n, grain, body)
	}
	return c.pace.do(c, n, grain, body)
}

// inTurn runs a loop in the calling goroutine.
func inTurn(ctx context.Context, n, grain int, body Loop) error {
	grain = max(grain, 1)
	for lo := 0; lo < n; lo += grain {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := body.Part(lo, min(lo+grain, n)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// For calls body for consecutive parts of [0, n), each of at most grain iterations,
// possibly from several goroutines. For returns after the last call, with the first
// error of body, or with the error of the context if the context is done before all
// parts have run. A grain below 1 means 1.
func (c *Context) For(n, grain int, body func(lo, hi int) error) error {
	return c.Do(n, grain, loopFunc(body))
}

type loopFunc func(lo, hi int) error

func (f loopFunc) Part(lo, hi int) error { return f(lo, hi) }
