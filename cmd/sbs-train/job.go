package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/runtime"
	"github.com/spike-by-spike/sbs/train"
)

// job is a training, before it begins: all that decides its result.
type job struct {
	network  *convert.Network // with the values to start from
	training *pytorch.Training
	batchDim int // fixed batch size of the model that is written, 0 for any
	classes  int

	config     train.Config
	batch      int
	augment    dataset.Augmentation
	images     *dataset.Samples
	test       *dataset.Samples // nil without testing
	workers    int
	testSpikes int

	// byUpdates: steps are updates, as in dialect 1 by a configuration, and not
	// epochs. They count from the network's.
	byUpdates bool
	steps     int // to go
	testEvery int
	saveEvery int

	places places
	force  bool
	notes  []string // for people, before it begins
}

// places is where a training writes to.
type places struct {
	model         string
	log           string // folder
	weights       string // folder, "" when only the model is written
	epsilonXY     string // folder
	configuration bool   // the folder above the weights needs a configuration
}

func (p places) checkpoint() string { return filepath.Join(p.log, "checkpoint") }
func (p places) metrics() string    { return filepath.Join(p.log, "metrics.jsonl") }
func (p places) curves() string     { return filepath.Join(p.log, "curves.png") }

func (j *job) note(format string, args ...any) {
	j.notes = append(j.notes, fmt.Sprintf(format, args...))
}

// newJob prepares a training as the command line says.
func (f *flags) newJob(ctx context.Context, path string) (*job, error) {
	model, err := isModel(path)
	if err != nil {
		return nil, err
	}
	j := &job{workers: f.workers, force: f.force || f.resume}
	if model {
		err = f.fromModel(ctx, j, path)
	} else {
		err = f.fromConfiguration(ctx, j, path)
	}
	if err != nil {
		return nil, err
	}
	if err := f.settle(j); err != nil {
		return nil, err
	}
	j.noteClasses()
	if f.force && j.places.weights != "" {
		end := j.start() + j.steps
		path, err := j.laterWeights(end)
		if err != nil {
			return nil, err
		}
		if path != "" {
			j.note("%s is of another training and stays: sbs-convert takes the weights of this one with --step %d", path, end)
		}
	}
	if f.noTest {
		return j, nil
	}
	j.test, err = f.loadTest(ctx, j)
	return j, err
}

// fromModel prepares to train a model further.
func (f *flags) fromModel(ctx context.Context, j *job, path string) error {
	_, data, err := onnx.ReadFile(path)
	if err != nil {
		return err
	}
	if j.network, err = convert.FromONNX(data); err != nil {
		if errors.Is(err, convert.ErrNotOurs) {
			err = fmt.Errorf("%w; only models that sbs-convert or sbs-train wrote can be trained", err)
		}
		return fmt.Errorf("%s: %w", path, err)
	}
	m, err := runtime.New(data)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if n := m.Inputs()[0].Shape[0]; n.Known() {
		j.batchDim = n.Size
	}
	if err := f.setModelDynamics(j); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	known := *j.network
	if known.Dialect == 0 {
		known.Dialect = 2
	}
	var warnings []string
	if j.training, warnings, err = pytorch.TrainingOf(&known); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, w := range warnings {
		if !strings.Contains(w, "no layer is trainable") { // all are but those of --freeze
			j.note("%s", w)
		}
	}
	out := f.output
	if out == "" {
		out = strings.TrimSuffix(path, ".onnx") + "-tuned.onnx"
	}
	if same(out, path) {
		return fmt.Errorf("--output %s is the model that training starts from: write another one", out)
	}
	if info, err := os.Stat(out); err == nil && info.IsDir() || os.IsPathSeparator(out[len(out)-1]) {
		return fmt.Errorf("--output %s is a folder: name the file of the model that is written, such as %s", out, filepath.Join(out, "model.onnx"))
	}
	j.places = places{model: out, log: strings.TrimSuffix(out, ".onnx") + "-log"}
	if j.classes, err = classes(j.network); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	j.images, err = f.loadTraining(ctx, datasetSize(j.network.Input), j.network.Classes, j.classes)
	return err
}

func datasetSize(s convert.Size) dataset.Size {
	return dataset.Size{Channels: s.Channels, Height: s.Height, Width: s.Width}
}

// same reports whether two paths lead to the same file.
func same(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// setModelDynamics changes the SbS layers of a model that is trained further.
func (f *flags) setModelDynamics(j *job) error {
	d, err := f.Dynamics()
	if err != nil {
		return err
	}
	n, before := j.network, 0
	for i, l := range n.Layers {
		s, ok := l.(*convert.SbS)
		if !ok || f.spikes == 0 {
			continue
		}
		if f.spikes > len(s.EpsilonT) && d.Schedule == nil {
			return fmt.Errorf("--spikes %d: layer L%d has an epsilon_t for %d spikes only; "+
				"give a rule for it with --epsilon-schedule, or convert the network with that many spikes", f.spikes, i, len(s.EpsilonT))
		}
		if s.Sampler != sbs.LowDiscrepancy {
			before = max(before, s.Spikes)
		}
		s.Spikes = f.spikes
		s.EpsilonT = s.EpsilonT[:min(f.spikes, len(s.EpsilonT))]
	}
	if err := cli.ApplyDynamics(d, n); err != nil {
		return err
	}
	if d.Sampler == "" && before > 0 && f.spikes <= before/10 {
		j.note("the model had %d spikes: with so few as %d it does much better with --sampler low-discrepancy and larger steps "+
			"(--epsilon-schedule power:-0.2 --epsilon-0 3)", before, f.spikes)
	}
	return nil
}

// fromConfiguration prepares a training as PyTorch-SbS's configuration says.
func (f *flags) fromConfiguration(ctx context.Context, j *job, path string) error {
	if f.resize {
		return errors.New("--resize needs a model, whose size of images is known")
	}
	files, err := pytorch.FindConfiguration(path)
	if err != nil {
		return err
	}
	size, err := f.trainingSize()
	if err != nil {
		return err
	}
	opt := pytorch.Options{
		Config: files, Step: -1, Spikes: f.spikes,
		Input: convert.Size{Channels: size.Channels, Height: size.Height, Width: size.Width}, Mean: make([]float32, size.Channels),
	}
	start := pytorch.Start{Seed: f.seed, Overload: true}
	// A first look, without the mean of the images: which are read by what it says.
	draft, t, _, err := pytorch.NewNetwork(opt, start)
	if err != nil {
		return err
	}
	if j.classes, err = classes(draft); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(files, ", "), err)
	}
	if !t.Active {
		return fmt.Errorf("%s: learning_active is false: set it to true to train", strings.Join(files, ", "))
	}
	if j.images, err = f.loadTraining(ctx, size, draft.Classes, j.classes); err != nil {
		return err
	}
	for c, mean := range j.images.Means() {
		opt.Mean[c] = float32(mean)
	}
	if draft.Preprocessing.OnOffMean == nil {
		opt.Mean = nil // there would be a warning about it
	}
	folder := filepath.Dir(files[0])
	if t.Step > 0 {
		opt.Step, opt.Weights, opt.EpsilonXY = t.Step, filepath.Join(folder, t.WeightPath), existing(filepath.Join(folder, t.EpsilonXYPath))
	}
	var report *pytorch.Report
	if j.network, j.training, report, err = pytorch.NewNetwork(opt, start); err != nil {
		return err
	}
	j.notes = append(j.notes, report.Warnings...)
	if j.network.Classes == nil {
		j.network.Classes = j.images.Classes()
	}
	d, err := f.Dynamics()
	if err != nil {
		return err
	}
	if err := cli.ApplyDynamics(d, j.network); err != nil {
		return err
	}
	j.network.Step = t.Step
	return j.configurationPlaces(f.output, folder)
}

// existing returns the folder if there is one.
func existing(folder string) string {
	if _, err := os.Stat(folder); err != nil {
		return ""
	}
	return folder
}

// configurationPlaces takes the folders' names of the configuration.
func (j *job) configurationPlaces(output, folder string) error {
	base := output
	if base == "" {
		base = folder
	}
	t := j.training
	for key, path := range map[string]string{"weight_path": t.WeightPath, "eps_xy_path": t.EpsilonXYPath, "log_path": t.LogPath} {
		if !filepath.IsLocal(path) {
			return fmt.Errorf("%s %q is no folder below the configuration's: give one that is, and where it all goes with --output FOLDER", key, path)
		}
	}
	j.places = places{
		model: filepath.Join(base, "model.onnx"), log: filepath.Join(base, t.LogPath),
		weights: filepath.Join(base, t.WeightPath), epsilonXY: filepath.Join(base, t.EpsilonXYPath),
		configuration: filepath.Clean(base) != filepath.Clean(folder) && !same(base, folder),
	}
	j.byUpdates = t.Dialect == 1
	return nil
}

// classes returns the number of classes that a network tells apart. It refuses one
// that does not give one vector for an image, with an entry for each.
func classes(n *convert.Network) (int, error) {
	sizes, err := n.Sizes()
	if err != nil {
		return 0, err
	}
	if _, ok := n.Layers[len(n.Layers)-1].(*convert.Reconstruction); ok {
		return 0, errors.New("the network ends with a reconstruction of its input and not with classes: " +
			"this command does not train it, a Go program does with train.Trainer")
	}
	out := sizes[len(sizes)-1]
	if out.Height != 1 || out.Width != 1 {
		return 0, fmt.Errorf("for images of %v (channels x height x width) the network's last layer gives %v: "+
			"it takes images of another size, or another network, so that it gives one position with the classes", n.Input, out)
	}
	return out.Channels, nil
}

// noteClasses says when there are classes without images.
func (j *job) noteClasses() {
	highest := 0
	for i := range j.images.Len() {
		highest = max(highest, j.images.Label(i))
	}
	if highest+1 < j.classes {
		j.note("the network has %d classes, the training images have %d", j.classes, highest+1)
	}
}

// start returns the step from which the training counts on.
func (j *job) start() int { return max(j.network.Step, 0) }

// title names the training in pictures.
func (j *job) title() string {
	if j.network.Name == "" {
		return filepath.Base(j.places.model)
	}
	return j.network.Name
}

func (f *flags) print(w io.Writer, j *job) {
	for _, n := range j.notes {
		fmt.Fprintln(w, "warning:", n)
	}
	if f.quiet {
		return
	}
	tested := "no test images"
	if j.test != nil {
		tested = fmt.Sprintf("%d for testing", j.test.Len())
	}
	fmt.Fprintf(w, "%d images of %v, %s; %d of them in a sub-batch, %d of these for an update\n",
		j.images.Len(), j.images.Size(), tested, j.batch, j.config.SubBatches)
}

func layerName(i int) string { return fmt.Sprintf("L%d", i) }
