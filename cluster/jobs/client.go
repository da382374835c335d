package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/spike-by-spike/sbs/cluster/engine"
	"github.com/spike-by-spike/sbs/internal/classification"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/trainlog"
)

// Client lets workers compute jobs.
type Client struct {
	Engine  *engine.Engine
	Version string
	Shards  int  // number of shards, 0 for a number that fits the job
	Shared  bool // workers read models and images under the paths that the client has
	Quiet   bool // no progress

	LocalWorkers int // number of workers on this machine, 0 with those of a server

	Stderr io.Writer

	// Continue says how to continue after an interruption, given the ID of the job. It returns "" if the job is lost.
	Continue func(id string) string

	// Ended receives the error of local workers that do not work. It may be nil.
	Ended <-chan error
}

// job is a job on the client.
type job struct {
	opened

	name, unit   string // of the kind, and of its units
	shards       int
	flags        []string
	models, data []string
	labels       string

	// save writes the part of a shard to a folder.
	save func(folder string, shard int, data []byte) error
}

// spec closes the job and returns its specification.
func (c *Client) spec(ctx context.Context, j *job) (s *spec, err error) {
	s = &spec{Version: c.Version, Kind: j.name, Flags: j.flags, Shards: j.shards}
	s.Identity, err = j.Identity()
	if err = errors.Join(err, j.Close()); err != nil {
		return nil, err
	}
	p := &packer{shared: c.Shared}
	for _, path := range j.models {
		a, err := p.model(ctx, path)
		if err != nil {
			return nil, err
		}
		s.Models = append(s.Models, a)
	}
	for _, path := range j.data {
		a, err := p.data(ctx, path, true)
		if err != nil {
			return nil, err
		}
		s.Data = append(s.Data, a)
	}
	if j.labels != "" {
		a, err := p.data(ctx, j.labels, false)
		if err != nil {
			return nil, err
		}
		s.Labels = []argument{a}
	}
	s.Packs = p.packs
	return s, nil
}

// compute computes a job and calls merge with the folder of the parts, which partPath names.
func (c *Client) compute(ctx context.Context, j *job, merge func(folder string) error) (err error) {
	units := j.Units()
	s, err := c.spec(ctx, j)
	if err != nil {
		return interrupted(ctx, err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if len(text) > engine.MaxSpec {
		return errTooLong(len(text))
	}
	folder, err := os.MkdirTemp("", "sbs-cluster-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	ctx, cancel := c.watched(ctx)
	defer cancel()
	on, found, err := c.Engine.Open(ctx, engine.JobID(text))
	if err != nil {
		return interrupted(ctx, err)
	}
	if found && !c.Quiet {
		fmt.Fprintf(c.Stderr, "job %s is on the server: it continues\n", on.ID)
	}
	if err := c.wait(ctx, on, j, s, text, units, folder); err != nil {
		return err
	}
	if err := merge(folder); !classification.Complete(err) {
		return err // the same command tries again
	} else if ctx.Err() == nil {
		return errors.Join(err, on.Remove(ctx))
	}
	return cli.ErrInterrupted
}

// errTooLong is the error about a specification that is too long.
func errTooLong(bytes int) error {
	return fmt.Errorf("the list of the files has %d bytes, more than the limit of %d: put the images into fewer files, such as .npy, or let the workers read them with --shared", bytes, engine.MaxSpec)
}

// watched returns a context that ends when local workers do not work.
func (c *Client) watched(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if c.Ended != nil {
		go func() {
			select {
			case err := <-c.Ended:
				cancel(err)
			case <-ctx.Done():
			}
		}()
	}
	return ctx, func() { cancel(nil) }
}

// interrupted returns the cause of the end of ctx, if it has ended, or err.
func interrupted(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case ctx.Err() == nil:
		return err
	case errors.As(cause, new(*WorkersError)):
		return cause
	}
	return cli.ErrInterrupted
}

// WorkersError is the error of local workers that do not work.
type WorkersError struct{ Err error }

func (e *WorkersError) Error() string { return e.Err.Error() }

func (e *WorkersError) Unwrap() error { return e.Err }

// wait sends the files of a job and waits for the parts.
func (c *Client) wait(ctx context.Context, on *engine.Job, j *job, s *spec, text []byte, units int, folder string) error {
	err := c.send(ctx, on, s)
	if err == nil {
		p := &progress{client: c, unit: j.unit, units: units, shards: j.shards}
		if err := p.start(); err != nil {
			return err
		}
		err = on.Run(ctx, text, j.shards, func(shard int, data []byte) error {
			err := j.save(folder, shard, data)
			p.done.Add(1)
			return err
		})
		p.end()
	}
	var failure *engine.Failure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failure):
		return errors.Join(fmt.Errorf("worker %s: %s", failure.Worker, failure.Text), on.Remove(ctx))
	case ctx.Err() != nil && errors.As(context.Cause(ctx), new(*WorkersError)):
		return context.Cause(ctx)
	case ctx.Err() != nil:
		if text := c.Continue(on.ID); text != "" {
			fmt.Fprintln(c.Stderr, text)
		}
		return cli.ErrInterrupted
	}
	return err
}

// send sends the files of a job.
func (c *Client) send(ctx context.Context, on *engine.Job, s *spec) error {
	line := trainlog.NewLine(c.Stderr)
	defer line.End()
	for i := range s.Packs {
		if err := s.Packs[i].send(ctx, on); err != nil {
			return err
		}
		if !c.Quiet {
			line.Show(fmt.Sprintf("sent %d of %d objects", i+1, len(s.Packs)), false)
		}
	}
	return nil
}

// progress shows the progress of all workers in one line.
type progress struct {
	client        *Client
	unit          string
	units, shards int
	done          atomic.Int64   // shards
	partial       func() float64 // the sum of the shares of the shards at work that are done; nil if it is not known

	watch *engine.Watch
	stop  chan struct{}
	ended chan struct{}
}

// patience is the time after which a job without workers is reported.
const patience = 10 * time.Second

func (p *progress) start() (err error) {
	if p.watch, err = p.client.Engine.Watch(); err != nil {
		return err
	}
	p.stop, p.ended = make(chan struct{}), make(chan struct{})
	go p.show()
	return nil
}

func (p *progress) end() {
	close(p.stop)
	<-p.ended
	p.watch.Stop()
}

func (p *progress) show() {
	defer close(p.ended)
	line := trainlog.NewLine(p.client.Stderr)
	defer line.End()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	start, alone := time.Now(), time.Now()
	first := -1.0 // shards that were done before, -1 until they are known
	warned := false
	for {
		select {
		case <-p.stop:
			return
		case <-tick.C:
		}
		workers, cores, other := p.watch.Workers()
		if workers > 0 {
			alone, warned = time.Now(), false
		} else if time.Since(alone) > patience && !warned {
			warned = true
			line.Printf("warning: %s", noWorkers(p.client.Version, other))
		}
		done := float64(p.done.Load())
		text := fmt.Sprintf("%d of %d %s", int64(done)*int64(p.units)/int64(p.shards), p.units, p.unit)
		if p.partial != nil {
			done += p.partial()
			text += fmt.Sprintf(" (%.0f%%)", 100*done/float64(p.shards))
		}
		if first < 0 && time.Since(start) > time.Second {
			first, start = done, time.Now()
		}
		if p.client.Quiet {
			continue
		}
		text += fmt.Sprintf(", workers: %d, cores: %d", workers, cores)
		if more := done - first; first >= 0 && more > 0 {
			seconds := time.Since(start).Seconds()
			rate := more / seconds
			text += fmt.Sprintf(", %s %s/s, %s left", shortNumber(rate*float64(p.units)/float64(p.shards)), p.unit, trainlog.Duration((float64(p.shards)-done)/rate))
		}
		line.Show(text, false)
	}
}

// shortNumber returns a number with two digits, or more if it is 100 or more.
func shortNumber(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2g", v)
}

// noWorkers says why nothing happens. other is another version of which there are workers, or "".
func noWorkers(version, other string) string {
	text := "no worker of version " + version + " is there: start sbs-cluster worker on some machines"
	if other != "" {
		text += "; there are workers of version " + other + ", which cannot compute this job"
	}
	return text
}
