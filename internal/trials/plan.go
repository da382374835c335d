package trials

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/training"
)

// Trial is a training of a Plan.
type Trial struct {
	Flags    []string // of sbs-train, as --name=value
	Network  int      // index in the Models
	Prepared *training.Prepared

	values []setting // of the axes
}

// Plan is a number of trials that can begin.
type Plan struct {
	Trials []Trial
	Inputs training.Inputs // without the Path

	flags    *Flags
	manifest *manifest
}

// modelFile is the name of the model in the folder of a trial.
const modelFile = "model.onnx"

// Output returns the value of the flag --output of sbs-train for a trial in a folder. model says whether
// its network is a model, and no configuration.
func Output(folder string, model bool) string {
	if model {
		return filepath.Join(folder, modelFile)
	}
	return folder
}

// text returns the settings in words, such as "lr=0.1 seed=3".
func text(list []setting) string {
	var words []string
	for _, s := range list {
		words = append(words, s.name+"="+s.value)
	}
	return strings.Join(words, " ")
}

// Open prepares all trials. It prints warnings to stderr.
func (f *Flags) Open(ctx context.Context, stderr io.Writer) (*Plan, error) {
	if err := f.checkFolder(); err != nil {
		return nil, err
	}
	all, err := f.settings()
	if err != nil {
		return nil, cli.Usage(err)
	}
	p := &Plan{flags: f, Inputs: f.base.Inputs()}
	images, warned, known := &training.Images{}, map[string]bool{}, map[string]int{}
	for i, values := range all {
		if ctx.Err() != nil {
			return nil, cli.ErrInterrupted
		}
		t := Trial{values: values, Flags: f.common()}
		for _, s := range values {
			if s.name == axisNetwork {
				t.Network = slices.Index(f.Models, s.value)
			} else if flag := s.flag(f.names); flag != "" {
				t.Flags = append(t.Flags, flag)
			}
		}
		if t.Prepared, err = f.prepare(ctx, &t, p.Inputs, images); err != nil {
			if errors.Is(err, cli.ErrInterrupted) {
				return nil, err
			}
			return nil, fmt.Errorf("trial %d of %d (%s): %w", i+1, len(all), text(values), err)
		}
		if other, ok := known[t.Prepared.Identity]; ok {
			return nil, fmt.Errorf("trial %d (%s) and trial %d (%s) are the same training: leave out one of them", other+1, text(all[other]), i+1, text(values))
		}
		known[t.Prepared.Identity] = i
		if t.Prepared.Reconstruct != (len(p.Trials) > 0 && p.Trials[0].Prepared.Reconstruct) && i > 0 {
			return nil, fmt.Errorf("trial %d (%s) has no accuracy to compare with trial %d (%s), or the other way round: train networks with a reconstruction on their own", i+1, text(values), 1, text(all[0]))
		}
		for _, w := range t.Prepared.Warnings {
			if !warned[w] {
				cli.PrintWarnings(stderr, w)
			}
			warned[w] = true
		}
		p.Trials = append(p.Trials, t)
	}
	p.manifest = f.describe(p)
	return p, nil
}

// settings returns the values of the axes of all trials: the network, the settings of the list and the
// axes, and the seed.
func (f *Flags) settings() ([][]setting, error) {
	if f.list != "" && f.lines == nil {
		var err error
		if f.lines, err = readList(f.list, f.names); err != nil {
			return nil, err
		}
		for _, line := range f.lines {
			for _, s := range line {
				if err := f.checkAxis("--"+flagList+" "+f.list+":", s.name); err != nil {
					return nil, err
				}
			}
		}
	}
	all, err := points(f.lines, f.axes)
	if err != nil {
		return nil, err
	}
	seeds, err := seedsFrom(f.seed, f.seeds.Or(1))
	if err != nil {
		return nil, err
	}
	var trials [][]setting
	for _, model := range f.Models {
		for _, p := range all {
			list := []setting{{axisNetwork, model}}
			if has(p, axisSeed) {
				trials = append(trials, append(list, p...))
			} else {
				for _, s := range seeds {
					trials = append(trials, slices.Concat(list, p, []setting{{axisSeed, s}}))
				}
			}
			if len(trials) > maxTrials {
				return nil, fmt.Errorf("there are more than %d trials: give fewer values, networks or seeds", maxTrials)
			}
		}
	}
	return trials, nil
}

// prepare checks whether a trial can begin.
func (f *Flags) prepare(ctx context.Context, t *Trial, in training.Inputs, images *training.Images) (*training.Prepared, error) {
	trial, err := Parse(t.Flags)
	if err != nil {
		return nil, err
	}
	in.Path = f.Models[t.Network]
	model, err := training.IsModel(in.Path)
	if err != nil {
		return nil, err
	}
	return trial.Prepare(ctx, in, Output(filepath.Join(f.Output, "trial"), model), images)
}

// Parse returns a training with the flags of a trial.
func Parse(flags []string) (*training.Trial, error) {
	trial := &training.Trial{}
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	trial.Register(set)
	if err := cli.ParseFlags(set, training.TrialFlags(), flags); err != nil {
		return nil, err
	}
	return trial, trial.CheckTrial()
}
