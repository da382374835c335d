package pytorch

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/convert"
)

// Start selects the initial values of a network for training. The zero value uses seed 0
// and ignores overload_path.
type Start struct {
	// Seed is the seed of the random initial values. Equal seeds give equal networks.
	Seed uint64

	// Overload enables the key overload_path, as in PyTorch-SbS: the files in that
	// folder, if it exists, replace all other files of the same layer and quantity,
	// whatever their step. The folder must be below the folder of the configuration. Two
	// files of one layer and quantity in it are an error. A Mean file in the folder
	// weight_path then shows the generation, even if no values are read from it.
	Overload bool
}

// NewNetwork makes the network that a configuration describes, with initial values for
// training, and returns its training configuration. Options.Config lists the
// configuration files (see FindConfiguration); it may be empty if Options.Weights is not.
//
// Values are read from the folder overload_path if Start.Overload is set, then from the
// folder Options.Weights, if it is not empty, at the step that Load would read. Values
// without a file are initialized:
//
//   - weights of SbS and NNMF layers: uniform in [1, 1+weight_noise_amplitude), or in
//     weight_noise_range in dialect 2, then each column is divided by its sum
//   - weights of pooling SbS layers: 1/(KH*KW) for the inputs of the same channel, else 0
//   - weights and bias of convolutions: uniform within 1/sqrt(number of inputs to one
//     output), PyTorch's default
//   - mean of ONOFF layers: 0.5, if one of them has a Mean file; otherwise they have none
//   - epsilon_xy: the key eps_xy_intitial, in dialect 1 as a tensor (OH, OW, KH, KW) if
//     it is trainable
//
// Network.Step is 0 if no values were read. NewNetwork returns the same errors as Load
// and TrainingOf.
func NewNetwork(opt Options, start Start) (*convert.Network, *Training, *Report, error) {
	fail := func(err error) (*convert.Network, *Training, *Report, error) {
		return nil, nil, nil, fmt.Errorf("pytorch: %w", err)
	}
	if opt.Weights == "" && len(opt.Config) == 0 {
		return fail(fmt.Errorf("%w was named", ErrNoConfiguration))
	}
	opt.AllowUntrained = true
	c := newConfig()
	c.training = newTrainingKeys()
	n, report, err := load(opt, c, &start)
	if err != nil {
		return fail(err)
	}
	reported := len(c.warnings)
	t, err := c.trainingOf(n)
	if err != nil {
		return fail(err)
	}
	report.Warnings = append(report.Warnings, c.warnings[reported:]...)
	return n, t, report, nil
}

// overload replaces files of the chosen step by those in the folder overload_path.
func (x *index) overload(p *plan, c *config, step int) error {
	name, folder := c.overloadFolder()
	if name == "" {
		return nil
	}
	if folder == "" {
		return fmt.Errorf("%s %q is not below the folder of the configuration; move the files to a folder that is", c.where(keyOverload), name)
	}
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return nil
	}
	previous, err := x.previous(folder)
	if err != nil {
		return err
	}
	found := map[fileID][]string{}
	for _, id := range slices.SortedFunc(maps.Keys(previous.files), fileID.compare) {
		paths := previous.files[id]
		id.step, id.order = step, x.order
		if p.uses(id) {
			found[id] = append(found[id], paths...)
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(found), fileID.compare) {
		paths := found[id]
		if len(paths) > 1 {
			return fmt.Errorf("%s: %v has more than one %s file in %s: %s; remove all but one",
				c.where(keyOverload), p.layers[id.layer], id.quantity, folder, strings.Join(paths, ", "))
		}
		x.files[id] = paths
	}
	x.odd = append(x.odd, previous.odd...)
	return nil
}

// previous lists the files in the folder overload_path. Without an order, files of any order
// belong to the network.
func (x *index) previous(folder string) (*index, error) {
	entries := &index{order: x.order, orders: x.orders, anyOrder: x.order == "", files: map[fileID][]string{}}
	_, err := entries.scan(folder, weightFile, biasFile, meanFile, epsilonFile)
	return entries, err
}
