package train

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spike-by-spike/sbs/internal/graph"
	"github.com/spike-by-spike/sbs/internal/metadata"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// Config sets how a model is trained. The zero value trains every layer as PyTorch-SbS
// does by default.
type Config struct {
	// Dialect of PyTorch-SbS, 1 or 2, whose training is followed. 0 means the dialect
	// in the model's metadata, or 2 if there is none.
	Dialect int

	// Loss to minimize. Without a Kind it is the mixture of the dialect, or the cross
	// entropy if the model's output is named "logits".
	Loss Loss

	// Optimizer of the weights and of epsilon_xy; "" means Adam.
	Optimizer Optimizer

	// RateW and RateEpsilonXY are the learning rates at the start; 0 means 0.001.
	RateW, RateEpsilonXY float64

	// ScheduleW and ScheduleEpsilonXY change the learning rates. After every update
	// they get Update.PlateauLoss, or with ScheduleByError the percentage of wrong
	// answers.
	ScheduleW, ScheduleEpsilonXY Schedule
	ScheduleByError              bool

	// ScheduleByEpoch lets the schedules take a step when EndEpoch is called, with the
	// results of the epoch, instead of after every update.
	ScheduleByEpoch bool

	// ThresholdW and ThresholdEpsilonXY are the smallest values that an update leaves;
	// 0 means 1e-5. In dialect 2 ThresholdW is divided by the number of input channels.
	ThresholdW, ThresholdEpsilonXY float64

	// SubBatches is the number of calls of Step whose gradients one update sums up; 0
	// means 1.
	SubBatches int

	// FreezeW and FreezeEpsilonXY name layers, such as "L2", whose weights (with the
	// bias, and the running mean of an on/off split) or epsilon_xy stay as they are.
	// The weights of SbS pooling layers always do, and epsilon_xy in dialect 2.
	FreezeW, FreezeEpsilonXY []string

	// MeanEpsilonXY names layers in which all entries of epsilon_xy are kept equal, at
	// their mean.
	MeanEpsilonXY []string

	// Local names SbS layers that learn locally: they minimize the distance between
	// the input distribution and its reconstruction from h, or in the last layer from
	// the target. Nil means the layers that the model's metadata names.
	Local []string

	// StopGradient names layers that pass no gradient to the layers before them.
	StopGradient []string

	// NoGradientScale leaves out the scaling of dialect 2: at every SbS layer the
	// incoming gradient is divided by the largest absolute value that it had in the
	// first update and the first sub-batch of the second.
	NoGradientScale bool

	// Seed selects the random numbers.
	Seed uint64

	// Dynamics changes how all SbS layers draw and weigh their spikes, and Layers
	// changes single layers, named as "L0" or "L0/SbS". Training and the model that is
	// written use them.
	Dynamics sbs.Dynamics
	Layers   map[string]sbs.Dynamics

	// Workers is the number of CPU cores to use; 0 means all that the process may use.
	Workers int

	// MemoryLimit bounds the memory of the values and gradients of one sub-batch, in
	// bytes; 0 means 4 GiB.
	MemoryLimit int64

	// Operators adds operators, or replaces built-in ones: see runtime.WithOperators.
	// The gradient passes only through those that are ops.Differentiable.
	Operators []ops.Operator `json:"-"`
}

// check returns an error if a value is out of range for every model.
func (c *Config) check() error {
	for name, n := range map[string]int64{"Workers": int64(c.Workers), "MemoryLimit": c.MemoryLimit, "SubBatches": int64(c.SubBatches)} {
		if n < 0 {
			return fmt.Errorf("%s is %d, want at least 0 (0 means the default)", name, n)
		}
	}
	if err := c.Dynamics.Check(); err != nil {
		return err
	}
	for layer, d := range c.Layers {
		if err := d.Check(); err != nil {
			return fmt.Errorf("layer %s: %w", layer, err)
		}
	}
	return nil
}

// complete fills in the defaults and checks the other values.
func (c *Config) complete(p *graph.Program) error {
	if c.Dialect == 0 {
		c.Dialect = 2
		if d, err := strconv.Atoi(p.Metadata[metadata.Dialect]); err == nil && d != 0 {
			c.Dialect = d
		}
	}
	if c.Dialect != 1 && c.Dialect != 2 {
		return fmt.Errorf("there is no dialect %d of PyTorch-SbS: want 1 or 2", c.Dialect)
	}
	if local := p.Metadata[metadata.Local]; c.Local == nil && local != "" {
		var layers []int
		if err := json.Unmarshal([]byte(local), &layers); err != nil {
			return fmt.Errorf("the metadata %s is not a list of layer numbers", metadata.Local)
		}
		for _, i := range layers {
			c.Local = append(c.Local, "L"+strconv.Itoa(i))
		}
	}
	if c.Loss.Kind == "" {
		c.Loss.Kind, c.Loss.Sum = Mixture, c.Dialect == 2
		if p.Outputs[0].Name == metadata.Logits {
			c.Loss.Kind = CrossEntropy
		}
	}
	c.Optimizer = cmp.Or(c.Optimizer, Adam)
	c.RateW, c.RateEpsilonXY = cmp.Or(c.RateW, 0.001), cmp.Or(c.RateEpsilonXY, 0.001)
	c.ThresholdW, c.ThresholdEpsilonXY = cmp.Or(c.ThresholdW, 1e-5), cmp.Or(c.ThresholdEpsilonXY, 1e-5)
	c.SubBatches = cmp.Or(c.SubBatches, 1)
	for _, n := range []struct {
		name  string
		value float64
	}{{"RateW", c.RateW}, {"RateEpsilonXY", c.RateEpsilonXY}, {"ThresholdW", c.ThresholdW}, {"ThresholdEpsilonXY", c.ThresholdEpsilonXY}} {
		if !(n.value > 0 && n.value <= 1e4) {
			return fmt.Errorf("%s is %v, want a number above 0, at most 10000 (or 0 for the default)", n.name, n.value)
		}
	}
	return errors.Join(c.Loss.Check(), c.Optimizer.Check(), c.ScheduleW.Check(), c.ScheduleEpsilonXY.Check())
}

// checkLayers returns an error if a list names a layer that the model does not have.
func (c *Config) checkLayers(p *graph.Program) error {
	var known []string
	for _, s := range p.Main.Steps {
		layer, _ := graph.LayerOf(s.Name)
		known = append(known, layer)
	}
	for _, list := range []struct {
		name   string
		layers []string
	}{
		{"FreezeW", c.FreezeW}, {"FreezeEpsilonXY", c.FreezeEpsilonXY}, {"MeanEpsilonXY", c.MeanEpsilonXY},
		{"Local", c.Local}, {"StopGradient", c.StopGradient},
	} {
		for _, layer := range list.layers {
			if !slices.Contains(known, layer) {
				return fmt.Errorf("%s names layer %q, which the model does not have; layers are named L0, L1 and so on", list.name, layer)
			}
		}
	}
	return nil
}
