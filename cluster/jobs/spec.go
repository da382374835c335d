// Package jobs divides runs of sbs-run and sweeps of sbs-sweep into shards that workers compute, and
// merges their results. It lets workers compute the gradients of sbs-train, or whole trainings. It sends models
// and images to the workers.
package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/spike-by-spike/sbs/cluster/engine"
	"github.com/spike-by-spike/sbs/internal/cli"
)

// spec describes a job to a worker.
type spec struct {
	Version  string          `json:"version"` // of the program
	Kind     string          `json:"kind"`
	Flags    []string        `json:"flags"` // --name=value
	Shards   int             `json:"shards"`
	Identity json.RawMessage `json:"identity"` // what the worker must find, from the opened job
	Models   []argument      `json:"models"`
	Data     []argument      `json:"data"` // images
	Labels   []argument      `json:"labels,omitempty"`
	Packs    []pack          `json:"packs,omitempty"` // files that travel with the job
	Training *trainingOf     `json:"training,omitempty"`
	Trials   *trialsOf       `json:"trials,omitempty"`
}

// opened is a job whose models and images are opened, on the client or on a worker.
type opened interface {
	// Units returns the size of the job, in images or rows.
	Units() int
	// Identity describes all on which the results depend.
	Identity() ([]byte, error)
	// Check returns an error if the job is not the one that identity describes.
	Check(identity []byte) error
	// Shard computes a shard.
	Shard(ctx context.Context, s cli.Shard) ([]byte, error)
	Close() error
}

// kind is a kind of job.
type kind struct {
	shardFlags []string
	// open opens a job on a worker.
	open func(ctx context.Context, in *inputs) (opened, error)
}

// The kinds of jobs.
const (
	kindRun   = "run"
	kindSweep = "sweep"
)

func kindOf(name string) (kind, error) {
	switch name {
	case kindRun:
		return runKind(), nil
	case kindSweep:
		return sweepKind(), nil
	}
	return kind{}, fmt.Errorf("unknown kind of job %q", name)
}

// inputs are the flags and files of a job on a worker.
type inputs struct {
	flags  []string
	models []string // paths
	data   []string
	labels string
	names  cli.Names

	test, testLabels string // of trials

	workers int // number of CPU cores
}

// parseFlags sets the flags of a job, and refuses others: a job must not change what is not its own.
func parseFlags(set *pflag.FlagSet, names, list []string) error {
	if err := cli.ParseFlags(set, names, list); err != nil {
		return fmt.Errorf("the flags of the job are not valid: %w", err)
	}
	return nil
}

// Work describes a worker.
type Work struct {
	Version string // of the program
	Name    string // shown to the user
	Cores   int    // number of CPU cores to use
	Folder  *Folder
	Engine  *engine.Engine // for trainings

	Log func(format string, args ...any) // prints a line
}

// Open opens a job on a worker.
func (w *Work) Open(ctx context.Context, id string, text []byte, objects engine.Objects) (engine.Computer, error) {
	var s spec
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("the specification of job %s is damaged: %w", id, err)
	}
	if s.Version != w.Version {
		return nil, fmt.Errorf("the job is of version %s of sbs-cluster, and this worker of version %s", s.Version, w.Version)
	}
	switch s.Kind {
	case kindTrain:
		return openTraining(ctx, id, &s, w, objects)
	case kindTrials:
		return openTrials(ctx, id, &s, w, objects)
	}
	k, err := kindOf(s.Kind)
	if err != nil {
		return nil, err
	}
	at, err := w.Folder.fetch(ctx, id, &s, objects)
	if err != nil {
		return nil, err
	}
	at.in.flags, at.in.workers = s.Flags, w.Cores
	c := &computer{shards: s.Shards, files: at}
	if c.opened, err = k.open(ctx, &at.in); err == nil {
		err = c.Check(s.Identity)
	}
	if err != nil {
		return nil, errors.Join(errors.New(cli.Message(err, nil)), c.Close())
	}
	return c, nil
}

// computer computes the shards of a job on a worker.
type computer struct {
	opened // nil if it could not be opened

	shards int
	files  *fetched
}

// Compute computes a shard.
func (c *computer) Compute(ctx context.Context, task int) ([]byte, error) {
	if task > c.shards {
		return nil, fmt.Errorf("there is no shard %d of %d", task, c.shards)
	}
	data, err := c.Shard(ctx, cli.Shard{Index: task, Count: c.shards})
	if err != nil {
		return nil, errors.New(cli.Message(err, nil))
	}
	return data, nil
}

// Close closes the job and removes its files.
func (c *computer) Close() error {
	var err error
	if c.opened != nil {
		err = c.opened.Close()
	}
	return errors.Join(err, c.files.remove())
}
