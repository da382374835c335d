package convert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/spike-by-spike/sbs/internal/metadata"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// MaxStages is the largest number of stages of a model.
const MaxStages = metadata.MaxEarlyStages + 1

// NoImageLeaves is a threshold that no image reaches.
const NoImageLeaves = metadata.MaxThreshold

// Staged is a model with stages: networks for the same images and classes, from the
// fastest to the most accurate one. An image goes through the stages in order, and leaves
// at the first stage whose two most probable classes are far enough apart, or at the last
// one.
type Staged struct {
	// Stages are the stages in the order in which an image goes through them, 1 to
	// MaxStages.
	Stages []Stage

	// Calibration says what the thresholds were calibrated on, nil if that is unknown.
	Calibration *Calibration
}

// Stage is one stage of a model.
type Stage struct {
	Network *Network

	// Threshold is the margin at which an image leaves: the probability of its most
	// probable class minus that of the second most probable one must be at least
	// Threshold. It is 0 to 1, or NoImageLeaves. It must be 0 in the last stage, where
	// all images leave.
	Threshold float64
}

// Calibration describes on which images the thresholds of a model were chosen, and what
// was measured on them. An image is lost if it leaves at a stage that is wrong, while the last
// stage is right. Losses are in percent of all images.
type Calibration struct {
	Images int    // number of images, at least 1
	Data   string // SHA-256 of the images and labels, in hexadecimal, or ""
	Source string // where the images are from, for people

	MaxAccuracyLoss float64 // the loss that was allowed, 0 to 100
	Confidence      float64 // probability with which the loss is at most MaxAccuracyLoss, 0 to 1; 0 if it is unknown
	Seed            uint64  // of the random numbers

	// Losses and Left have an entry for each stage but the last, or none: the images that
	// were lost at this stage, in percent of all images, and the number of images that left
	// there.
	Losses []float64
	Left   []int
}

// check returns an error if the stages do not fit each other, and the results of
// Network.check.
func (s *Staged) check() ([][]Size, error) {
	switch {
	case s == nil:
		return nil, errors.New("convert: no stages were given")
	case len(s.Stages) < 1 || len(s.Stages) > MaxStages:
		return nil, fmt.Errorf("convert: the model has %d stages, want 1 to %d", len(s.Stages), MaxStages)
	}
	var all [][]Size
	last := len(s.Stages) - 1
	for i, stage := range s.Stages {
		sizes, err := stage.Network.check()
		if err == nil && last > 0 {
			err = stage.fits(sizes, s.Stages[0].Network, all)
		}
		switch {
		case err != nil:
		case i == last && stage.Threshold != 0:
			err = fmt.Errorf("convert: the threshold is %v, want 0: all images leave at the last stage", stage.Threshold)
		case i < last:
			if err = metadata.CheckThreshold(stage.Threshold); err != nil {
				err = fmt.Errorf("convert: %w", err)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("stage %d: %w", i+1, err)
		}
		all = append(all, sizes)
	}
	switch {
	case s.Calibration == nil:
	case last == 0:
		return nil, errors.New("convert: a model with one stage has no threshold, and so no calibration")
	default:
		c := metadata.Calibration(*s.Calibration)
		if err := c.Check(last); err != nil {
			return nil, fmt.Errorf("convert: calibration: %w", err)
		}
	}
	return all, nil
}

// fits returns an error if the network of a stage, with the given sizes, does not fit the
// network of the first stage. before are the sizes of the stages before.
func (s *Stage) fits(sizes []Size, first *Network, before [][]Size) error {
	n := s.Network
	out := sizes[len(sizes)-1]
	switch n.Layers[len(n.Layers)-1].(type) {
	case *SbS, *NNMF, *Reconstruction:
	default:
		return fmt.Errorf("convert: its last layer is of kind %s, whose output is not a probability: a stage must end with an SbS or NNMF layer, or a reconstruction", n.Layers[len(n.Layers)-1].Kind())
	}
	if out.Height != 1 || out.Width != 1 {
		return fmt.Errorf("convert: its output is %v, want one position, with one probability per class", out)
	}
	if len(before) == 0 {
		return nil
	}
	switch classes := before[0][len(before[0])-1].Channels; {
	case n.Input != first.Input:
		return fmt.Errorf("convert: its images are %v, but those of stage 1 are %v", n.Input, first.Input)
	case out.Channels != classes:
		return fmt.Errorf("convert: it has %d classes, but stage 1 has %d", out.Channels, classes)
	case !slices.Equal(n.Classes, first.Classes):
		return fmt.Errorf("convert: its classes are named %q, but those of stage 1 %q", n.Classes, first.Classes)
	}
	return nil
}

// StagesToONNX returns a model with stages as the bytes of an ONNX file. Its graph is the
// last stage, so that a runtime that ignores stages runs this one. Each of the others is a
// function in the file that the graph does not call. A stage takes up space for its nodes
// and for those weights that differ from the weights of the last stage; the metadata
// ai.sbs.stages has the thresholds. A single stage is written as ToONNX writes it.
//
// The stages have the same Input, the same Classes, and a last layer of the kind SbS or
// Reconstruction with one position and the same number of neurons. All of them use the
// seed of opt. Options.Batch, Options.Inject and BodyInline cannot be combined with several
// stages. Equal stages and options give equal bytes.
func StagesToONNX(s *Staged, opt Options) ([]byte, error) {
	sizes, err := s.check()
	if err != nil {
		return nil, err
	}
	if err := opt.check(); err != nil {
		return nil, err
	}
	last := len(s.Stages) - 1
	if last == 0 {
		return ToONNX(s.Stages[0].Network, opt)
	}
	switch {
	case opt.Batch > 0:
		return nil, errors.New("convert: a model with stages cannot have a fixed batch size, because images leave the batch: convert without a batch size")
	case opt.Inject != InjectNothing:
		return nil, errors.New("convert: a model with stages cannot have inputs for spikes or uniforms: convert without injection")
	case opt.Body == BodyInline:
		return nil, errors.New("convert: stages are functions of the model, but an inline body is for runtimes without functions: convert with another body, or each stage separately")
	}
	networks := make([]*Network, len(s.Stages))
	for i, stage := range s.Stages {
		networks[i] = stage.Network
	}
	all := sharedBy(opt.Inject, networks...)
	graphs := make([]*onnxpb.GraphProto, len(networks))
	for i, n := range networks {
		if graphs[i], err = writeGraph(n, sizes[i], opt, all); err != nil {
			return nil, fmt.Errorf("stage %d: %w", i+1, err)
		}
	}
	m, err := newModel(networks[last], graphs[last], opt, networks...)
	if err != nil {
		return nil, fmt.Errorf("stage %d: %w", last+1, err)
	}
	list := &metadata.StageList{Calibration: (*metadata.Calibration)(s.Calibration)}
	opsets := slices.Clone(m.GetOpsetImport())
	for i, n := range networks[:last] {
		props, err := properties(n, opt.Body)
		if err != nil {
			return nil, fmt.Errorf("stage %d: %w", i+1, err)
		}
		stage := metadata.Stage{Function: fmt.Sprintf("Stage%d", i+1), Threshold: s.Stages[i].Threshold, Metadata: map[string]string{}}
		for _, p := range props {
			stage.Metadata[p.GetKey()] = p.GetValue()
		}
		list.Stages = append(list.Stages, stage)
		f, err := onnx.StageFunction(stage.Function, graphs[i], graphs[last], opsets)
		if err != nil {
			return nil, fmt.Errorf("convert: stage %d: %w", i+1, err)
		}
		f.DocString = fmt.Sprintf("Stage %d of %d. The graph of the model is the last stage.", i+1, last+1)
		m.Functions = append(m.Functions, f)
	}
	m.OpsetImport = append(m.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: metadata.StageDomain, Version: metadata.StageVersion})
	b, err := json.Marshal(list)
	if err != nil {
		return nil, fmt.Errorf("convert: metadata %s: %w", metadata.Stages, err)
	}
	m.MetadataProps = append(m.MetadataProps, &onnxpb.StringStringEntryProto{Key: metadata.Stages, Value: string(b)})
	return onnx.MarshalStamped(m)
}

// StagesFromONNX reads a model that StagesToONNX or ToONNX wrote. A model without stages
// gives one stage. As for FromONNX, the weights may have been changed since, and errors
// about models of another form wrap ErrNotConverted.
func StagesFromONNX(data []byte, opts ...ReadOption) (*Staged, error) {
	s, _, err := readStages(data, opts)
	return s, err
}

// readStages also returns the messages of the stages.
func readStages(data []byte, opts []ReadOption) (*Staged, []onnx.Stage, error) {
	m, err := read(data, opts)
	if err != nil {
		return nil, nil, err
	}
	stages, calibration, err := onnx.Stages(m)
	if err != nil {
		return nil, nil, fmt.Errorf("convert: %w", err)
	}
	if stages == nil {
		stages = []onnx.Stage{{Model: m}}
	}
	s := &Staged{Calibration: (*Calibration)(calibration)}
	for i, stage := range stages {
		n, err := readModel(stage.Model)
		if err != nil && len(stages) > 1 {
			err = fmt.Errorf("stage %d: %w", i+1, err)
		}
		if err != nil {
			return nil, nil, err
		}
		s.Stages = append(s.Stages, Stage{n, stage.Threshold})
	}
	_, err = s.check()
	return s, stages, err
}

// ExtractStage returns one stage of a model with stages, counted from 1, as the bytes of an
// ordinary model: those that ToONNX returns for the network of the stage, with the seed and
// the body of the file.
func ExtractStage(data []byte, stage int, opts ...ReadOption) ([]byte, error) {
	s, models, err := readStages(data, opts)
	switch {
	case err != nil:
		return nil, err
	case len(models) == 1:
		return nil, errors.New("convert: the model has no stages to choose from")
	case stage < 1 || stage > len(models):
		return nil, fmt.Errorf("convert: stage %d: the model has stages 1 to %d", stage, len(models))
	}
	opt, err := optionsOf(models[stage-1].Model)
	if err != nil {
		return nil, fmt.Errorf("convert: stage %d: %w", stage, err)
	}
	return ToONNX(s.Stages[stage-1].Network, opt)
}

// OptionsOf returns the options that ToONNX needs to write the network of a model without
// stages again in the same form: with the same seed, the same fixed batch size and the same inputs
// instead of random numbers, and with the same definition of the SbS operator. For a model whose
// SbS layers are inline it returns BodyInline and no seed.
func OptionsOf(data []byte) (Options, error) {
	m, err := onnx.Unmarshal(context.Background(), data)
	if err != nil {
		return Options{}, fmt.Errorf("convert: %w", err)
	}
	opt, err := optionsOf(m)
	if err != nil {
		return Options{}, fmt.Errorf("convert: %w", err)
	}
	return opt, nil
}

func optionsOf(m *onnxpb.ModelProto) (opt Options, err error) {
	isSbS := func(n *onnxpb.NodeProto) bool { return n.GetDomain() == sbs.Domain }
	switch {
	case slices.ContainsFunc(m.GetFunctions(), func(f *onnxpb.FunctionProto) bool { return f.GetDomain() == sbs.Domain }):
		opt.Body = BodyFunction
	case slices.ContainsFunc(m.GetGraph().GetNode(), isSbS):
		opt.Body = BodyNone
	default:
		opt.Body = BodyInline
	}
	if in := m.GetGraph().GetInput(); len(in) > 0 {
		if dims := in[0].GetType().GetTensorType().GetShape().GetDim(); len(dims) > 0 {
			opt.Batch = int(dims[0].GetDimValue())
		}
		switch inject := Inject(path.Base(in[len(in)-1].GetName())); inject { // see InjectedName
		case InjectSpikes, InjectUniforms:
			opt.Inject = inject
		}
	}
	opt.Seed, err = seedOfModel(m)
	return opt, err
}

// seedOfModel returns Options.Seed of a model: the seed of each node with random numbers minus
// the number of its layer.
func seedOfModel(m *onnxpb.ModelProto) (int64, error) {
	groups, err := layerGroups(m.GetGraph())
	if err != nil {
		return 0, err
	}
	layers := map[string]int{}
	for i, group := range groups {
		layers[group] = i
	}
	var seed int64
	first := true
	for _, n := range m.GetGraph().GetNode() {
		layer, ok := layers[n.GetName()]
		if n.GetDomain() != sbs.Domain || !sbs.Random(n.GetOpType()) || !ok {
			continue
		}
		attrs, err := onnx.Attributes(n)
		if err != nil {
			return 0, fmt.Errorf("layer %d: %w", layer, err)
		}
		own, err := ops.Attr(attrs, sbs.AttrSeed, int64(0))
		if err != nil {
			return 0, fmt.Errorf("layer %d: %w", layer, err)
		}
		own -= int64(layer)
		if !first && own != seed {
			return 0, fmt.Errorf("%w: the seeds of the layers are not consecutive", ErrNotConverted)
		}
		seed, first = own, false
	}
	return seed, nil
}
