package train

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/spike-by-spike/sbs/internal/graph"
	"github.com/spike-by-spike/sbs/internal/metadata"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// Config sets how a model is trained. The zero value trains every layer, with the
// defaults of PyTorch-SbS.
type Config struct {
	// Dialect is the version of PyTorch-SbS whose update steps are used, 1 or 2. 0 means
	// the dialect in the metadata of the model, or 2 if there is none.
	Dialect int

	// Loss is the loss that is minimized. Without a Kind, it is the Mixture of the
	// dialect, or CrossEntropy if the output of the model is named "logits".
	Loss Loss

	// Optimizer is the optimizer of the weights and of epsilon_xy; "" means Adam.
	Optimizer Optimizer

	// RateW and RateEpsilonXY are the initial learning rates; 0 means 0.001.
	RateW, RateEpsilonXY float64

	// ScheduleW and ScheduleEpsilonXY change the learning rates. Plateau schedules
	// follow Update.PlateauLoss or, with ScheduleByError, the percentage of images that
	// are classified wrongly.
	ScheduleW, ScheduleEpsilonXY Schedule
	ScheduleByError              bool

	// ScheduleByEpoch advances the schedules in every call of EndEpoch, with the results
	// of the epoch, instead of after every update.
	ScheduleByEpoch bool

	// ThresholdW and ThresholdEpsilonXY are lower limits: an update raises smaller
	// weights of SbS layers and smaller values of epsilon_xy to them. 0 means 1e-5. In
	// dialect 2, ThresholdW is divided by the number of input channels of the layer.
	ThresholdW, ThresholdEpsilonXY float64

	// SubBatches is the number of sub-batches per update; 0 means 1. An update uses the
	// sum of their gradients.
	SubBatches int

	// FreezeW and FreezeEpsilonXY name layers, such as "L2", whose weights or epsilon_xy
	// are not trained. FreezeW includes the bias and the running mean of an on/off split.
	// The weights of SbS pooling layers are never trained, and epsilon_xy is not trained
	// in dialect 2.
	FreezeW, FreezeEpsilonXY []string

	// MeanEpsilonXY names layers whose entries of epsilon_xy are set to their mean after
	// every update.
	MeanEpsilonXY []string

	// Local names SbS layers that learn locally: they minimize the distance between the
	// input distribution and its reconstruction from h, or, in the last layer, from the
	// target. Nil means the layers that the metadata of the model names.
	Local []string

	// StopGradient names layers that compute no gradient: neither their weights nor those of
	// the layers before them are trained.
	StopGradient []string

	// NoGradientScale disables the gradient scaling of dialect 2, which divides the
	// incoming gradient of every SbS layer by a scale: the largest absolute value that
	// the entries of this gradient have had so far. The scale stays constant after the
	// first sub-batch of the second update. The layers NNMF with the closed form of the gradient
	// (BP SBS NNMF) are scaled in the same way.
	NoGradientScale bool

	// NewGradientScales measures the scales anew for every sub-batch.
	NewGradientScales bool

	// Noise is noise that Step adds to the images before the model crops them. Each entry is
	// KIND=FROM:TO, such as "gaussian=0:0.6", or KIND=LEVEL; the kinds and their levels are
	// those of classify.Noise. Every image gets one of the kinds, all with the same
	// probability, and a level that is uniformly distributed from FROM to TO. The draws and the
	// noise depend on the Seed and the number of images before. The images must have values from
	// 0 to 1. Step does not change the Batch, and Evaluate adds no noise.
	Noise []string `json:",omitempty"`

	// NoiseShare is the share of the images that get noise, above 0, at most 1; 0 means
	// DefaultNoiseShare. The other images stay as they are.
	NoiseShare float64 `json:",omitempty"`

	// Seed selects the random numbers.
	Seed uint64

	// Dynamics changes how all SbS layers draw and weight their spikes. EachLayer has one
	// entry per SbS layer, in the order of the file, and takes precedence over Dynamics.
	// Layers changes single layers, with names such as "L0" or "L0/SbS", and takes
	// precedence over both. All apply to training and to the trained model. The epsilon
	// schedule auto is replaced by the values that it chooses at the start. If they change a
	// sampler, the trained model loses the definition of the SbS operator that lets other
	// runtimes execute it: to keep that, set the sampler when converting.
	Dynamics  sbs.Dynamics
	EachLayer []sbs.Dynamics
	Layers    map[string]sbs.Dynamics

	// Workers is the number of CPU cores to use. 0 means GOMAXPROCS, which is also the
	// maximum.
	Workers int

	// MemoryLimit limits the memory of the values and gradients of one sub-batch, together
	// with the temporary memory of the node that computes its values, in bytes; 0 means 4
	// GiB. The temporary memory for gradients does not count.
	MemoryLimit int64

	// LoadContext ends Open and New soon after it is done; nil never does.
	LoadContext context.Context `json:"-"` //nolint:containedctx // of one call

	// IgnoreChecksum loads a model that does not match its checksum, see
	// runtime.IgnoreChecksum.
	IgnoreChecksum bool `json:"-"`

	// Operators adds operators or replaces built-in ones, see runtime.WithOperators. A
	// gradient passes only through operators that implement ops.Differentiable. The JSON
	// form of a Config does not contain them, since they contain functions.
	Operators []ops.Operator `json:"-"`
}

// DefaultNoiseShare is the default of Config.NoiseShare. Without clean images, a training with
// noise loses accuracy on images without noise.
const DefaultNoiseShare = 0.5

// context returns LoadContext, or the background if it is nil.
func (c *Config) context() context.Context {
	if c.LoadContext == nil {
		return context.Background()
	}
	return c.LoadContext
}

// check returns an error if a value is out of range for every model.
func (c *Config) check() error {
	for _, v := range []struct {
		name  string
		value int64
	}{{"Workers", int64(c.Workers)}, {"MemoryLimit", c.MemoryLimit}, {"SubBatches", int64(c.SubBatches)}} {
		if v.value < 0 {
			return fmt.Errorf("%s is %d, want at least 0 (0 means the default)", v.name, v.value)
		}
	}
	for i, d := range c.EachLayer {
		if err := d.Check(); err != nil {
			return fmt.Errorf("EachLayer, SbS layer number %d: %w", i+1, err)
		}
	}
	if err := c.Dynamics.Check(); err != nil {
		return err
	}
	for _, layer := range slices.Sorted(maps.Keys(c.Layers)) {
		if err := c.Layers[layer].Check(); err != nil {
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
		return fmt.Errorf("Dialect is %d, want 1 or 2 (or 0 for the dialect of the model)", c.Dialect)
	}
	if local := p.Metadata[metadata.Local]; c.Local == nil && local != "" {
		var layers []int
		if err := json.Unmarshal([]byte(local), &layers); err != nil {
			return fmt.Errorf("the metadata entry %s is not a list of layer numbers", metadata.Local)
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

// digest identifies the settings that change the result of training.
func (c Config) digest() (string, error) {
	c.Workers, c.MemoryLimit = 0, 0
	b, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", sha256.Sum256(b)), nil
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
	for _, name := range c.Local {
		if !slices.ContainsFunc(p.SbSLayers, func(l graph.SbSLayer) bool { return graph.MatchLayer(name, l.Name) }) {
			return fmt.Errorf("Local names layer %q, which is not an SbS layer and cannot learn locally", name)
		}
	}
	return nil
}
