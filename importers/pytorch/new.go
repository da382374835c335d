package pytorch

import (
	"fmt"
	"os"
	"strings"

	"github.com/spike-by-spike/sbs/convert"
)

// Start says where the values of a network come from that is to be trained.
type Start struct {
	// Seed of the random initial values. Equal seeds give equal networks.
	Seed uint64

	// Overload takes from the folder overload_path, if it is there, the files
	// of every layer it has any of, whatever their step, in place of all others,
	// as PyTorch-SbS does. The folder must lie below the configuration's. Two
	// files of one quantity and layer there are an error.
	Overload bool
}

// NewNetwork makes the network that a configuration describes, with the values
// that training starts from, and says how to train it. Options.Config names the
// files (see FindConfiguration) and may be empty only if Options.Weights is not.
//
// Values come from Start.Overload, then from the files of Options.Weights at the
// step that Load would read, and from neither if Weights is "". What no file
// has is untrained: SbS weights uniform in [1, 1+weight_noise_amplitude)
// (dialect 2: weight_noise_range), each column then divided by its sum; pooling
// weights 1/(KH*KW); convolutions and their bias uniform within
// 1/sqrt(inputs to one output), PyTorch's default; the mean of an ONOFF layer
// 0.5; epsilon_xy its initial value, in dialect 1 a tensor (OH, OW, KH, KW)
// where it is trainable. The network's Step is 0 if nothing was read.
//
// The errors are those of Load, and those of TrainingOf with the file and line of
// values of the wrong type.
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
	said := len(c.warnings)
	t, err := c.trainingOf(n)
	if err != nil {
		return fail(err)
	}
	report.Warnings = append(report.Warnings, c.warnings[said:]...)
	return n, t, report, nil
}

// overload puts the files of overload_path in the place of those of the chosen
// step.
func (x *index) overload(p *plan, c *config, step int) error {
	name, folder := c.overloadFolder()
	if name == "" {
		return nil
	}
	if folder == "" {
		return fmt.Errorf("%s %q is not a folder below the configuration's; put the files in one that is", c.where(keyOverload), name)
	}
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return nil
	}
	previous := index{files: map[fileID][]string{}}
	if _, err := previous.scan(folder, weightFile, biasFile, meanFile, epsilonFile); err != nil {
		return err
	}
	found := map[fileID][]string{}
	for id, paths := range previous.files {
		id.step = step
		if p.uses(id) {
			found[id] = append(found[id], paths...)
		}
	}
	for id, paths := range found {
		if len(paths) > 1 {
			return fmt.Errorf("%s: %v has more than one %s file in %s: %s; leave the one that is meant",
				c.where(keyOverload), p.layers[id.layer], id.quantity, folder, strings.Join(paths, ", "))
		}
		x.files[id] = paths
	}
	x.odd = append(x.odd, previous.odd...)
	return nil
}
