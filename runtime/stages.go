package runtime

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/internal/graph"
	"github.com/spike-by-spike/sbs/internal/metadata"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// Stage describes one stage of a model with stages. Every image goes through the first
// stage. It leaves there if its Margin is at least the threshold of the stage, and
// otherwise goes on to the next stage, which starts again from the pixels of the image. All
// images leave at the last stage. The output of an image is that of the stage at which it
// leaves, with the same bits as a run of this stage alone.
type Stage struct {
	Number    int     // from 1
	Threshold float64 // 0 for the last stage
	Updates   int64   // spike updates that an image takes in this stage; 0 if they are not known before a run
}

// stage is a loaded stage.
type stage struct {
	program   *graph.Program
	threshold float64
}

// Stages describes the stages of the model in order, or returns nil if the model has none
// or OnlyStage has chosen one.
func (m *Model) Stages() []Stage {
	if !m.loaded() || m.stages == nil {
		return nil
	}
	list := make([]Stage, len(m.stages))
	for i, s := range m.stages {
		list[i] = Stage{Number: i + 1, Threshold: s.threshold}
		for _, l := range s.program.SbSLayers {
			list[i].Updates += int64(l.Updates)
		}
	}
	return list
}

// OnlyStage loads one stage of a model with stages, counted from 1, as a model without
// stages. 0 is the default: all stages.
func OnlyStage(n int) Option {
	return loadOption(func(o *loadOptions) error {
		o.stage = n
		return atLeast0("the number of the stage", int64(n))
	})
}

// Effort says what a run has done for each image of the batch.
type Effort struct {
	// Stages has the number of the stage at which each image left, from 1. It is nil for
	// a model without stages.
	Stages []int

	// Updates has the number of spike updates of each image, in all stages that it went
	// through. A spike updates one output position of one Spike-By-Spike layer. For layers with
	// SbSLayer.FullLayer, it is the number that is expected for an image that is equal
	// everywhere.
	Updates []int64
}

// ReportEffort calls f at the end of a run that succeeds, in the goroutine that called Run. f
// may keep the slices but must not modify them. Several options report to all functions.
// The batch is the first dimension of the first input of the model; a model whose first
// input has no dimensions has a batch of one image. Updates are 0 for layers that run as
// standard operators or as operators that WithOperators has added.
func ReportEffort(f func(Effort)) RunOption {
	return runOption(func(o *runOptions) error {
		if f == nil {
			return errors.New("the function of ReportEffort is nil")
		}
		o.effort = append(o.effort, f)
		return nil
	})
}

// Margin returns how clear the most probable class of an image is: its probability minus
// that of the second most probable class, which is 0 if there is only one class. It is NaN
// if a probability is NaN or there are none.
func Margin(probabilities []float32) float64 {
	if len(probabilities) == 0 {
		return math.NaN()
	}
	best, second := float32(math.Inf(-1)), float32(math.Inf(-1))
	if len(probabilities) == 1 {
		second = 0
	}
	for _, p := range probabilities {
		switch {
		case p != p:
			return math.NaN()
		case p > best:
			best, second = p, max(best, second)
		case p > second:
			second = p
		}
	}
	return float64(best) - float64(second)
}

// compile makes a model of the message of a file.
func compile(pb *onnxpb.ModelProto, o loadOptions) (*Model, error) {
	list, _, err := onnx.Stages(pb)
	switch {
	case err != nil:
		return nil, err
	case list == nil && o.stage > 0:
		return nil, fmt.Errorf("%w: %w: stage %d was chosen, but the model has no stages", ErrOption, ErrStages, o.stage)
	case o.stage > len(list):
		return nil, fmt.Errorf("%w: %w: stage %d was chosen, but the model has stages 1 to %d", ErrOption, ErrStages, o.stage, len(list))
	case o.stage > 0:
		pb, list = list[o.stage-1].Model, nil
	}
	if list == nil {
		p, err := graph.Compile(pb, o.Options)
		if err != nil {
			return nil, err
		}
		return &Model{program: p}, nil
	}
	if !o.Dynamics.IsZero() {
		return nil, fmt.Errorf("%w: %w: spikes, sampler, epsilon_0 and schedule cannot be changed, because the thresholds apply to the %d stages as they are: "+
			"choose one stage with OnlyStage", ErrOption, ErrStages, len(list))
	}
	return compileStages(list, o)
}

// compileStages makes a model of all stages of a file.
func compileStages(list []onnx.Stage, o loadOptions) (*Model, error) {
	o.Shared = graph.NewShared(o.Workers)
	m := new(Model)
	for i, s := range list {
		p, err := graph.Compile(s.Model, o.Options)
		if err == nil {
			err = checkStage(p)
		}
		if err == nil && i > 0 {
			err = sameTypes(p, m.stages[0].program)
		}
		if err != nil {
			return nil, fmt.Errorf("stage %d: %w", i+1, err)
		}
		m.stages = append(m.stages, stage{p, s.Threshold})
	}
	m.program = m.stages[len(m.stages)-1].program
	var warnings []string
	for i, s := range m.stages {
		for _, w := range s.program.Warnings {
			warnings = append(warnings, fmt.Sprintf("stage %d: %s", i+1, w))
		}
	}
	m.program.Warnings = warnings
	return m, nil
}

// checkStage returns an error unless a program can be a stage: it takes a batch of any
// number of images and returns one row of probabilities per image.
func checkStage(p *graph.Program) error {
	if len(p.Inputs) != 1 || len(p.Outputs) != 1 {
		return fmt.Errorf("it has %d inputs and %d outputs, but a stage has one of each", len(p.Inputs), len(p.Outputs))
	}
	in, out := p.Inputs[0], p.Outputs[0]
	switch {
	case len(in.Shape) == 0 || in.Shape[0].Known():
		return fmt.Errorf("input %q is %v, but a stage takes batches of any number of images", in.Name, in.Type)
	case in.DType != ops.Float32:
		return fmt.Errorf("input %q is %v, but a stage takes float32 images", in.Name, in.Type)
	case out.Name != metadata.Probabilities:
		return fmt.Errorf("the output is named %q, but a stage computes %q, one per class", out.Name, metadata.Probabilities)
	case out.DType != ops.Float32 || len(out.Shape) != 2 || !out.Shape[1].Known() || out.Shape[1].Size < 1:
		return fmt.Errorf("output %q is %v, but a stage computes float32(batch, classes)", out.Name, out.Type)
	}
	return nil
}

// sameTypes returns an error if a stage has other images or classes than the first stage.
func sameTypes(p, first *graph.Program) error {
	in, want := p.Inputs[0], first.Inputs[0]
	same := in.Name == want.Name && len(in.Shape) == len(want.Shape)
	for i := 1; same && i < len(in.Shape); i++ {
		same = in.Shape[i].Size == want.Shape[i].Size
	}
	if !same {
		return fmt.Errorf("input %q is %v, but that of stage 1 is %q, %v", in.Name, in.Type, want.Name, want.Type)
	}
	if n, classes := p.Outputs[0].Shape[1].Size, first.Outputs[0].Shape[1].Size; n != classes {
		return fmt.Errorf("it has %d classes, but stage 1 has %d", n, classes)
	}
	return nil
}

// run runs the model, with or without stages.
func (m *Model) run(ctx context.Context, inputs map[string]*Tensor, o runOptions) (map[string]*Tensor, error) {
	if m.stages != nil {
		return m.runStages(ctx, inputs, o)
	}
	if len(o.effort) == 0 {
		return m.program.Run(ctx, inputs, o.RunOptions)
	}
	var updates int64
	o.Updates = &updates
	out, err := m.program.Run(ctx, inputs, o.RunOptions)
	if err != nil {
		return nil, err
	}
	o.report(Effort{Updates: slices.Repeat([]int64{updates}, m.images(inputs))})
	return out, nil
}

// report calls the functions of ReportEffort.
func (o *runOptions) report(e Effort) {
	for _, f := range o.effort {
		f(e)
	}
}

// images returns the number of images of a batch.
func (m *Model) images(inputs map[string]*Tensor) int {
	if len(m.program.Inputs) == 0 {
		return 1
	}
	shape := inputs[m.program.Inputs[0].Name].Shape()
	if len(shape) == 0 {
		return 1
	}
	return shape[0]
}

// runStages runs the stages on a batch, each on the images that have not left before.
func (m *Model) runStages(ctx context.Context, inputs map[string]*Tensor, o runOptions) (map[string]*Tensor, error) {
	if err := checkStagesRun(o.RunOptions); err != nil {
		return nil, err
	}
	if err := m.program.CheckInputs(inputs); err != nil {
		return nil, err
	}
	name := m.program.Inputs[0].Name
	images := inputs[name]
	classes := m.program.Outputs[0].Shape[1].Size
	var out *Tensor // of the first stage; later stages replace the rows of the images that stay
	left := Effort{Stages: make([]int, images.Shape()[0]), Updates: make([]int64, images.Shape()[0])}
	var rest []int // the indices of the images in the batch; nil in the first stage, which gets all
	for i, s := range m.stages {
		var updates int64
		part := o.RunOptions
		part.Updates = &updates
		x := images
		if rest != nil {
			part.Seeds, part.Images = gather(o.Seeds, rest), numbers(o.RunOptions, rest)
			x = gatherImages(images, rest)
		}
		results, err := s.program.Run(ctx, map[string]*Tensor{name: x}, part)
		if err != nil {
			return nil, fmt.Errorf("stage %d: %w", i+1, err)
		}
		p := results[metadata.Probabilities]
		if !slices.Equal(p.Shape(), []int{x.Shape()[0], classes}) {
			return nil, fmt.Errorf("%w: stage %d: the output has the shape %v for %d images, want %d numbers per image", ops.ErrShape, i+1, p.Shape(), x.Shape()[0], classes)
		}
		if i == 0 {
			out = p
		}
		stay := []int{}
		for j := range x.Shape()[0] {
			image := j
			if rest != nil {
				image = rest[j]
			}
			row := p.Float32s()[j*classes : (j+1)*classes]
			left.Updates[image] += updates
			if i < len(m.stages)-1 && !(Margin(row) >= s.threshold) { // true for NaN
				stay = append(stay, image)
				continue
			}
			left.Stages[image] = i + 1
			copy(out.Float32s()[image*classes:], row)
		}
		if rest = stay; len(rest) == 0 {
			break
		}
	}
	o.report(left)
	return map[string]*Tensor{metadata.Probabilities: out}, nil
}

// checkStagesRun returns an error for options of a run that apply to a single stage only.
func checkStagesRun(o graph.RunOptions) error {
	var what string
	switch {
	case !o.Dynamics.IsZero():
		what = "spikes, sampler, epsilon_0 and schedule cannot be changed, because the thresholds apply to the stages as they are"
	case len(o.Spikes)+len(o.Uniforms) > 0:
		what = "spikes and uniforms cannot be given"
	case o.Watch != nil:
		what = "Watch cannot tell the stages apart"
	case o.Observe != nil:
		what = "Observe cannot tell the stages apart"
	default:
		return nil
	}
	return fmt.Errorf("%w: %w: %s: open the model with OnlyStage to run one stage", ErrOption, ErrStages, what)
}

// gather returns the elements of a list with the given indices, or nil for a nil list.
func gather(list []uint64, indices []int) []uint64 {
	if list == nil {
		return nil
	}
	out := make([]uint64, len(indices))
	for i, j := range indices {
		out[i] = list[j]
	}
	return out
}

// numbers returns the numbers of the images with the given indices in the batch.
func numbers(o graph.RunOptions, indices []int) []uint64 {
	if o.Images != nil {
		return gather(o.Images, indices)
	}
	out := make([]uint64, len(indices))
	for i, j := range indices {
		out[i] = o.FirstImage + uint64(j)
	}
	return out
}

// gatherImages returns a batch of the images with the given indices.
func gatherImages(images *Tensor, indices []int) *Tensor {
	shape := slices.Clone(images.Shape())
	size := images.Len() / shape[0]
	pixels := make([]float32, 0, len(indices)*size)
	for _, i := range indices {
		pixels = append(pixels, images.Float32s()[i*size:(i+1)*size]...)
	}
	shape[0] = len(indices)
	t, _ := ops.NewTensor(shape, pixels) // the shape has this many elements
	return t
}
