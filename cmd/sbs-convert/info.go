package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// printNetwork prints the input and a table of the layers. The report may be
// nil: a model does not tell the files layer by layer.
func printNetwork(out io.Writer, n *convert.Network, report *pytorch.Report) error {
	sizes, err := n.Sizes()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "input: image %v, pixels 0..1%s\n\n", n.Input, preprocessing(n.Preprocessing, sizes[0]))
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	header := "layer\toperator\tkernel\tinput\toutput\tparameters\tspikes\tspike updates"
	if report != nil {
		header += "\tfiles"
	}
	fmt.Fprintln(t, header)
	parameters, updates := 0, 0
	for i, l := range n.Layers {
		d := layerRow(l)
		// A spike updates the neurons of one output position.
		n := d.spikes * sizes[i+1].Height * sizes[i+1].Width
		fmt.Fprintf(t, "%d\t%s\t%s\t%v\t%v\t%s\t%s\t%s", i, l.Kind(), d.kernel, sizes[i], sizes[i+1], count(d.parameters), count(d.spikes)+d.sampler, count(n))
		if report != nil {
			fmt.Fprintf(t, "\t%s", baseNames(report.Layers[i].Files))
		}
		fmt.Fprintln(t)
		parameters += d.parameters
		updates += n
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "\n%d parameters, %d spike updates per image, classes: %s\n", parameters, updates, classes(n, sizes[len(sizes)-1]))
	return err
}

// baseNames lists files without their folders, which are printed once, above.
func baseNames(files []string) string {
	if len(files) == 0 {
		return "-"
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = filepath.Base(f)
	}
	return strings.Join(names, ", ")
}

func preprocessing(p convert.Preprocessing, out convert.Size) string {
	s := ""
	if p.Crop > 0 {
		s += fmt.Sprintf(", cropped to %dx%d", out.Height, out.Width)
	}
	if p.OnOffMean != nil {
		s += fmt.Sprintf(", split on/off at the mean %v", p.OnOffMean)
	}
	return s
}

func classes(n *convert.Network, out convert.Size) string {
	if n.Classes == nil {
		return fmt.Sprintf("%d, without names", out.Channels)
	}
	return strings.Join(n.Classes, ", ")
}

type row struct {
	kernel, sampler    string
	parameters, spikes int
}

func layerRow(l convert.Layer) row {
	switch l := l.(type) {
	case *convert.SbS:
		d := row{kernel: kernel(l.Window), spikes: l.Spikes}
		if l.Sampler == sbs.LowDiscrepancy {
			d.sampler = " " + string(l.Sampler)
		}
		if !l.Pooling {
			d.parameters += l.Weights.Len()
		}
		if l.EpsilonXY != nil {
			d.parameters += l.EpsilonXY.Len()
		}
		return d
	case *convert.Conv:
		d := row{kernel: kernel(l.Window), parameters: l.Weights.Len()}
		if l.Bias != nil {
			d.parameters += l.Bias.Len()
		}
		return d
	case *convert.AveragePool:
		return row{kernel: kernel(l.Window)}
	case *convert.MaxPool:
		return row{kernel: kernel(l.Window)}
	case *convert.OnOff:
		return row{kernel: "-", parameters: l.Mean.Len()}
	}
	return row{kernel: "-"}
}

func kernel(w convert.Window) string {
	s := fmt.Sprintf("%dx%d", w.Kernel[0], w.Kernel[1])
	if w.Strides != [2]int{1, 1} {
		s += fmt.Sprintf(" /%dx%d", w.Strides[0], w.Strides[1])
	}
	if w.Dilations != [2]int{1, 1} {
		s += fmt.Sprintf(" dilated %dx%d", w.Dilations[0], w.Dilations[1])
	}
	if w.Pads != [2]int{} {
		s += fmt.Sprintf(" padded %dx%d", w.Pads[0], w.Pads[1])
	}
	return s
}

func count(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// describe prints what a model file holds.
func describe(out io.Writer, path string) error {
	m, data, err := onnx.ReadFile(path)
	if err != nil {
		return err
	}
	n, err := convert.FromONNX(data)
	if errors.Is(err, convert.ErrNotOurs) {
		describeForeign(out, path, m, len(data))
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	fmt.Fprintf(out, "%s: %s, %s", path, n.Name, byteCount(len(data)))
	if n.Dialect > 0 {
		fmt.Fprintf(out, ", from PyTorch-SbS dialect %d, step %s", n.Dialect, stepName(n.Step))
	}
	fmt.Fprintln(out)
	if err := printNetwork(out, n, nil); err != nil {
		return err
	}
	fmt.Fprintln(out, formOf(m))
	if n.Training != nil {
		fmt.Fprintf(out, "training: %s\n", training(n))
	}
	for _, s := range n.Sources {
		fmt.Fprintf(out, "from %s  sha256 %s\n", s.Path, s.SHA256)
	}
	return nil
}

// formOf says what can run a model of ours.
func formOf(m *onnxpb.ModelProto) string {
	form := "in standard operators alone: for every runtime"
	for _, n := range m.GetGraph().GetNode() {
		if n.GetDomain() == sbs.Domain {
			form = "the SbS operator has no body: for sbs-run and the like"
		}
	}
	for _, f := range m.GetFunctions() {
		form = fmt.Sprintf("the SbS operator has a body of %d standard operators: for sbs-run, and for runtimes that know functions", len(f.GetNode()))
	}
	for _, v := range m.GetGraph().GetInput() {
		if v.GetName() != convert.InputName {
			form += "\ngiven: " + valueName(v)
		}
	}
	return form
}

// training sums up how a network was trained.
func training(n *convert.Network) string {
	t, _, err := pytorch.TrainingOf(n)
	if err != nil {
		return fmt.Sprintf("not readable (%v)", err)
	}
	return t.String()
}

// describeForeign prints what can be said of any ONNX model, of so many bytes.
func describeForeign(out io.Writer, path string, m *onnxpb.ModelProto, size int) {
	g := m.GetGraph()
	fmt.Fprintf(out, "%s: an ONNX model that sbs-convert did not write, %s\n", path, byteCount(size))
	fmt.Fprintf(out, "produced by: %s %s\n", m.GetProducerName(), m.GetProducerVersion())
	for _, o := range m.GetOpsetImport() {
		fmt.Fprintf(out, "operators: %s version %d\n", domainName(o.GetDomain()), o.GetVersion())
	}
	for _, v := range g.GetInput() {
		fmt.Fprintf(out, "input: %s\n", valueName(v))
	}
	for _, v := range g.GetOutput() {
		fmt.Fprintf(out, "output: %s\n", valueName(v))
	}
	operators := map[string]int{}
	for _, n := range g.GetNode() {
		operators[n.GetOpType()]++
	}
	fmt.Fprintf(out, "%d nodes:\n", len(g.GetNode()))
	for _, name := range slices.Sorted(maps.Keys(operators)) {
		fmt.Fprintf(out, "  %s %d\n", name, operators[name])
	}
}

func domainName(d string) string {
	if d == "" {
		return "ai.onnx"
	}
	return d
}

func valueName(v *onnxpb.ValueInfoProto) string {
	return fmt.Sprintf("%s %v(%s)", v.GetName(), ops.DType(v.GetType().GetTensorType().GetElemType()), strings.Join(dimensions(v), ", "))
}

// dimensions returns the sizes and symbols of a value's shape.
func dimensions(v *onnxpb.ValueInfoProto) []string {
	var dims []string
	for _, d := range v.GetType().GetTensorType().GetShape().GetDim() {
		switch {
		case d.GetDimParam() != "":
			dims = append(dims, d.GetDimParam())
		default:
			dims = append(dims, fmt.Sprint(d.GetDimValue()))
		}
	}
	return dims
}
