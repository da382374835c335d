package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/internal/graph"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// Option sets how a model is loaded.
type Option interface {
	applyLoad(o *loadOptions) error
}

// RunOption sets how one run computes.
type RunOption interface {
	applyRun(o *runOptions) error
}

// LayerOption changes Spike-By-Spike layers. It is both an Option, for all runs of a model,
// and a RunOption, for a single run.
type LayerOption struct {
	layer    string // "" means all layers
	dynamics Dynamics
	each     []Dynamics
	err      error
}

// loadOptions are the options of a model, and runOptions those of a run.
type (
	loadOptions struct {
		graph.Options
		stage          int // see OnlyStage; 0 means all stages
		ignoreChecksum bool
	}
	runOptions struct {
		graph.RunOptions
		effort []func(Effort) // see ReportEffort
	}
)

type loadOption func(o *loadOptions) error

func (f loadOption) applyLoad(o *loadOptions) error { return f(o) }

type runOption func(o *runOptions) error

func (f runOption) applyRun(o *runOptions) error { return f(o) }

// applyOptions applies the options of a model. Errors wrap ErrOption.
func applyOptions(o *loadOptions, opts []Option) error {
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

// Workers sets the number of CPU cores that a run uses, at most those that the process may
// use (GOMAXPROCS). 0, the default, means all of these.
func Workers(n int) Option {
	return loadOption(func(o *loadOptions) error {
		o.Workers = n
		return atLeast0("the number of workers", int64(n))
	})
}

// MemoryLimit bounds the memory of the values of one run, in bytes. 0, the default, means 4
// GiB. A run that needs more fails with an error that wraps ErrMemory. If the sizes of the
// values are known in advance, it fails before it allocates them.
//
// The values are the outputs of all nodes that are in use at the same time: a value that no
// later node needs makes room for others, except in a run with Observe. Inputs of the run
// and weights do not count.
//
// The temporary memory of the node that is running counts too, and so do the copies of its
// weights that a Spike-By-Spike layer keeps in another layout. Up to 1 MiB of it is always
// allowed. The memory depends on the instruction set and, for some nodes, on the number of
// workers.
func MemoryLimit(bytes int64) Option {
	return loadOption(func(o *loadOptions) error {
		o.MemoryLimit = bytes
		return atLeast0("the memory limit", bytes)
	})
}

func atLeast0(what string, n int64) error {
	if n < 0 {
		return fmt.Errorf("%s is %d, want at least 0 (0 means the default)", what, n)
	}
	return nil
}

// LoadContext ends loading soon after ctx is done, with an error that wraps the error of ctx.
// Without the option, nothing ends it. Run has a context of its own.
func LoadContext(ctx context.Context) Option {
	return loadOption(func(o *loadOptions) error {
		if ctx == nil {
			return errors.New("the context of LoadContext is nil")
		}
		o.Context = ctx
		return nil
	})
}

// IgnoreChecksum loads a model even if it does not match its checksum. sbs-convert and
// sbs-train store a checksum of the weights, the graph and the metadata ai.sbs.* in a model,
// and loading refuses a model that does not match it: it is damaged, or another program has
// changed it. A model without a checksum is always loaded.
func IgnoreChecksum() Option {
	return loadOption(func(o *loadOptions) error {
		o.ignoreChecksum = true
		return nil
	})
}

// WithOperators adds operators to the built-in ones, over which they take precedence: an
// operator with the domain and name of a built-in one replaces it. Of two operators with
// the same domain and name, the later one counts. The operators with subgraphs (If, Loop,
// Scan) cannot be replaced.
func WithOperators(operators ...ops.Operator) Option {
	operators = slices.Clone(operators)
	return loadOption(func(o *loadOptions) error {
		o.Operators = append(o.Operators, operators...)
		return nil
	})
}

// PreferFunctions uses functions defined in the model instead of built-in operators of the
// same domain and name, for tests that compare the two. sbs-convert writes such a function
// for SbS, for runtimes that do not have this operator; here it is far slower.
func PreferFunctions() Option {
	return loadOption(func(o *loadOptions) error {
		o.PreferFunctions = true
		return nil
	})
}

// Dynamics changes how Spike-By-Spike layers draw and weight their spikes. A field with the
// zero value does not change the property.
type Dynamics = sbs.Dynamics

// Sampler selects how spikes are drawn: IID or LowDiscrepancy.
type Sampler = sbs.Sampler

const (
	// IID draws the spikes of a position independently of each other, as PyTorch-SbS
	// does.
	IID = sbs.IID

	// LowDiscrepancy spreads the spikes of a position evenly, so that far fewer spikes
	// give the same accuracy.
	LowDiscrepancy = sbs.LowDiscrepancy
)

// Schedule is a rule for epsilon_t: (t+1)^Power for spike t, counted from 0. Power is from
// -10 to 0; 0 means that all spikes have the same weight. With Auto, epsilon_0 is chosen for
// the number of spikes, see EpsilonSchedule.
type Schedule = sbs.Schedule

// Layer changes one Spike-By-Spike layer. name is the name of its node, such as "L0/SbS", or
// of the layer, such as "L0". Among the options of one call, whatever their order, Layer takes
// precedence over EachLayer, and EachLayer over options for all layers. A Layer option with the
// name of a node takes precedence over one with the name of a layer.
func Layer(name string, d Dynamics) LayerOption {
	o := LayerOption{layer: name, dynamics: d, err: d.Check()}
	if name == "" {
		o.err = errors.New("the name of the layer is empty: pass a name such as \"L0\" to Layer, or use AllLayers")
	} else if o.err != nil {
		o.err = fmt.Errorf("layer %s: %w", name, o.err)
	}
	return o
}

// EachLayer changes the Spike-By-Spike layers one by one, in the order of Model.SbSLayers.
// There must be one value per layer. With several EachLayer options, the later ones take
// precedence.
func EachLayer(list ...Dynamics) LayerOption {
	o := LayerOption{each: slices.Clone(list)}
	if len(list) == 0 {
		o.err = errors.New("EachLayer has no values: give one per Spike-By-Spike layer")
	}
	for i, d := range list {
		if err := d.Check(); err != nil && o.err == nil {
			o.err = fmt.Errorf("Spike-By-Spike layer number %d: %w", i+1, err)
		}
	}
	return o
}

// AllLayers changes all Spike-By-Spike layers. The options Layer and EachLayer of the same
// call take precedence.
func AllLayers(d Dynamics) LayerOption { return LayerOption{dynamics: d, err: d.Check()} }

// Spikes sets the number of spikes per output position of all Spike-By-Spike layers. A model
// stores epsilon_t for a limited number of spikes; a larger number also needs an
// EpsilonSchedule, unless the stored numbers follow a schedule.
//
// Far fewer spikes, with the same epsilon, lower the accuracy: see EpsilonSchedule. As an
// option of a model, they cause a warning, see Model.Warnings. A single run causes none.
func Spikes(n int) LayerOption { return AllLayers(Dynamics{Spikes: n}) }

// WithSampler sets the sampler of all Spike-By-Spike layers.
func WithSampler(s Sampler) LayerOption { return AllLayers(Dynamics{Sampler: s}) }

// Epsilon0 sets epsilon_0 of all Spike-By-Spike layers: the weight of a spike is epsilon_0
// times epsilon_t.
func Epsilon0(e float32) LayerOption { return AllLayers(Dynamics{Epsilon0: e}) }

// EpsilonSchedule sets epsilon_t of all Spike-By-Spike layers: one number per spike, by which
// epsilon_0 is multiplied.
//
// Schedule{Auto: true} keeps epsilon_t. For layers with fewer spikes than before, it chooses
// epsilon_0 so that all spikes together change h as much as before; sbs.Dynamics.Resolve has
// the formula. The other layers keep their epsilon_0. In the options of a run, "before" means
// the opened model. Setting epsilon_0 of the same layer is an error; so is an epsilon_xy that
// is not an initializer.
func EpsilonSchedule(s Schedule) LayerOption { return AllLayers(Dynamics{Schedule: &s}) }

func (l LayerOption) applyLoad(o *loadOptions) error { return l.apply(&o.Dynamics) }

func (l LayerOption) applyRun(o *runOptions) error { return l.apply(&o.Dynamics) }

func (l LayerOption) apply(d *graph.Dynamics) error {
	switch {
	case l.err != nil:
		return l.err
	case l.each != nil:
		if n := len(d.Each); n > 0 && n != len(l.each) {
			return fmt.Errorf("one EachLayer option has %d values, another has %d", n, len(l.each))
		}
		each := slices.Clone(l.each)
		for i := range each {
			if i < len(d.Each) {
				each[i] = each[i].Over(d.Each[i])
			}
		}
		d.Each = each
	case l.layer == "":
		d.All = l.dynamics.Over(d.All)
	default:
		if d.Layers == nil {
			d.Layers = map[string]Dynamics{}
		}
		d.Layers[l.layer] = l.dynamics.Over(d.Layers[l.layer])
	}
	return nil
}
