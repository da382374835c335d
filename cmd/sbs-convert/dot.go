package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// draw prints the graph of an ONNX model in the DOT language of Graphviz: its nodes with
// their operators and weights, and its values with their shapes. Of a model with stages, it
// prints the given stage, or the last one if stage is 0.
func (f *flags) draw(ctx context.Context, out io.Writer, path string, stage int) error {
	m, err := onnx.ReadModel(ctx, path) // without a check of the weights, which are not drawn
	if err == nil && stage > 0 {
		var data []byte
		_, data, err = cli.ReadModel(ctx, path, f.ignoreChecksum)
		if err == nil {
			data, err = extractStage(path, data, stage)
		}
		if err == nil {
			m, err = onnx.Unmarshal(ctx, data)
		}
	}
	if ctx.Err() != nil {
		return cli.ErrInterrupted
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, dot(m.GetGraph()))
	return err
}

// dot returns a graph in the DOT language.
func dot(g *onnxpb.GraphProto) string {
	d := dotGraph{source: map[string]string{}, shapes: map[string]string{}, weights: map[string]string{}}
	for _, list := range [][]*onnxpb.ValueInfoProto{g.GetInput(), g.GetOutput(), g.GetValueInfo()} {
		for _, v := range list {
			d.shapes[v.GetName()] = strings.Join(dimensions(v.GetType().GetTensorType().GetShape()), " × ")
		}
	}
	for _, t := range g.GetInitializer() {
		d.weights[t.GetName()] = strings.ReplaceAll(strings.Trim(fmt.Sprint(t.GetDims()), "[]"), " ", " × ")
	}
	d.printf("digraph %s {\n", quote(g.GetName()))
	d.printf("  node [shape=box style=\"rounded,filled\" fillcolor=white fontname=Helvetica fontsize=11]\n")
	d.printf("  edge [fontname=Helvetica fontsize=9]\n")
	for i, v := range g.GetInput() {
		if _, ok := d.weights[v.GetName()]; ok {
			continue // files of IR version 3 list initializers as inputs
		}
		id := fmt.Sprintf("in%d", i)
		d.source[v.GetName()] = id
		d.printf("  %s [shape=ellipse label=%s]\n", id, quote(v.GetName()))
	}
	for i, n := range g.GetNode() {
		d.node(fmt.Sprintf("n%d", i), n)
	}
	for i, v := range g.GetOutput() {
		id := fmt.Sprintf("out%d", i)
		d.printf("  %s [shape=ellipse label=%s]\n", id, quote(v.GetName()))
		d.edge(v.GetName(), id)
	}
	d.printf("}\n")
	return d.text.String()
}

// dotGraph builds the text of a graph.
type dotGraph struct {
	text    strings.Builder
	source  map[string]string // name of a value -> ID of the node or input that it comes from
	shapes  map[string]string // name of a value -> its shape
	weights map[string]string // name of an initializer -> its shape
}

func (d *dotGraph) printf(format string, args ...any) { fmt.Fprintf(&d.text, format, args...) }

// node adds a node and the edges of its inputs.
func (d *dotGraph) node(id string, n *onnxpb.NodeProto) {
	lines := []string{n.GetOpType()}
	if n.GetName() != "" && n.GetName() != n.GetOpType() {
		lines = append(lines, n.GetName())
	}
	attrs, err := onnx.Attributes(n)
	if err == nil {
		for _, name := range []string{sbs.AttrKernelShape, sbs.AttrStrides, sbs.AttrSpikes, sbs.AttrSampler} {
			if v, ok := attrs[name]; ok {
				lines = append(lines, fmt.Sprintf("%s %v", name, v))
			}
		}
	}
	for _, in := range n.GetInput() {
		if shape, ok := d.weights[in]; ok {
			lines = append(lines, in[strings.LastIndex(in, "/")+1:]+" "+orScalar(shape))
		}
	}
	color := ""
	if n.GetDomain() == sbs.Domain {
		color = " fillcolor=\"#cfe2f3\""
	}
	tip := ""
	if n.GetDocString() != "" {
		tip = " tooltip=" + quote(n.GetDocString())
	}
	d.printf("  %s [label=%s%s%s]\n", id, quote(lines...), color, tip)
	for _, in := range n.GetInput() {
		d.edge(in, id)
	}
	for _, out := range n.GetOutput() {
		d.source[out] = id
	}
}

// edge adds an edge from the source of a value to the node with the ID to.
func (d *dotGraph) edge(value, to string) {
	from, ok := d.source[value]
	if !ok {
		return // an initializer or an input that is left out
	}
	label := ""
	if d.shapes[value] != "" {
		label = " [label=" + quote(d.shapes[value]) + "]"
	}
	d.printf("  %s -> %s%s\n", from, to, label)
}

// orScalar returns a shape, or "scalar" for the shape without dimensions.
func orScalar(shape string) string {
	if shape == "" {
		return "scalar"
	}
	return shape
}

// quote returns a DOT string that displays the lines literally.
func quote(lines ...string) string {
	for i, l := range lines {
		l = strings.ToValidUTF8(l, "?")
		l = strings.Map(func(r rune) rune {
			if r < ' ' {
				return ' '
			}
			return r
		}, l)
		lines[i] = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(l)
	}
	return `"` + strings.Join(lines, `\n`) + `"`
}
