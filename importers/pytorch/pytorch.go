// Package pytorch reads and writes networks trained with PyTorch-SbS: a folder of .npy
// files and one JSON configuration (dialect 1, May 2022) or up to three
// (dialect 2, January 2023). docs/pytorch-format.md describes both for users.
//
// Nothing that is read is trusted. Whatever is missing, contradictory or not
// a number is an error that names the file, the layer and the key, because the
// original itself carries on with random weights where a file is missing.
package pytorch

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spike-by-spike/sbs/convert"
)

// Errors that Load wraps, for callers that tell them apart.
var (
	// ErrNoConfiguration: no configuration was found, or more than one.
	ErrNoConfiguration = errors.New("no configuration")
	// ErrMissing: a layer has no file at the chosen step.
	ErrMissing = errors.New("missing files")
	// ErrUnsupported: the configuration asks for something that PyTorch-SbS
	// has and this package does not.
	ErrUnsupported = errors.New("not supported")
)

// Options says what to read. Only Weights is required; note that the zero
// value of Step asks for step 0.
type Options struct {
	// Weights is the folder with the Weight_L*, Bias_L* and Mean_L* files.
	Weights string

	// Config lists configuration files, merged in this order. When empty they
	// are looked for in Weights and then in the folder above it.
	Config []string

	// EpsilonXY is the folder with the EpsXY_L* files. When empty they are
	// looked for in Weights, in EpsXY beside it, and where eps_xy_path points
	// to from the configuration's folder. Dialect 2 has no such files.
	EpsilonXY string

	// Step is the training step to read, the number behind the S in the names
	// of the files; 0 is a step like any other. When negative it is the
	// configuration's learning_step if that is positive, and otherwise the
	// highest step at which no file is missing.
	Step int

	// AllowUntrained gives layers without a file the values that training
	// starts from, with a warning, where Load would fail otherwise.
	AllowUntrained bool

	// Mean is the data set's mean for each channel of the image (0..1), used
	// by the on/off split of dialect 1. Known data sets need none.
	Mean []float32

	// Input is the size of the image before any preprocessing. Zero means the
	// size that belongs to data_mode.
	Input convert.Size

	// Spikes, when positive, replaces the number of spikes of every layer.
	Spikes int

	// NoPreprocessing leaves the preprocessing out of the network, whose Input
	// then is what the first layer gets: cropped, and split if it is.
	NoPreprocessing bool
}

// Report is what Load found and the Network does not say.
type Report struct {
	Configuration []string // the configuration files, in the order they were merged
	EpsilonXY     string   // the folder of the EpsXY files, "" if there is none
	Dialect       int      // 1 or 2
	Step          int      // -1 if there are no files
	StepChoice    StepChoice
	Layers        []LayerReport
	Warnings      []string // in the order they came up
}

// LayerReport is what Load found for one layer.
type LayerReport struct {
	Index int      // counts from 0 over all layers, as in the file names
	Kind  string   // PyTorch-SbS's name, such as "SbS", "SbS POOLING" or "CONV2D"
	Files []string // the files used; none for layers without or with generated values
}

// StepChoice says why a step was read.
type StepChoice string

// The reasons for a step.
const (
	StepGiven         StepChoice = "given"            // Options.Step
	StepConfiguration StepChoice = "configuration"    // learning_step
	StepComplete      StepChoice = "highest complete" // no file is missing at it
	StepHighest       StepChoice = "highest"          // no step is complete, and AllowUntrained
	StepUntrained     StepChoice = "untrained"        // NewNetwork found no files
)

// Load reads a network. The errors start with "pytorch: " and say what to do;
// ErrNoConfiguration, ErrMissing and ErrUnsupported can be told apart. Every
// layer of the network fits the output of the one before it.
func Load(opt Options) (*convert.Network, *Report, error) {
	if opt.Weights == "" {
		return nil, nil, errors.New("pytorch: no weights folder was given")
	}
	n, r, err := load(opt, newConfig(), nil)
	if err != nil {
		return nil, nil, fmt.Errorf("pytorch: %w", err)
	}
	return n, r, nil
}

// load reads a network, or makes one that is to be trained if start is not nil.
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
	p, err := newPlan(cfg, opt)
	if err != nil {
		return nil, nil, err
	}
	idx, err := newIndex(opt, p, cfg, files, start)
	if err != nil {
		return nil, nil, err
	}
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
		Dialect:       p.dialect,
		Step:          step,
		Input:         p.input,
		Preprocessing: p.preprocessing,
		Layers:        layers,
		Classes:       p.classes,
		Sources:       l.sources,
		Training:      training,
	}
	report := &Report{
		Configuration: files,
		EpsilonXY:     idx.epsilonXY,
		Dialect:       p.dialect,
		Step:          step,
		StepChoice:    choice,
		Layers:        reports,
		Warnings:      slices.Concat(cfg.warnings, p.warnings, idx.unused(p, step), l.warnings),
	}
	return network, report, nil
}

// check refuses options that no folder could satisfy.
func (opt Options) check() error {
	if opt.Spikes < 0 || opt.Spikes > maxSpikes {
		return fmt.Errorf("%d spikes were asked for, want 1 to %d (or 0 for the configuration's number)", opt.Spikes, maxSpikes)
	}
	for i, m := range opt.Mean {
		if !finite(m) {
			return fmt.Errorf("the mean of channel %d is %v", i, m)
		}
	}
	if s := opt.Input; s != (convert.Size{}) {
		for _, n := range [3]int{s.Channels, s.Height, s.Width} {
			if n < 1 || n > maxImage {
				return fmt.Errorf("the input size %v was given, want 1 to %d in each place", s, maxImage)
			}
		}
	}
	return nil
}
