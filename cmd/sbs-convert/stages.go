package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
)

// checkStage returns a UsageError if the model in a file does not have a stage, counted from 1.
func checkStage(path string, s *convert.Staged, stage int) error {
	switch {
	case len(s.Stages) == 1:
		return cli.Usage(fmt.Errorf("--stage %d: %s has no stages", stage, path))
	case stage > len(s.Stages):
		return cli.Usage(fmt.Errorf("--stage %d: %s has stages 1 to %d", stage, path, len(s.Stages)))
	}
	return nil
}

// network returns the network of the model in a file, or of the stage that a flag chooses.
func (f *flags) network(path string, data []byte) (*convert.Network, error) {
	s, err := convert.StagesFromONNX(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if f.stage.Set {
		if err := checkStage(path, s, f.stage.Value); err != nil {
			return nil, err
		}
		return s.Stages[f.stage.Value-1].Network, nil
	}
	if len(s.Stages) > 1 {
		return nil, cli.Usage(fmt.Errorf("%s has %d stages: choose one with --stage N (sbs-convert --info %s lists them)", path, len(s.Stages), path))
	}
	return s.Stages[0].Network, nil
}

// extractStage returns one stage of the model in a file, as a model without stages.
func extractStage(path string, data []byte, stage int) ([]byte, error) {
	s, err := convert.StagesFromONNX(data)
	if err == nil {
		if err := checkStage(path, s, stage); err != nil {
			return nil, err
		}
		data, err = convert.ExtractStage(data, stage)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

// toStage writes one stage of a model as a model without stages.
func (f *flags) toStage(ctx context.Context, stdout io.Writer, path, one string) error {
	_, data, err := cli.ReadModel(ctx, path, f.ignoreChecksum)
	if err != nil {
		return err
	}
	if data, err = extractStage(path, data, f.stage.Value); err != nil {
		return err
	}
	return f.writeFrom(ctx, stdout, path, one, data, fmt.Sprintf("stage %d of %s", f.stage.Value, filepath.ToSlash(path)))
}

// writeFrom writes a file that was made from the model in the file from. It prints its name
// and what describes the model that it was made from.
func (f *flags) writeFrom(ctx context.Context, stdout io.Writer, from, path string, data []byte, source string) error {
	if a, err := os.Stat(from); err == nil {
		if b, err := os.Stat(path); err == nil && os.SameFile(a, b) {
			return fmt.Errorf("%s is the model to read: choose another name for the model to write", path)
		}
	}
	if ctx.Err() != nil {
		return cli.ErrInterrupted
	}
	written, err := writeModel(path, data, f.force)
	if err != nil {
		return fmt.Errorf("the file could not be written: %w", err)
	}
	verb := "wrote"
	if !written {
		verb = "unchanged:"
	}
	_, err = fmt.Fprintf(stdout, "%s %s (%s) from %s\n", verb, filepath.ToSlash(path), byteCount(len(data)), source)
	return err
}

// describeStages prints a table of the stages of a model, and the layers of all stages or of
// the given one. size is the size of the file in bytes.
func describeStages(out io.Writer, path string, m *onnxpb.ModelProto, s *convert.Staged, only, size int) error {
	fmt.Fprintf(out, "%s: %d stages, %s\n\n", filepath.ToSlash(path), len(s.Stages), byteCount(size))
	if err := printStages(out, m, s); err != nil {
		return err
	}
	printCalibration(out, s.Calibration)
	for i, stage := range s.Stages {
		if only > 0 && only != i+1 {
			continue
		}
		fmt.Fprintf(out, "\nstage %d: %s%s\n", i+1, stage.Network.Name, origin(stage.Network))
		if err := printNetwork(out, stage.Network, nil); err != nil {
			return err
		}
		printSources(out, stage.Network)
	}
	fmt.Fprintln(out)
	printForm(out, m)
	return nil
}

// printStages prints the table of the stages.
func printStages(out io.Writer, m *onnxpb.ModelProto, s *convert.Staged) error {
	list, _, err := onnx.Stages(m)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	header := "stage\tspikes\tupdates per image\tthreshold\town weights"
	c := s.Calibration
	if c == nil {
		c = new(convert.Calibration)
	}
	if c.Left != nil {
		header += "\tleft here"
	}
	if c.Losses != nil {
		header += "\tloss"
	}
	fmt.Fprintln(t, header)
	for i, stage := range s.Stages {
		spikes, updates, err := spikesOf(stage.Network)
		if err != nil {
			return err
		}
		threshold, own := "-", "-"
		if i < len(s.Stages)-1 {
			threshold = fmt.Sprint(stage.Threshold)
		}
		if n := list[i].OwnBytes; n > 0 {
			own = byteCount(n)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s", i+1, spikes, count(updates), threshold, own)
		if i < len(c.Left) {
			fmt.Fprintf(t, "\t%.1f%%", 100*float64(c.Left[i])/float64(c.Images))
		}
		if i < len(c.Losses) {
			fmt.Fprintf(t, "\t%.3f", c.Losses[i])
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

// spikesOf lists the numbers of spikes of the SbS layers of a network, as the flag --spikes
// takes them, and returns the number of spike updates per image.
func spikesOf(n *convert.Network) (spikes string, updates int, err error) {
	if updates, err = n.Updates(); err != nil {
		return "", 0, err
	}
	var list []string
	for _, l := range n.Layers {
		if l, ok := l.(*convert.SbS); ok {
			list = append(list, strconv.Itoa(l.Spikes))
		}
	}
	if list == nil {
		return "-", 0, nil
	}
	return strings.Join(list, ","), updates, nil
}

// printCalibration prints what the thresholds of a model were calibrated on.
func printCalibration(out io.Writer, c *convert.Calibration) {
	if c == nil {
		fmt.Fprintln(out, "\nthe model does not say what the thresholds were calibrated on")
		return
	}
	fmt.Fprintf(out, "\ncalibrated on %d images", c.Images)
	if c.Source != "" {
		fmt.Fprintf(out, " of %s", c.Source)
	}
	fmt.Fprintf(out, ", seed %d: at most %g%% of the images are lost because they leave early", c.Seed, c.MaxAccuracyLoss)
	if c.Confidence > 0 {
		fmt.Fprintf(out, ", with a confidence of %.4g%%", 100*c.Confidence)
	}
	fmt.Fprintln(out)
	if c.Data != "" {
		fmt.Fprintf(out, "calibration images: sha256 %s\n", c.Data)
	}
}
