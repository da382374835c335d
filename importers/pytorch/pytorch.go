package pytorch

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// Errors that the functions of this package wrap.
var (
	// ErrNoConfiguration means that no configuration was found, or more than one.
	ErrNoConfiguration = errors.New("no configuration")

	// ErrMissing means that a required file of a layer is missing at the chosen step.
	ErrMissing = errors.New("missing files")

	// ErrUnsupported means that the configuration requires a feature of PyTorch-SbS that
	// this package does not have, or that PyTorch-SbS cannot describe a network.
	ErrUnsupported = errors.New("not supported")
)

// Options selects the files that Load and NewNetwork read. Load requires Weights. The
// zero values of the other fields select the defaults.
type Options struct {
	// Weights is the folder with the Weight_L*, Bias_L* and Mean_L* files.
	Weights string

	// Config lists the configuration files. They are merged in this order; later values
	// take precedence. If it is empty, Load searches Weights and then its parent folder.
	Config []string

	// Set replaces values of the configuration. Each string is KEY=VALUE, such as
	// "network_structure.number_of_output_neurons=5". A VALUE that is no JSON is a string.
	Set []string

	// Neurons replaces the numbers of neurons of all layers that have some, apart from the last
	// one: the key forward_neuron_numbers. Poolings and splits between them follow.
	Neurons []int

	// EpsilonXY is the folder with the EpsXY_L* files of dialect 1. If it is empty, Load
	// uses the first of these folders that has such files: Weights, EpsXY next to it, and
	// the folder that the key eps_xy_path names, if it is below the folder of the
	// configuration.
	EpsilonXY string

	// Step is the training step to read, the number after S in the file names. If it is
	// nil, Load uses the key learning_step if that is positive, otherwise the highest step
	// at which no required file is missing.
	Step *int

	// Order is the order of the arrays to read, a number such as "0.5": PyTorch-SbS of July
	// 2023 adds it to the names of the arrays of a training that was started with an order,
	// as in Weight_L0_S5_0.5.npy, and layer 0 then has that many spikes per value of its input.
	// "none" selects the arrays without an order. If Order is empty, all arrays must have
	// the same order, or none.
	Order string

	// Generation says which state of PyTorch-SbS a configuration of dialect 2 is for, which it
	// does not always show: "2023-01" or "2023-07". If it is empty, Load decides, and
	// Report.Assumed says so if that matters.
	Generation string

	// AllowUntrained gives layers without a file the initial values of a training (see
	// NewNetwork) and adds a warning. Without AllowUntrained, a missing file is an error.
	AllowUntrained bool

	// Mean is the mean of the data set for each channel of the image, with pixels from 0
	// to 1. The on/off split of dialect 1 needs it unless the data set is known: MNIST,
	// MNIST_FASHION or CIFAR10.
	Mean []float32

	// Input is the size of an image before the preprocessing. The zero value means the
	// image size of the data set that the key data_mode names.
	Input convert.Size

	// Spikes replaces the number of spikes of every SbS layer if it is positive.
	Spikes int

	// NoPreprocessing returns a network without preprocessing. Network.Input is then the
	// size of the preprocessed image: cropped, and with twice the channels if there is an
	// on/off split.
	NoPreprocessing bool
}

// Report describes what Load and NewNetwork read.
type Report struct {
	Weights       string        // the folder of the Weight files
	Configuration []string      // the configuration files, in the order in which they were merged
	EpsilonXY     string        // the folder of the EpsXY files, "" if there is none
	Dialect       int           // 1 or 2
	Generation    string        // the date of the state of PyTorch-SbS that the network is for, and what shows it
	Order         string        // the order of the arrays, "" if there is none
	Step          int           // the training step, -1 if there were no files
	StepChoice    StepChoice    // why this step was read
	Layers        []LayerReport // one entry per layer
	Warnings      []string      // problems that were tolerated, one sentence each
	Assumed       []string      // what the files leave open and how it was understood, one sentence each
}

// LayerReport describes what Load read for one layer.
type LayerReport struct {
	Index int      // the layer, counted from 0 over all layers as in the file names
	Kind  string   // the type in PyTorch-SbS: "SbS", "SbS POOLING", "CONV2D" and so on
	Files []string // the arrays; empty if the layer has none or its values were generated

	// Spikes is number_of_spikes in the configuration, or the number of spikes by the order,
	// which Options.Spikes may replace; for NNMF layers, it is the number of iterations.
	Spikes int

	epsilonT []float32 // for Spikes spikes, or empty if Spikes is out of range and replaced
}

// ConfiguredSpikes returns the number of spikes and epsilon_t in the configuration of every
// SbS layer, in the order of the layers. The other parameters are zero. Options.Spikes may
// have replaced both in the network.
func (r *Report) ConfiguredSpikes() []sbs.Params {
	var list []sbs.Params
	for _, l := range r.Layers {
		if kind(l.Kind).sbs() {
			list = append(list, sbs.Params{Spikes: l.Spikes, EpsilonT: slices.Clone(l.epsilonT)})
		}
	}
	return list
}

// StepChoice is the reason for reading a step.
type StepChoice string

// The values of StepChoice.
const (
	StepGiven         StepChoice = "given"                  // Options.Step selected it
	StepConfiguration StepChoice = "configuration"          // the key learning_step selected it
	StepComplete      StepChoice = "highest with all files" // the highest step at which no file is missing
	StepHighest       StepChoice = "highest"                // the highest step; no step is complete, but AllowUntrained is set
	StepUntrained     StepChoice = "untrained"              // NewNetwork found no files
)

// Load reads a trained network. If the weights folder has no Weight files, but one of the
// folders in it has, Load reads that one. Each layer of the result fits the output of the layer
// before it. Weights of SbS layers are finite, not negative, and their columns sum to 1.
// If the sum of a column differs from 1 by more than 1e-4, Load divides the column by its
// sum and adds a warning; otherwise it keeps every bit of the file. float64 arrays are
// rounded to float32.
//
// If the error is nil, Report.Warnings may still list problems that were tolerated, such
// as unknown keys and files that do not belong to a layer. If it is not nil, the other
// results are nil.
func Load(opt Options) (*convert.Network, *Report, error) {
	if opt.Weights == "" {
		return nil, nil, errors.New("pytorch: no weights folder was given")
	}
	weights, err := weightsFolder(opt.Weights)
	if err != nil {
		return nil, nil, fmt.Errorf("pytorch: the weights folder: %w", err)
	}
	opt.Weights = weights
	n, r, err := load(opt, newConfig(), nil)
	if err != nil {
		return nil, nil, fmt.Errorf("pytorch: %w", err)
	}
	return n, r, nil
}

// load reads a network, or makes one for training if start is not nil.
func load(opt Options, cfg *config, start *Start) (*convert.Network, *Report, error) {
	if err := opt.check(); err != nil {
		return nil, nil, err
	}
	if opt.Weights != "" {
		if _, err := os.ReadDir(opt.Weights); err != nil {
			return nil, nil, fmt.Errorf("the weights folder: %w", err)
		}
	}
	files, err := configuration(cfg, opt)
	if err != nil {
		return nil, nil, err
	}
	if opt.Order, err = opt.order(cfg); err != nil {
		return nil, nil, err
	}
	p, err := newPlan(cfg, opt)
	if err != nil {
		return nil, nil, err
	}
	idx, err := newIndex(opt, p, cfg, files, start)
	if err != nil {
		return nil, nil, err
	}
	means, err := idx.means(p, cfg, start)
	if err != nil {
		return nil, nil, err
	}
	p.settle(cfg, means)
	step, choice := 0, StepUntrained
	if start == nil || len(idx.files) > 0 {
		if step, choice, err = idx.choose(p, opt, cfg.learningStep); err != nil {
			return nil, nil, err
		}
		if start != nil && step < 0 {
			step, choice = 0, StepUntrained
		}
	}
	if start != nil && start.Overload {
		if err := idx.overload(p, cfg, step); err != nil {
			return nil, nil, err
		}
	}
	training, err := cfg.trainingJSON()
	if err != nil {
		return nil, nil, err
	}

	l := loader{config: cfg, plan: p, index: idx, step: step, start: start}
	for i, f := range files {
		l.sources = append(l.sources, convert.Source{Path: sourcePath(idx.weights, f), SHA256: hex.EncodeToString(cfg.sums[i])})
	}
	layers, reports, err := l.layers()
	if err != nil {
		return nil, nil, err
	}
	network := &convert.Network{
		Name:          nameOf(files[0]),
		Dialect:       generations.dialect[p.generation],
		Step:          step,
		Input:         p.input,
		Preprocessing: p.preprocessing,
		Layers:        layers,
		Classes:       p.classes,
		Borders:       p.borders,
		Sources:       l.sources,
		Training:      training,
	}
	report := &Report{
		Weights:       opt.Weights,
		Configuration: files,
		EpsilonXY:     idx.epsilonXY,
		Dialect:       generations.dialect[p.generation],
		Generation:    p.generationText(),
		Order:         idx.order,
		Step:          step,
		StepChoice:    choice,
		Layers:        reports,
		Warnings:      slices.Concat(cfg.warnings, p.warnings, idx.unused(p, step), l.warnings),
		Assumed:       p.assumed,
	}
	return network, report, nil
}

// check returns an error for options that are invalid for every folder.
func (opt Options) check() error {
	if opt.Spikes < 0 || opt.Spikes > maxSpikes {
		return fmt.Errorf("%d spikes were requested, want 1 to %d, or 0 for the number in the configuration", opt.Spikes, maxSpikes)
	}
	for i, m := range opt.Mean {
		if !finite(m) {
			return fmt.Errorf("the mean of channel %d is %v, want a finite number", i, m)
		}
	}
	if s := opt.Input; s != (convert.Size{}) {
		for _, n := range [3]int{s.Channels, s.Height, s.Width} {
			if n < 1 || n > maxImage {
				return fmt.Errorf("the input size is %v, want 1 to %d in each dimension", s, maxImage)
			}
		}
	}
	return nil
}
