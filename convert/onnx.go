package convert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spike-by-spike/sbs/internal/metadata"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// Versions that ToONNX writes. onnxruntime 1.16 and other runtimes of its age read them.
const (
	irVersion    = 8
	opsetVersion = 17
)

// ErrNotConverted is wrapped by the errors of FromONNX about a model that may be valid but
// does not have the form that ToONNX writes.
var ErrNotConverted = errors.New("not a model written by this converter")

// Names of the input and output of a model. If the last layer has one position per
// image, the output has shape (batch, N) and is called Probabilities after an SbS or
// reconstruction layer and Logits after any other. Otherwise the output has the shape
// and the name of the last layer, such as "L5".
const (
	InputName     = "image"
	Probabilities = metadata.Probabilities
	Logits        = metadata.Logits
)

// Options controls ToONNX. The zero value is the default.
type Options struct {
	// Batch fixes the number of images per run. 0 allows any number.
	Batch int

	// Body chooses how layers with operators of this project, such as SbS, are defined for
	// other runtimes. Empty means BodyFunction.
	Body Body

	// Inject adds an input to the model for each layer that draws random numbers, which
	// replaces these numbers. Empty adds none.
	Inject Inject

	// Seed is the seed of the random numbers, 0 to 2^31-1. Each layer uses Seed plus
	// its index in Network.Layers, so that layers draw different numbers.
	Seed int64
}

func (o *Options) check() error {
	o.Body = cmp.Or(o.Body, BodyFunction)
	switch {
	case o.Batch < 0:
		return fmt.Errorf("convert: batch size %d, want at least 0", o.Batch)
	case o.Body != BodyFunction && o.Body != BodyInline && o.Body != BodyNone:
		return fmt.Errorf("convert: body %q, want %s, %s or %s", o.Body, BodyFunction, BodyInline, BodyNone)
	case o.Inject != InjectNothing && o.Inject != InjectSpikes && o.Inject != InjectUniforms:
		return fmt.Errorf("convert: cannot inject %q, want %s or %s", o.Inject, InjectSpikes, InjectUniforms)
	case o.Seed < 0 || o.Seed > math.MaxInt32:
		return fmt.Errorf("convert: seed %d, want 0 to %d", o.Seed, math.MaxInt32)
	}
	return nil
}

// Sizes returns the size of the preprocessed image, followed by the size of the output
// of each layer: one entry more than there are layers. It returns an error that names
// the layer if a layer is nil or does not fit its input.
func (n *Network) Sizes() ([]Size, error) {
	if n == nil {
		return nil, errors.New("convert: no network was given")
	}
	size := n.Input
	if size.Channels < 1 || size.Height < 1 || size.Width < 1 {
		return nil, fmt.Errorf("convert: the size of the input is %v, want at least 1x1x1", size)
	}
	size, err := n.Preprocessing.Output(size)
	if err != nil {
		return nil, err
	}
	sizes := []Size{size}
	for i, l := range n.Layers {
		if isNil(l) {
			return nil, fmt.Errorf("convert: layer %d is nil", i)
		}
		if size, err = l.Output(size); err != nil {
			return nil, fmt.Errorf("convert: layer %d (%s): %w", i, l.Kind(), err)
		}
		sizes = append(sizes, size)
	}
	return sizes, nil
}

// ToONNX returns the network as the bytes of an ONNX file (IR version 8, operator set
// 17). The model has one input, InputName, for images of shape (batch, channels,
// height, width) with pixels from 0 to 1, and one output; see Probabilities. The
// preprocessing is part of the model. The nodes of layer i are named L{i}/..., and its
// output is L{i}. Name, classes, sources and the training configuration are stored in
// the metadata of the model.
//
// More than 2 GB are too many for one file: see WriteFile.
//
// Equal networks and options give equal bytes. ToONNX checks the network with Check
// before it writes.
func ToONNX(n *Network, opt Options) ([]byte, error) {
	sizes, err := n.check()
	if err != nil {
		return nil, err
	}
	if err := opt.check(); err != nil {
		return nil, err
	}
	g, err := writeGraph(n, sizes, opt, sharedBy(opt.Inject, n))
	if err != nil {
		return nil, err
	}
	m, err := newModel(n, g, opt, n)
	if err != nil {
		return nil, err
	}
	return onnx.MarshalStamped(m)
}

// writeGraph returns the graph of a network with the result of its check. all are the
// features of all SbS layers that share a function.
func writeGraph(n *Network, sizes []Size, opt Options, all sharedFeatures) (*onnxpb.GraphProto, error) {
	for i, s := range sizes {
		if _, err := ops.Len([]int{max(opt.Batch, 1), s.Channels, s.Height, s.Width}); err != nil {
			return nil, fmt.Errorf("convert: the %s is too large: %w", sizeName(i), err)
		}
	}
	w := &writer{graph: &onnxpb.GraphProto{Name: graphName(n.Name)}, options: opt, features: all}
	w.graph.Input = []*onnxpb.ValueInfoProto{w.batched(InputName, n.Input.Channels, n.Input.Height, n.Input.Width)}
	w.graph.Input[0].DocString = "Images, channel by channel, pixels from 0 (dark) to 1 (bright)."
	v := n.Preprocessing.write(w, value{InputName, n.Input})
	var err error
	for i, l := range n.Layers {
		w.index, w.out, w.group = i, layerOutput(i), layerGroup(i, l)
		if v, err = l.write(w, v); err != nil {
			return nil, fmt.Errorf("convert: layer %d (%s): %w", i, l.Kind(), err)
		}
		if node := w.graph.Node[len(w.graph.Node)-1]; node.GetDocString() == "" {
			node.DocString = fmt.Sprintf("%s layer: %v in, %v out.", l.Kind(), sizes[i], sizes[i+1])
		}
	}
	w.output(n, v, sizes[len(sizes)-1])
	return w.graph, w.err
}

// newModel returns the model of a network with the given graph, with the definitions of the
// operators that the layers of all networks need.
func newModel(n *Network, g *onnxpb.GraphProto, opt Options, all ...*Network) (*onnxpb.ModelProto, error) {
	meta, err := properties(n, opt.Body)
	if err != nil {
		return nil, err
	}
	m := &onnxpb.ModelProto{
		IrVersion:     irVersion,
		ProducerName:  "sbs-convert",
		Domain:        sbs.Domain,
		DocString:     docString(n),
		Graph:         g,
		OpsetImport:   []*onnxpb.OperatorSetIdProto{{Domain: "", Version: opsetVersion}},
		MetadataProps: meta,
	}
	if used := operatorsOf(all...); len(used) > 0 && opt.Body != BodyInline {
		m.OpsetImport = append(m.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: sbs.Domain, Version: sbs.Version})
		if opt.Body == BodyFunction {
			m.Functions, err = definitions(used, opt.Inject, all...)
		}
	}
	return m, err
}

// sizeName names entry i of Network.Sizes.
func sizeName(i int) string {
	if i == 0 {
		return "preprocessed image"
	}
	return fmt.Sprintf("output of layer %d", i-1)
}

func layerOutput(i int) string { return "L" + strconv.Itoa(i) }

// layerGroup returns the prefix of the names of a layer's nodes.
func layerGroup(i int, l Layer) string { return layerOutput(i) + "/" + l.Kind() }

func graphName(name string) string {
	if name == "" {
		return "network"
	}
	return name
}

func docString(n *Network) string {
	s := "Spike-By-Spike network"
	if n.Name != "" {
		s += " " + n.Name
	}
	if n.Dialect > 0 {
		s += fmt.Sprintf(", converted from PyTorch-SbS (dialect %d)", n.Dialect)
	}
	return s + "."
}

// groupOutput is the group of the node that flattens the output.
const groupOutput = "output"

// output adds the graph's output.
func (w *writer) output(n *Network, v value, size Size) {
	shape := []int{size.Channels, size.Height, size.Width}
	name := v.name
	if size.Height == 1 && size.Width == 1 {
		w.group, w.out = groupOutput, Logits
		switch n.Layers[len(n.Layers)-1].(type) {
		case *SbS, *NNMF, *Reconstruction:
			w.out = Probabilities
		}
		shape = shape[:1]
		name = w.addShaped(nodeSpec{op: "Flatten", inputs: []string{v.name}, attrs: ops.Attributes{"axis": int64(1)}}, shape...)
	}
	// An output of the graph must not be listed among its intermediate values.
	w.graph.ValueInfo = w.graph.ValueInfo[:len(w.graph.ValueInfo)-1]
	w.graph.Output = []*onnxpb.ValueInfoProto{w.batched(name, shape...)}
}

// FromONNX reads a model that ToONNX wrote, in any of its forms. The weights and
// parameters may have been changed since, for example by training. Errors about models
// of another form wrap ErrNotConverted. The network has passed Check.
//
// FromONNX restores the network that ToONNX was given, with one exception: a model with
// Options.Body BodyInline and injected numbers does not record the samplers.
//
// Of a model with stages, FromONNX returns the network of the last stage, and
// StagesFromONNX those of all stages.
//
// FromONNX refuses a model that does not match its checksum: see IgnoreChecksum.
func FromONNX(data []byte, opts ...ReadOption) (*Network, error) {
	m, err := read(data, opts)
	if err != nil {
		return nil, err
	}
	return readModel(m)
}

// ReadOption sets how a model is read.
type ReadOption func(o *readOptions)

type readOptions struct{ ignoreChecksum bool }

// IgnoreChecksum reads a model that does not match its checksum, because it was changed on
// purpose. Without this option such a model is an error: it is damaged, or another program
// has changed it. A model without a checksum is always read.
func IgnoreChecksum() ReadOption { return func(o *readOptions) { o.ignoreChecksum = true } }

// read returns the message of a model.
func read(data []byte, opts []ReadOption) (*onnxpb.ModelProto, error) {
	var o readOptions
	for _, opt := range opts {
		if opt == nil {
			return nil, errors.New("convert: a ReadOption is nil")
		}
		opt(&o)
	}
	m, err := onnx.Unmarshal(context.Background(), data)
	if err == nil && !o.ignoreChecksum {
		err = onnx.Verify(context.Background(), m)
	}
	if err != nil {
		return nil, fmt.Errorf("convert: %w", err)
	}
	return m, nil
}

// readModel returns the network of a model, or of the last of its stages.
func readModel(m *onnxpb.ModelProto) (*Network, error) {
	var err error
	n := &Network{Step: -1}
	if err := n.readMetadata(m.GetMetadataProps()); err != nil {
		return nil, err
	}
	g := m.GetGraph()
	if n.Input, err = inputSize(g); err != nil {
		return nil, err
	}
	r, err := newReader(g)
	if err != nil {
		return nil, err
	}
	if n.Preprocessing, err = readPreprocessing(r); err != nil {
		return nil, fmt.Errorf("convert: preprocessing: %w", err)
	}
	groups, err := layerGroups(g)
	if err != nil {
		return nil, err
	}
	if len(groups) == 0 {
		return nil, fmt.Errorf("convert: %w: the model has no layers", ErrNotConverted)
	}
	for i, group := range groups {
		_, kind, _ := strings.Cut(group, "/")
		r.group = group
		l, err := readLayer(r, kind)
		if err != nil {
			return nil, fmt.Errorf("convert: layer %d (%s): %w", i, kind, err)
		}
		r.last, _ = l.(*SbS)
		n.Layers = append(n.Layers, l)
	}
	if err := n.setLocal(m.GetMetadataProps()); err != nil {
		return nil, err
	}
	if err := n.setApproximations(m.GetMetadataProps(), r); err != nil {
		return nil, err
	}
	if err := n.Check(); err != nil {
		return nil, err
	}
	return n, nil
}

func readLayer(r *reader, kind string) (Layer, error) {
	switch kind {
	case kindSbS, kindSbSPooling:
		return readSbS(r, kind == kindSbSPooling)
	case kindAveragePool, kindMaxPool:
		return readPool(r, kind)
	case kindConv:
		return readConv(r)
	case kindReLU:
		return &ReLU{}, nil
	case kindOnOff:
		return readOnOff(r)
	case kindReconstruction:
		return readReconstruction(r)
	case kindNNMF, kindBPSbSNNMF:
		return readNNMF(r, kind)
	case kindPoisson:
		return readPoisson(r)
	case kindSpikeImage:
		return readSpikeImage(r)
	case kindApproxConv:
		return readApproxConv(r)
	}
	return nil, fmt.Errorf("%w: unknown kind of layer", ErrNotConverted)
}

func inputSize(g *onnxpb.GraphProto) (Size, error) {
	for _, in := range g.GetInput() {
		dims := in.GetType().GetTensorType().GetShape().GetDim()
		if in.GetName() != InputName || len(dims) != 4 {
			continue
		}
		return Size{int(dims[1].GetDimValue()), int(dims[2].GetDimValue()), int(dims[3].GetDimValue())}, nil
	}
	return Size{}, fmt.Errorf("convert: %w: the model has no input %q with four dimensions", ErrNotConverted, InputName)
}
