package runtime

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/internal/graph"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// Option sets how a model is loaded.
type Option interface {
	applyLoad(o *graph.Options) error
}

// RunOption sets how one Run is done.
type RunOption interface {
	applyRun(o *graph.RunOptions) error
}

// LayerOption changes Spike-By-Spike layers. It is an Option, for all runs of a model,
// and a RunOption, for one run.
type LayerOption struct {
	layer    string // "" means all layers
	dynamics Dynamics
	err      error
}

type loadOption func(o *graph.Options) error

func (f loadOption) applyLoad(o *graph.Options) error { return f(o) }

type runOption func(o *graph.RunOptions) error

func (f runOption) applyRun(o *graph.RunOptions) error { return f(o) }

// applyOptions applies options for loading. Errors wrap ErrOption.
func applyOptions(o *graph.Options, opts []Option) error {
	for _, opt := range opts {
		if opt == nil {
			return fmt.Errorf("%w: an Option is nil", ErrOption)
		}
		if err := opt.applyLoad(o); err != nil {
			return fmt.Errorf("%w: %w", ErrOption, err)
		}
	}
	return nil
}

// Workers sets the number of CPU cores that one Run uses. The default, also for 0, is
// all cores that the process may use; there are never more workers than that.
func Workers(n int) Option {
	return loadOption(func(o *graph.Options) error {
		o.Workers = n
		return atLeast0("workers", int64(n))
	})
}

// MemoryLimit bounds the memory of the values of one Run, in bytes, apart from inputs
// and weights. A run that would exceed it fails before it takes the memory. A value that
// no later node needs makes room for others, unless values are observed. While running,
// a node may also use temporary memory of several times the size of its inputs and
// weights, which is not counted. The default, also for 0, is 4 GiB.
func MemoryLimit(bytes int64) Option {
	return loadOption(func(o *graph.Options) error {
		o.MemoryLimit = bytes
		return atLeast0("the memory limit", bytes)
	})
}

func atLeast0(what string, n int64) error {
	if n < 0 {
		return fmt.Errorf("%s: %d, want at least 0 (0 means the default)", what, n)
	}
	return nil
}

// WithOperators adds operators, or replaces built-in ones of the same domain and name.
// A later operator takes precedence over an earlier one. The operators with subgraphs
// (If, Loop, Scan) cannot be replaced.
func WithOperators(operators ...ops.Operator) Option {
	operators = slices.Clone(operators)
	return loadOption(func(o *graph.Options) error {
		o.Operators = append(o.Operators, operators...)
		return nil
	})
}

// PreferFunctions uses functions defined in the model instead of built-in operators of
// the same name. It serves to compare the two.
func PreferFunctions() Option {
	return loadOption(func(o *graph.Options) error {
		o.PreferFunctions = true
		return nil
	})
}

// Dynamics changes how Spike-By-Spike layers draw and weigh their spikes. A field with
// the zero value leaves that property as the model has it.
type Dynamics = sbs.Dynamics

// Sampler selects how spikes are drawn: IID or LowDiscrepancy.
type Sampler = sbs.Sampler

// The samplers.
const (
	IID            = sbs.IID            // independent spikes, as in PyTorch-SbS
	LowDiscrepancy = sbs.LowDiscrepancy // evenly spread spikes, of which far fewer are needed
)

// Schedule is a rule for epsilon_t: (t+1)^Power for spike t from 0, with Power from -10
// to 0.
type Schedule = sbs.Schedule

// Layer changes one Spike-By-Spike layer, named by its node ("L0/SbS") or by its layer
// ("L0"). It takes precedence over the options for all layers, and a node's name over
// its layer's.
func Layer(name string, d Dynamics) LayerOption {
	o := LayerOption{layer: name, dynamics: d, err: d.Check()}
	if name == "" {
		o.err = errors.New("Layer needs the name of a layer")
	} else if o.err != nil {
		o.err = fmt.Errorf("layer %s: %w", name, o.err)
	}
	return o
}

// AllLayers changes all Spike-By-Spike layers.
func AllLayers(d Dynamics) LayerOption { return LayerOption{dynamics: d, err: d.Check()} }

// Spikes sets the number of spikes of all Spike-By-Spike layers. A model holds epsilon_t
// for a limited number of spikes; more spikes need an EpsilonSchedule.
func Spikes(n int) LayerOption { return AllLayers(Dynamics{Spikes: n}) }

// WithSampler sets the sampler of all Spike-By-Spike layers.
func WithSampler(s Sampler) LayerOption { return AllLayers(Dynamics{Sampler: s}) }

// Epsilon0 sets epsilon_0 of all Spike-By-Spike layers.
func Epsilon0(e float32) LayerOption { return AllLayers(Dynamics{Epsilon0: e}) }

// EpsilonSchedule sets epsilon_t of all Spike-By-Spike layers.
func EpsilonSchedule(s Schedule) LayerOption { return AllLayers(Dynamics{Schedule: &s}) }

func (l LayerOption) applyLoad(o *graph.Options) error { return l.apply(&o.Dynamics, &o.Layers) }

func (l LayerOption) applyRun(o *graph.RunOptions) error { return l.apply(&o.Dynamics, &o.Layers) }

func (l LayerOption) apply(all *Dynamics, layers *map[string]Dynamics) error {
	if l.err != nil {
		return l.err
	}
	if l.layer == "" {
		*all = l.dynamics.Over(*all)
		return nil
	}
	if *layers == nil {
		*layers = map[string]Dynamics{}
	}
	(*layers)[l.layer] = l.dynamics.Over((*layers)[l.layer])
	return nil
}
