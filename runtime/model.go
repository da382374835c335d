package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// Tensor is a dense array in row-major order.
type Tensor = ops.Tensor

// NewTensor returns a tensor over data, which it keeps. The shape must have
// exactly len(data) elements.
func NewTensor[T ops.Element](shape []int, data []T) (*Tensor, error) {
	return ops.NewTensor(shape, data)
}

// Errors that callers may want to tell apart with errors.Is.
var (
	// ErrModel is wrapped by errors about a model that is malformed or that
	// this package cannot run.
	ErrModel = errors.New("cannot run this model")

	// ErrUnknownOperator is wrapped, beside ErrModel, when a model has an
	// operator that this package does not know.
	ErrUnknownOperator = errors.New("unknown operator")

	// ErrInput is wrapped by errors about the inputs given to Run: a missing or
	// unknown name, a wrong element type or shape.
	ErrInput = errors.New("bad input")

	// ErrMemory is wrapped by errors about a run that would exceed MemoryLimit.
	ErrMemory = errors.New("too much memory")
)

// NodeError is an error at one node of the graph, while the model is loaded or
// run.
type NodeError struct {
	Node     string // the node's name, or that of its first output
	Operator string // as domain.Name, or Name for standard operators
	Err      error
}

func (e *NodeError) Error() string {
	return fmt.Sprintf("node %q (%s): %v", e.Node, e.Operator, e.Err)
}

func (e *NodeError) Unwrap() error { return e.Err }

// ValueInfo describes an input or output of a model.
type ValueInfo struct {
	Name string
	ops.Type
}

// Model is a loaded model.
type Model struct {
	inputs, outputs []ValueInfo
	inputSlots      map[string]int
	graph           *graph

	metadata    map[string]string
	injectable  map[string]bool      // the names of nodes that draw random numbers
	weights     map[*ops.Tensor]bool // the initializers that are no integers, of all graphs
	sbsNodes    int
	source      []byte   // the file
	options     []Option // that it was loaded with
	pool        *parallel.Pool
	memoryLimit int64
	frames      sync.Pool // of *frame
}

// Option sets how a model is loaded.
type Option func(*config)

type config struct {
	workers     int
	spikes      int
	sampler     sbs.Sampler
	schedule    *sbs.Schedule
	epsilon0    *float32
	memoryLimit int64

	preferFunctions bool
}

// defaultMemoryLimit is far above what networks for images need, and lets a
// hostile file not take all of a machine.
const defaultMemoryLimit = 4 << 30

// MemoryLimit bounds the bytes that the values of one Run may take together,
// inputs and weights aside. A run that would take more fails before it does. A
// value that is needed no more makes room for others, but not while it may be
// observed. A node may take some times the memory of its inputs and weights beside,
// while it runs. The default is 4 GiB.
func MemoryLimit(bytes int64) Option { return func(c *config) { c.memoryLimit = bytes } }

// Workers sets the number of CPU cores that one Run uses. The default, also for
// n < 1, is all that the process may use.
func Workers(n int) Option { return func(c *config) { c.workers = n } }

// Spikes replaces the number of spikes of every SbS node; n < 1 leaves it as it
// is. A model has a schedule for a limited number of spikes; for more than that
// loading fails, unless there is an EpsilonSchedule.
func Spikes(n int) Option { return func(c *config) { c.spikes = n } }

// Sampler replaces the sampler of every SbS node: sbs.IID or sbs.LowDiscrepancy.
func Sampler(s sbs.Sampler) Option { return func(c *config) { c.sampler = s } }

// EpsilonSchedule replaces epsilon_t of every SbS node.
func EpsilonSchedule(s sbs.Schedule) Option { return func(c *config) { c.schedule = &s } }

// Epsilon0 replaces epsilon_0 of every SbS node.
func Epsilon0(e float32) Option { return func(c *config) { c.epsilon0 = &e } }

// PreferFunctions has every function that the model brings along run in the place of
// this package's own operator of the same name. It is for comparing the two.
func PreferFunctions() Option { return func(c *config) { c.preferFunctions = true } }

// Open loads the model in a file. Tensors may be in other files of the same folder or
// below it (ONNX's external data).
func Open(path string, opts ...Option) (*Model, error) {
	pb, data, err := onnx.ReadFile(path)
	if _, ok := err.(*fs.PathError); ok { //nolint:errorlint // not wrapped: it is about the file itself
		return nil, fmt.Errorf("runtime: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("runtime: %w: %w", ErrModel, err)
	}
	m, err := load(pb, data, opts)
	if err != nil {
		return nil, fmt.Errorf("%s: runtime: %w: %w", path, ErrModel, err)
	}
	return m, nil
}

// New loads a model from the bytes of an ONNX file that needs no other file. It keeps
// them: they must not be modified.
func New(data []byte, opts ...Option) (*Model, error) {
	pb, err := onnx.Unmarshal(data)
	if err != nil {
		return nil, fmt.Errorf("runtime: %w: %w", ErrModel, err)
	}
	m, err := load(pb, data, opts)
	if err != nil {
		return nil, fmt.Errorf("runtime: %w: %w", ErrModel, err)
	}
	return m, nil
}

// load makes a model of the message that the bytes encode.
func load(pb *onnxpb.ModelProto, data []byte, opts []Option) (*Model, error) {
	c := config{memoryLimit: defaultMemoryLimit}
	for _, o := range opts {
		o(&c)
	}
	m, err := compile(pb, c)
	if err != nil {
		return nil, err
	}
	m.source, m.options = data, slices.Clone(opts)
	return m, nil
}

// Inputs describes the inputs that Run takes.
func (m *Model) Inputs() []ValueInfo { return append([]ValueInfo(nil), m.inputs...) }

// Outputs describes the outputs that Run returns.
func (m *Model) Outputs() []ValueInfo { return append([]ValueInfo(nil), m.outputs...) }

// SbSNodes returns the number of SbS nodes, which Spikes, Sampler, EpsilonSchedule and
// Epsilon0 change. A network may also have such layers as standard operators.
func (m *Model) SbSNodes() int { return m.sbsNodes }

// Metadata returns the model's metadata properties.
func (m *Model) Metadata() map[string]string { return maps.Clone(m.metadata) }
