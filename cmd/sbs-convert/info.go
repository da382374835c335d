package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// printNetwork prints the input and a table of the layers. The table has the files of
// each layer if report is not nil.
func printNetwork(out io.Writer, n *convert.Network, report *pytorch.Report) error {
	sizes, err := n.Sizes()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "input: image %v, pixels 0..1%s\n\n", n.Input, preprocessing(n.Preprocessing, sizes[0]))
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	header := "layer\toperator\tkernel\tinput\toutput\tparameters\tspikes\tepsilon\tspike updates"
	if report != nil {
		header += "\tfiles"
	}
	fmt.Fprintln(t, header)
	parameters, updates := 0, 0
	for i, l := range n.Layers {
		in, out := sizes[i], sizes[i+1]
		r := layerRow(l)
		layerUpdates := 0
		if s, ok := l.(*convert.SbS); ok {
			layerUpdates = s.Updates(in)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%v\t%v\t%s\t%s\t%s\t%s", i, l.Kind(), r.kernel, in, out, count(r.parameters), count(r.count)+r.kind, cmp.Or(r.epsilon, "-"), count(layerUpdates))
		if report != nil {
			fmt.Fprintf(t, "\t%s", baseNames(report.Layers[i].Files))
		}
		fmt.Fprintln(t)
		parameters += r.parameters
		updates += layerUpdates
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%d parameters, %d spike updates per image, %s\n", parameters, updates, outputs(n, sizes[len(sizes)-1]))
	if h := n.Holdout; h != nil {
		fmt.Fprintf(out, "trained without %d of %d training images, which sbs-optimize uses\n", h.Images, h.Of)
	}
	if b := n.Borders; b != nil {
		fmt.Fprintf(out, "borders of the training images: brightness %.2f (%.2f to %.2f; 0 is black), by which sbs-run --invert auto decides\n",
			b.Median[1], b.Median[0], b.Median[2])
	}
	return nil
}

// baseNames lists the names of files without their folders.
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

// preprocessing describes the preprocessing of an image to the size out.
func preprocessing(p convert.Preprocessing, out convert.Size) string {
	s := ""
	if p.Crop > 0 {
		s += fmt.Sprintf(", cropped to %dx%d", out.Height, out.Width)
	}
	if p.Normalize {
		s += ", normalized: each image to the mean 0 and the standard deviation 1"
	}
	if p.OnOffMean != nil {
		s += fmt.Sprintf(", split on/off at the mean %v", p.OnOffMean)
	}
	return s
}

// outputs lists the names of the classes, or counts them if they have no names.
func outputs(n *convert.Network, out convert.Size) string {
	switch {
	case cli.Reconstructs(n):
		return fmt.Sprintf("output: a reconstruction, %v", out)
	case n.Classes == nil:
		return fmt.Sprintf("classes: %d, without names", out.Channels)
	}
	return "classes: " + strings.Join(n.Classes, ", ")
}

// row is the row of a layer in the table.
type row struct {
	kernel, epsilon string
	parameters      int
	count           int    // of spikes or iterations
	kind            string // of the spikes or iterations, after the count
}

func layerRow(l convert.Layer) row {
	switch l := l.(type) {
	case *convert.SbS:
		r := row{kernel: window(l.Window), count: l.Spikes, epsilon: epsilon(l)}
		if l.Sampler == sbs.LowDiscrepancy {
			r.kind = " low-discrepancy" // as the flag --sampler has it
		}
		if l.FullLayer {
			r.kind += " per image"
		}
		if !l.Pooling {
			r.parameters += l.Weights.Len()
		}
		if l.EpsilonXY != nil {
			r.parameters += l.EpsilonXY.Len()
		}
		return r
	case *convert.Conv:
		r := row{kernel: window(l.Window), parameters: l.Weights.Len()}
		if l.Bias != nil {
			r.parameters += l.Bias.Len()
		}
		return r
	case *convert.ApproxConv:
		return row{kernel: window(l.Window) + products(l), parameters: l.Weights.Len() + l.Bias.Len()}
	case *convert.NNMF:
		r := row{kernel: window(l.Window), parameters: l.Weights.Len(), count: l.Iterations, kind: " iterations", epsilon: "multiplicative"}
		if l.Epsilon0 > 0 {
			r.epsilon = fmt.Sprint(l.Epsilon0)
		}
		return r
	case *convert.Poisson:
		return row{kernel: "-", count: l.Spikes}
	case *convert.SpikeImage:
		return row{kernel: "-", count: l.Spikes}
	case *convert.AveragePool:
		return row{kernel: window(l.Window)}
	case *convert.MaxPool:
		return row{kernel: window(l.Window)}
	case *convert.OnOff:
		if l.Mean != nil {
			return row{kernel: "-", parameters: l.Mean.Len()}
		}
	}
	return row{kernel: "-"}
}

// products describes the products of an approximate convolution.
func products(l *convert.ApproxConv) string {
	a := sbs.Approximation{FracBits: l.FracBits, TruncBits: l.TruncBits, Enabled: l.Enabled}
	switch {
	case a.IsExact():
		return ", float32 products"
	case a.Enabled && a.TruncBits > 0:
		return fmt.Sprintf(", products of %d bits without %d columns", a.FracBits, a.TruncBits)
	}
	return fmt.Sprintf(", products of %d bits", a.FracBits)
}

// epsilon describes epsilon_0 and epsilon_t of a layer, which are multiplied.
func epsilon(l *convert.SbS) string {
	schedule := "other epsilon_t"
	used := l.EpsilonT[:min(l.Spikes, len(l.EpsilonT))]
	if s, ok := sbs.FitSchedule(used); ok {
		schedule = s.String()
	}
	for _, known := range []sbs.Schedule{{Power: -0.5}, {}} { // FitSchedule needs more entries
		if slices.Equal(used, known.EpsilonT(len(used))) {
			schedule = known.String()
		}
	}
	return fmt.Sprintf("%g %s", l.Epsilon0, schedule)
}

// window describes the kernel of a layer, and its strides, dilations and padding if they
// are not the usual ones.
func window(w convert.Window) string {
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

// count returns n, or a dash for 0.
func count(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// describe prints a description of a model file, of all its stages or of one.
// A model that does not match its checksum is described too, and then reported.
func (f *flags) describe(ctx context.Context, out io.Writer, path string, stage int) error {
	m, data, err := onnx.ReadFile(ctx, path)
	if ctx.Err() != nil {
		return cli.ErrInterrupted
	}
	if err != nil {
		return err
	}
	buffer := bufio.NewWriter(out) // keeps the first error
	if err := errors.Join(describe(buffer, path, stage, m, data), buffer.Flush()); err != nil || f.ignoreChecksum {
		return err
	}
	if err := onnx.Verify(ctx, m); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func describe(out io.Writer, path string, stage int, m *onnxpb.ModelProto, data []byte) error {
	s, err := convert.StagesFromONNX(data, convert.IgnoreChecksum())
	if errors.Is(err, convert.ErrNotConverted) && stage == 0 {
		describeForeign(out, path, m, len(data))
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if stage > 0 {
		if err := checkStage(path, s, stage); err != nil {
			return err
		}
	}
	if len(s.Stages) > 1 {
		return describeStages(out, path, m, s, stage, len(data))
	}
	n := s.Stages[0].Network
	fmt.Fprintf(out, "%s: %s, %s%s\n", filepath.ToSlash(path), n.Name, byteCount(len(data)), origin(n))
	if err := printNetwork(out, n, nil); err != nil {
		return err
	}
	printForm(out, m)
	printSources(out, n)
	return nil
}

// origin says where a network comes from.
func origin(n *convert.Network) string {
	if n.Dialect == 0 {
		return ""
	}
	return fmt.Sprintf(", from PyTorch-SbS dialect %d, step %s", n.Dialect, stepName(n.Step))
}

// printSources prints how a network was trained, and the files that it was read from.
func printSources(out io.Writer, n *convert.Network) {
	if n.Training != nil {
		fmt.Fprintf(out, "training: %s\n", training(n))
	}
	for _, s := range n.Sources {
		fmt.Fprintf(out, "source: %s  sha256 %s\n", s.Path, s.SHA256)
	}
}

// printForm prints how the operators of this project are written in a model that sbs-convert
// wrote, and the inputs that replace random numbers.
func printForm(out io.Writer, m *onnxpb.ModelProto) {
	g := m.GetGraph()
	var own, fallbacks []string
	for _, n := range g.GetNode() {
		if n.GetDomain() == sbs.Domain {
			own = append(own, n.GetOpType())
		}
	}
	slices.Sort(own)
	own = slices.Compact(own)
	for _, f := range m.GetFunctions() {
		if f.GetDomain() == sbs.Domain {
			fallbacks = append(fallbacks, fmt.Sprintf("%s with a fallback of %d standard operators", f.GetName(), len(f.GetNode())))
		}
	}
	switch {
	case len(own) == 0:
		fmt.Fprintln(out, "operators: standard operators only; any ONNX runtime can run the model")
	case len(fallbacks) == 0:
		fmt.Fprintf(out, "operators: %s without a fallback; only sbs-run and Go programs using this module can run the model\n", strings.Join(own, ", "))
	default:
		fmt.Fprintf(out, "operators: %s; ONNX runtimes that support functions can run the model\n", strings.Join(fallbacks, ", "))
	}
	for _, v := range g.GetInput() {
		if v.GetName() != convert.InputName {
			fmt.Fprintf(out, "input instead of random numbers: %s\n", valueName(v))
		}
	}
}

// training summarizes how a network was trained.
func training(n *convert.Network) string {
	t, _, err := pytorch.TrainingOf(n)
	if err != nil {
		return fmt.Sprintf("the settings cannot be read (%v)", err)
	}
	return t.String()
}
