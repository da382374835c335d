package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/internal/graph"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// Tensor is an array of numbers with a shape, in row-major order. Float32s returns the
// elements of a float32 tensor, and ops.Data the elements of a tensor of any type.
type Tensor = ops.Tensor

// NewTensor returns a tensor with the given shape and elements. It does not copy data. The
// product of the shape must be len(data); a nil shape makes a scalar.
func NewTensor[T ops.Element](shape []int, data []T) (*Tensor, error) {
	return ops.NewTensor(shape, data)
}

// The errors of this package wrap one of these where it applies: test for them with
// errors.Is. An error of the context that is passed to Run, such as context.Canceled, and
// an error of the file system, such as fs.ErrNotExist, are wrapped as well.
var (
	// ErrModel is wrapped by errors about a model that is malformed or not supported.
	ErrModel = graph.ErrModel

	// ErrChecksum is wrapped, together with ErrModel, by the error of a model that does not
	// match its checksum: see IgnoreChecksum.
	ErrChecksum = onnx.ErrChecksum

	// ErrUnknownOperator is wrapped, together with ErrModel, if a node of a model has
	// an operator that is neither built in, nor added by WithOperators, nor defined in
	// the model.
	ErrUnknownOperator = graph.ErrUnknownOperator

	// ErrOption is wrapped by errors about an Option or RunOption that is invalid or
	// that the model does not support.
	ErrOption = graph.ErrOption

	// ErrInput is wrapped by errors about the inputs of Run: a missing or unknown name,
	// or a wrong element type or shape. It is also wrapped by errors about seeds or
	// numbers of images that do not fit the batch, and about injected numbers for a node
	// that draws none.
	ErrInput = graph.ErrInput

	// ErrValue is wrapped by errors about a value that an operator cannot take, such as
	// a pixel that is negative or not a number.
	ErrValue = ops.ErrValue

	// ErrMemory is wrapped by errors about a run that needs more than MemoryLimit.
	ErrMemory = graph.ErrMemory

	// ErrStopped is wrapped by the error of a run that its Watcher ends.
	ErrStopped = graph.ErrStopped

	// ErrStages is wrapped, together with ErrOption, by errors about an Option or RunOption
	// that requires a single stage of a model with stages, and about a stage that the model
	// does not have: see OnlyStage.
	ErrStages = errors.New("stages of the model")
)

// NodeError is an error at one node of a model, while the model is loaded or run. Use
// errors.As to find the node. The error of a node in a subgraph is wrapped by the error of
// the node that has the subgraph, such as Loop.
type NodeError = ops.NodeError

// ValueInfo describes an input or output of a model: its name, element type and shape. The
// Size of a dimension is -1 if it can differ from run to run, and with Unranked so can the
// number of dimensions. A DType of 0 means that not even the element type is known before a
// run.
type ValueInfo struct {
	Name     string
	ops.Type // the element type and shape
}

// Model is a loaded model. Open, OpenFS and New load one.
type Model struct {
	program *graph.Program // of the last stage
	stages  []stage        // nil for a model without stages, or of which one stage was chosen
}

// Open loads a model from a file. The model may store tensors in other files in the same
// folder or below it (external data of ONNX). The file must be a regular one: a pipe or a
// device may never end.
func Open(path string, opts ...Option) (*Model, error) {
	o, err := optionsOf(opts)
	if err != nil {
		return nil, err
	}
	pb, err := onnx.ReadModel(o.Context, path)
	return load(path, pb, err, o)
}

// OpenFS loads a model from a file of a file system, such as an embed.FS. The model may
// store tensors in other files in the same folder or below it.
func OpenFS(fsys fs.FS, name string, opts ...Option) (*Model, error) {
	if fsys == nil {
		return nil, fmt.Errorf("runtime: %s: the file system is nil", name)
	}
	o, err := optionsOf(opts)
	if err != nil {
		return nil, err
	}
	pb, err := onnx.ReadFS(o.Context, fsys, name)
	return load(name, pb, err, o)
}

// New loads a model from the contents of an ONNX file, which must include all tensors:
// external data is not supported. New does not keep data.
func New(data []byte, opts ...Option) (*Model, error) {
	o, err := optionsOf(opts)
	if err != nil {
		return nil, err
	}
	pb, err := onnx.Unmarshal(o.Context, data)
	return load("", pb, err, o)
}

// load makes a model from the message of a file, or returns the error of reading the file.
// Such an error already contains the path.
func load(path string, pb *onnxpb.ModelProto, err error, o loadOptions) (*Model, error) {
	if done := o.Context.Err(); done != nil {
		return nil, fmt.Errorf("runtime: %w", done)
	}
	if e, ok := err.(*fs.PathError); ok { //nolint:errorlint // a wrapped one is about external data
		return nil, fmt.Errorf("runtime: %w", e)
	}
	if err != nil {
		return nil, fmt.Errorf("runtime: %w: %w", ErrModel, err)
	}
	if err := graph.CheckEnvironment(); err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	var m *Model
	if !o.ignoreChecksum {
		err = onnx.Verify(o.Context, pb)
	}
	if err == nil {
		m, err = compile(pb, o)
	}
	if err == nil {
		return m, nil
	}
	if done := o.Context.Err(); done != nil {
		return nil, fmt.Errorf("runtime: %w", done)
	}
	if path != "" {
		err = fmt.Errorf("%s: %w", path, err)
	}
	if !errors.Is(err, ErrOption) {
		err = fmt.Errorf("%w: %w", ErrModel, err)
	}
	return nil, fmt.Errorf("runtime: %w", err)
}

// optionsOf returns the options of a model.
func optionsOf(opts []Option) (loadOptions, error) {
	o := loadOptions{Options: graph.Options{Context: context.Background(), FixWeights: true}}
	if err := applyOptions(&o, opts); err != nil {
		return o, fmt.Errorf("runtime: %w", err)
	}
	return o, nil
}

// errNoModel is the error of Run for a nil or zero Model.
var errNoModel = errors.New("runtime: the Model was not loaded: get one from Open, OpenFS or New")

func (m *Model) loaded() bool { return m != nil && m.program != nil }

// Run computes the outputs of the model. Inputs and outputs are maps from name to value;
// all inputs are required apart from the OptionalInputs, and all outputs are returned. In a
// model with stages, every image goes through the stages until it leaves: see Stage. When ctx
// is done, Run ends soon with an error that wraps the error of ctx. An error at a node of the
// model wraps a *NodeError.
//
// Run does not compare the values of its inputs with those that the model was trained with.
// Models that sbs-convert and sbs-train write take pixels from 0 to 1. A Spike-By-Spike layer
// refuses values that are negative, infinite or not a number, with an error that wraps
// ErrValue, but pixels from 0 to 255 give wrong results without an error if the model has an
// on/off split. Classifier.Run of package classify refuses them.
//
// The caller must not modify the inputs until Run returns. The outputs belong to the
// caller.
func (m *Model) Run(ctx context.Context, inputs map[string]*Tensor, opts ...RunOption) (map[string]*Tensor, error) {
	if !m.loaded() {
		return nil, errNoModel
	}
	var o runOptions
	for _, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("runtime: %w: a RunOption is nil", ErrOption)
		}
		if err := opt.applyRun(&o); err != nil {
			return nil, fmt.Errorf("runtime: %w: %w", ErrOption, err)
		}
	}
	out, err := m.run(ctx, inputs, o)
	if err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	return out, nil
}

// Close ends the goroutines of the model and waits until they have ended. It must not be
// called while a Run is in progress. A later Run uses only the goroutine of its caller.
// Close always returns nil, and may be called more than once.
//
// The garbage collector also ends the goroutines of a Model that is no longer reachable.
func (m *Model) Close() error {
	if m.loaded() {
		m.program.Pool.Close()
	}
	return nil
}

// Inputs describes the inputs that Run needs.
func (m *Model) Inputs() []ValueInfo {
	if !m.loaded() {
		return nil
	}
	return infos(m.program.Inputs)
}

// OptionalInputs describes the inputs that a run may leave out, because the file has a default
// value for them: the initializers that are also inputs of the graph, in files of IR version 4
// or later. Of a model with stages, they are those of the last stage.
func (m *Model) OptionalInputs() []ValueInfo {
	if !m.loaded() {
		return nil
	}
	list := make([]graph.ValueInfo, len(m.program.Optional))
	for i, v := range m.program.Optional {
		list[i] = v.ValueInfo
	}
	return infos(list)
}

// Outputs describes the outputs that Run returns. A name is listed twice if the file does so.
// The shape follows from the graph, where that is known, and is otherwise the one that the file
// declares.
func (m *Model) Outputs() []ValueInfo {
	if !m.loaded() {
		return nil
	}
	return infos(m.program.Outputs)
}

func infos(list []graph.ValueInfo) []ValueInfo {
	out := make([]ValueInfo, len(list))
	for i, v := range list {
		out[i] = ValueInfo(v)
		out[i].Shape = slices.Clone(v.Shape)
	}
	return out
}

// Crop returns how many pixels the model removes from each side of its images before it does
// anything else: the smallest of the four numbers, if they differ. It is 0 if the model does not
// crop images (batch, channels, height, width), or if that is not known before a run. Of a model
// with stages, it is the smallest crop of all stages.
func (m *Model) Crop() int {
	if !m.loaded() {
		return 0
	}
	crop := m.program.Crop
	for _, s := range m.stages {
		crop = min(crop, s.program.Crop)
	}
	return crop
}

// SbSLayer describes a Spike-By-Spike layer of a loaded model.
type SbSLayer struct {
	// Name is the name of the node, such as "L0/SbS". Layer, Watch and InjectSpikes
	// take it, or the part before the slash.
	Name string

	Spikes   int     // spikes per output position or, with FullLayer, per image
	Sampler  Sampler // how the spikes are drawn
	Epsilon0 float32 // epsilon_0

	// FullLayer says that the layer draws its spikes once per image, from the whole input, and
	// hands each of them to all output positions that see its place.
	FullLayer bool

	// Positions is the number of output positions per image. It is 0 if it is not known before
	// a run.
	Positions int

	// Updates is the number of spike updates that an image takes: Spikes times Positions or,
	// with FullLayer, the number that is expected for an image that is equal everywhere. It is
	// 0 if it is not known before a run.
	Updates int
}

// SbSLayers describes the Spike-By-Spike layers, in the order of the file and with the
// options of the model. Layers that the file contains as standard operators instead of SbS
// nodes are not listed. Of a model with stages, the layers are those of the last stage.
func (m *Model) SbSLayers() []SbSLayer {
	if !m.loaded() {
		return nil
	}
	list := make([]SbSLayer, len(m.program.SbSLayers))
	for i, l := range m.program.SbSLayers {
		list[i] = SbSLayer(l)
	}
	return list
}

// Metadata returns the metadata of the file, such as the name of the network and the names
// of its classes, as a map from key to text.
func (m *Model) Metadata() map[string]string {
	if !m.loaded() {
		return nil
	}
	return maps.Clone(m.program.Metadata)
}

// Warnings returns one warning per property of the file, or option for loading, that may be
// a mistake. Options of a run cause no warnings.
func (m *Model) Warnings() []string {
	if !m.loaded() {
		return nil
	}
	return slices.Clone(m.program.Warnings)
}

// String describes the model in one line: the number of nodes, the inputs and the outputs.
func (m *Model) String() string {
	if !m.loaded() {
		return "no model"
	}
	p := m.program
	list := func(values []graph.ValueInfo) string {
		s := make([]string, len(values))
		for i, v := range values {
			s[i] = v.Name + " " + v.Type.String()
		}
		return strings.Join(s, ", ")
	}
	s := fmt.Sprintf("%d nodes (%d SbS), inputs: %s, outputs: %s", len(p.Main.Steps), len(p.SbSLayers), list(p.Inputs), list(p.Outputs))
	if m.stages != nil {
		return fmt.Sprintf("%d stages, the last with %s", len(m.stages), s)
	}
	return s
}
