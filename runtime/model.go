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

// Tensor is a dense array in row-major order.
type Tensor = ops.Tensor

// NewTensor returns a tensor over data, which it keeps. The shape must have exactly
// len(data) elements; a nil shape makes a scalar.
func NewTensor[T ops.Element](shape []int, data []T) (*Tensor, error) {
	return ops.NewTensor(shape, data)
}

// Errors that callers may want to tell apart with errors.Is.
var (
	// ErrModel is wrapped by errors about a model that is malformed or that this
	// package cannot run.
	ErrModel = graph.ErrModel

	// ErrUnknownOperator is wrapped, together with ErrModel, if a model has an
	// operator that is neither built in, nor given with WithOperators, nor defined in
	// the model.
	ErrUnknownOperator = graph.ErrUnknownOperator

	// ErrOption is wrapped by errors about an Option or RunOption that is out of range
	// or does not fit the model.
	ErrOption = graph.ErrOption

	// ErrInput is wrapped by errors about the inputs given to Run: a missing or unknown
	// name, a wrong element type or shape.
	ErrInput = graph.ErrInput

	// ErrMemory is wrapped by errors about a run that would exceed MemoryLimit.
	ErrMemory = graph.ErrMemory

	// ErrStopped is wrapped by the error of a run that its Watcher has ended.
	ErrStopped = graph.ErrStopped
)

// NodeError is an error at one node of the graph, while a model is loaded or run.
type NodeError = graph.NodeError

// ValueInfo describes an input or output of a model.
type ValueInfo = graph.ValueInfo

// Model is a loaded model. Use Open, OpenFS or New to make one.
type Model struct{ program *graph.Program }

// Open loads the model in a file. Tensors may be in other files of the same folder or
// below it (ONNX's external data).
func Open(path string, opts ...Option) (*Model, error) {
	pb, _, err := onnx.ReadFile(path)
	return load(path, pb, err, opts)
}

// OpenFS loads the model in a file of a file system, such as one that is embedded in
// the program. Tensors may be in other files of the same folder or below it.
func OpenFS(fsys fs.FS, name string, opts ...Option) (*Model, error) {
	if fsys == nil {
		return nil, fmt.Errorf("runtime: %s: the file system is nil", name)
	}
	pb, err := onnx.ReadFS(fsys, name)
	return load(name, pb, err, opts)
}

// New loads a model from the bytes of an ONNX file that needs no other file. It does
// not keep the bytes.
func New(data []byte, opts ...Option) (*Model, error) {
	pb, err := onnx.Unmarshal(data)
	return load("", pb, err, opts)
}

// load makes a model of a message, or of the error of reading it, which names the path.
func load(path string, pb *onnxpb.ModelProto, err error, opts []Option) (*Model, error) {
	if e, ok := err.(*fs.PathError); ok { //nolint:errorlint // not wrapped: it is about the file itself
		return nil, fmt.Errorf("runtime: %w", e)
	}
	if err != nil {
		return nil, fmt.Errorf("runtime: %w: %w", ErrModel, err)
	}
	var o graph.Options
	if err := applyOptions(&o, opts); err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	p, err := graph.Compile(pb, o)
	if err == nil {
		return &Model{program: p}, nil
	}
	if path != "" {
		err = fmt.Errorf("%s: %w", path, err)
	}
	if !errors.Is(err, ErrOption) {
		err = fmt.Errorf("%w: %w", ErrModel, err)
	}
	return nil, fmt.Errorf("runtime: %w", err)
}

// errNoModel reports the use of a Model that was not loaded.
var errNoModel = errors.New("runtime: the Model was not loaded: use Open, OpenFS or New")

func (m *Model) loaded() bool { return m != nil && m.program != nil }

// Run computes the outputs for the given inputs, both by name. It stops early, with the
// error of the context, when ctx is done.
//
// The caller must not modify the inputs until Run returns. The outputs belong to the
// caller.
func (m *Model) Run(ctx context.Context, inputs map[string]*Tensor, opts ...RunOption) (map[string]*Tensor, error) {
	if !m.loaded() {
		return nil, errNoModel
	}
	var o graph.RunOptions
	for _, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("runtime: %w: a RunOption is nil", ErrOption)
		}
		if err := opt.applyRun(&o); err != nil {
			return nil, fmt.Errorf("runtime: %w: %w", ErrOption, err)
		}
	}
	out, err := m.program.Run(ctx, inputs, o)
	if err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	return out, nil
}

// Close ends the goroutines of the model, and returns once they have ended. No Run may
// be in progress. A later Run computes in the goroutine of its caller alone. Close
// returns nil; it may be called more than once.
//
// A Model that is no longer reachable is closed by the garbage collector.
func (m *Model) Close() error {
	if m.loaded() {
		m.program.Pool.Close()
	}
	return nil
}

// Inputs describes the inputs that Run takes.
func (m *Model) Inputs() []ValueInfo {
	if !m.loaded() {
		return nil
	}
	return cloneInfos(m.program.Inputs)
}

// Outputs describes the outputs that Run returns.
func (m *Model) Outputs() []ValueInfo {
	if !m.loaded() {
		return nil
	}
	return cloneInfos(m.program.Outputs)
}

func cloneInfos(list []ValueInfo) []ValueInfo {
	list = slices.Clone(list)
	for i := range list {
		list[i].Shape = slices.Clone(list[i].Shape)
	}
	return list
}

// SbSLayers returns the names of the Spike-By-Spike nodes, such as "L0/SbS", in the
// order of the file. Layer, Watch and InjectSpikes take these names. A network may also
// have such layers as standard operators, which are not listed.
func (m *Model) SbSLayers() []string {
	if !m.loaded() {
		return nil
	}
	return m.program.SbSLayers()
}

// Metadata returns the metadata properties of the model.
func (m *Model) Metadata() map[string]string {
	if !m.loaded() {
		return nil
	}
	return maps.Clone(m.program.Metadata)
}

// Warnings returns what loading tolerated although it may not be what the author of
// the file meant, one sentence each.
func (m *Model) Warnings() []string {
	if !m.loaded() {
		return nil
	}
	return slices.Clone(m.program.Warnings)
}

// String describes the model in one line: its nodes, inputs and outputs.
func (m *Model) String() string {
	if !m.loaded() {
		return "no model"
	}
	p := m.program
	list := func(infos []ValueInfo) string {
		s := make([]string, len(infos))
		for i, v := range infos {
			s[i] = v.Name + " " + v.Type.String()
		}
		return strings.Join(s, ", ")
	}
	return fmt.Sprintf("%d nodes (%d SbS), inputs: %s, outputs: %s", len(p.Main.Steps), len(p.SbSLayers()), list(p.Inputs), list(p.Outputs))
}
