package training

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/noise"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/runtime"
	"github.com/spike-by-spike/sbs/train"
)

// job describes a training before it starts.
type job struct {
	kind     kind
	network  *convert.Network // with the initial values of its parameters
	training *pytorch.Training
	batchDim int // fixed batch size of the resulting model, 0 for any
	classes  int
	learned  bool   // the network has weights of an earlier training
	newLayer string // describes the new last layer of --new-classes; "" if there is none

	plan
	config     train.Config
	augment    dataset.Augmentation
	noise      noise.Mix
	images     *dataset.Samples
	heldBack   *dataset.Samples // nil for none
	reading    dataset.Options  // of the images
	test       *dataset.Samples // nil without tests
	workers    int
	own        []sbs.Params   // of the spikes of each SbS layer, before the flags changed them
	testSpikes []sbs.Dynamics // nothing, for all SbS layers, or for each

	configuration []string // its files, nil for a model

	places places
	force  bool
	notes  []string // warnings to print before the training starts
}

// places holds the paths of the files and folders that a training writes.
type places struct {
	model         string
	log           string // folder
	weights       string // folder, "" if only the model is written
	epsilonXY     string // folder
	order         string // in the names of the arrays, "" for none
	configuration bool   // a configuration is written to the parent folder of the weights
}

func (p places) metrics() string { return filepath.Join(p.log, "metrics.jsonl") }
func (p places) curves() string  { return filepath.Join(p.log, "curves.png") }

func (j *job) note(format string, args ...any) {
	j.notes = append(j.notes, fmt.Sprintf(format, args...))
}

// newJob prepares the training that the command line describes.
func (f *flags) newJob(ctx context.Context) (*job, error) {
	model, err := IsModel(f.path)
	if err != nil {
		return nil, err
	}
	j := &job{workers: f.workers.Value, force: f.force || f.resume}
	if model {
		err = f.fromModel(ctx, j)
	} else {
		err = f.fromConfiguration(ctx, j)
	}
	if err != nil {
		return nil, err
	}
	if err := f.settle(j); err != nil {
		return nil, err
	}
	j.noteClasses()
	j.network.Borders = (*convert.Borders)(j.images.Borders())
	if f.force && j.places.weights != "" {
		end := j.start() + j.steps
		path, err := j.laterWeights(end)
		if err != nil {
			return nil, err
		}
		if path != "" {
			j.note("%s is from another training and is kept: to convert the weights of this training, run sbs-convert with --step %d", path, end)
		}
	}
	if j.tested {
		j.test, err = f.loadTest(ctx, j)
	}
	return j, err
}

// fromModel prepares the fine-tuning of a model.
func (f *flags) fromModel(ctx context.Context, j *job) error {
	switch {
	case f.order != "":
		return errors.New("--order requires a configuration: give the number of spikes of a model with --spikes")
	case f.generation != "":
		return errors.New("--generation requires a configuration: a model contains what depends on it")
	case len(f.changes) > 0:
		return fmt.Errorf("--%s requires a configuration: a model has none that a training follows", flagSet)
	case len(f.neurons) > 0:
		return fmt.Errorf("--%s requires a configuration: a model has its neurons", flagNeurons)
	}
	j.kind, j.learned = fineTuning, true
	m, data, err := cli.ReadModel(ctx, f.path, f.ignoreChecksum)
	if errors.Is(err, cli.ErrInterrupted) {
		return f.interruptedEarly()
	}
	if err != nil {
		return err
	}
	if err := onnx.RefuseStages(m); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	if j.network, err = convert.FromONNX(data); err != nil {
		if errors.Is(err, convert.ErrNotConverted) {
			err = fmt.Errorf("%w; only models written by sbs-convert or sbs-train can be trained", err)
		}
		return fmt.Errorf("%s: %w", f.path, err)
	}
	loaded, err := runtime.New(data)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	defer func() { _ = loaded.Close() }() // Close returns nil
	if n := loaded.Inputs()[0].Shape[0]; n.Known() {
		j.batchDim = n.Size
	}
	if err := f.setModelDynamics(j); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	known := *j.network
	if known.Dialect == 0 {
		known.Dialect = 2
	}
	var warnings []string
	if j.training, warnings, err = pytorch.TrainingOf(&known); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	for _, w := range warnings {
		if !strings.Contains(w, "no layer is trainable") { // --freeze decides that
			j.note("%s", w)
		}
	}
	if j.places, err = f.modelPlaces(); err != nil {
		return err
	}
	if j.classes, err = classesOfNetwork(j.network); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	if f.images != nil {
		j.images = f.images
		return nil
	}
	if err := f.loadForModel(ctx, j); err != nil {
		return err
	}
	j.network.Holdout, err = j.holdBack(f.holdout, j.network.Holdout, true)
	return err
}

// modelPlaces returns the paths of the files that fine-tuning writes.
func (f *flags) modelPlaces() (places, error) {
	out := f.output
	if out == "" {
		out = strings.TrimSuffix(f.path, ".onnx") + "-tuned.onnx"
	}
	if same(out, f.path) {
		return places{}, fmt.Errorf("--output %s is the model that is trained: give another path", out)
	}
	if info, err := os.Stat(out); err == nil && info.IsDir() || os.IsPathSeparator(out[len(out)-1]) {
		return places{}, fmt.Errorf("--output %s is a folder: give the path of the model to write, such as %s", out, filepath.Join(out, "model.onnx"))
	}
	return places{model: out, log: strings.TrimSuffix(out, ".onnx") + "-log"}, nil
}

// same reports whether two paths lead to the same file.
func same(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// setModelDynamics applies the flags that change the spikes to the SbS layers of a
// model.
func (f *flags) setModelDynamics(j *job) error {
	d, err := f.Dynamics()
	if err != nil {
		return err
	}
	return j.applyDynamics(d, cli.SpikesOf(j.network))
}

// applyDynamics changes the SbS layers. own has their spikes before the change.
func (j *job) applyDynamics(d []sbs.Dynamics, own []sbs.Params) error {
	if err := cli.ApplyDynamics(d, own, j.network); err != nil {
		return err
	}
	if warning := cli.FewSpikes(own, j.network); warning != "" {
		j.note("%s", warning)
	}
	j.own = own
	return nil
}

// fromConfiguration prepares the training of a new network from a PyTorch-SbS
// configuration.
func (f *flags) fromConfiguration(ctx context.Context, j *job) error {
	if f.newClasses {
		return fmt.Errorf("--%s requires a model: the configuration sets the number of classes with number_of_output_neurons", flagNewClasses)
	}
	if f.resize {
		return errors.New("--resize requires a model: a configuration does not set the size of the images")
	}
	files, err := pytorch.FindConfiguration(f.path)
	if err != nil {
		return err
	}
	j.configuration = files
	size, err := f.trainingSize()
	if err != nil {
		return err
	}
	d, err := f.Dynamics()
	if err != nil {
		return err
	}
	opt := pytorch.Options{
		Config: files, Set: f.changes, Neurons: f.neurons, Spikes: cli.MaxSpikes(d), Order: f.order, Generation: f.generation,
		Input: convert.Size(size), Mean: make([]float32, size.Channels),
	}
	start := pytorch.Start{Seed: f.seed, Overload: true}
	// The draft has a wrong mean of the images. The configuration must be read before
	// the images, since it sets how they are read.
	draft, t, read, err := pytorch.NewNetwork(opt, start)
	if err != nil {
		return err
	}
	if err := fitsOrder(draft, read, d); err != nil {
		return err
	}
	if j.classes, err = classesOfNetwork(draft); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(files, ", "), err)
	}
	if !t.Active {
		return fmt.Errorf("%s: learning_active is false: set it to true to train the network", strings.Join(files, ", "))
	}
	if j.images, err = f.loadTraining(ctx, j, size, draft.Classes, j.classes, nil); err != nil {
		return err
	}
	j.learned = t.Step > 0 || slices.ContainsFunc(draft.Sources, func(s convert.Source) bool { return s.Shape != nil })
	holdout, err := j.holdBack(f.holdout, nil, j.learned)
	if err != nil {
		return err
	}
	for c, mean := range j.images.Means() {
		opt.Mean[c] = float32(mean)
	}
	if draft.Preprocessing.OnOffMean == nil {
		opt.Mean = nil // NewNetwork warns about a mean that it does not need
	}
	folder := filepath.Dir(files[0])
	if t.Step > 0 {
		opt.Step, opt.Weights, opt.EpsilonXY = &t.Step, filepath.Join(folder, t.WeightPath), existing(filepath.Join(folder, t.EpsilonXYPath))
	}
	var report *pytorch.Report
	if j.network, j.training, report, err = pytorch.NewNetwork(opt, start); err != nil {
		return err
	}
	j.notes = append(j.notes, slices.Concat(report.Warnings, report.Assumed)...)
	if j.network.Classes == nil && !j.reconstructs() {
		j.network.Classes = j.images.Classes()
	}
	if err := j.applyDynamics(d, report.ConfiguredSpikes()); err != nil {
		return err
	}
	j.network.Step, j.network.Holdout = t.Step, holdout
	j.kind = byEpochs
	if t.Dialect == 1 {
		j.kind = byUpdates
	}
	j.places, err = configurationPlaces(t, f.output, folder, report.Order)
	return err
}

// fitsOrder returns an error if --spikes contradicts the number of spikes that an order gives to
// layer 0. read has that number.
func fitsOrder(n *convert.Network, read *pytorch.Report, d []sbs.Dynamics) error {
	if _, ok := n.Layers[0].(*convert.SbS); !ok || read.Order == "" || len(d) == 0 {
		return nil
	}
	if want, got := read.Layers[0].Spikes, d[0].Spikes; got != 0 && got != want {
		return fmt.Errorf("--order %s means %d spikes of layer 0, but --spikes gives it %d: leave out one of them", read.Order, want, got)
	}
	return nil
}

// existing returns the folder, or "" if it does not exist.
func existing(folder string) string {
	if _, err := os.Stat(folder); err != nil {
		return ""
	}
	return folder
}

// configurationPlaces returns the paths of the files that a training from the
// configuration in a folder writes. order is in the names of the arrays,
// of the log and of the model.
func configurationPlaces(t *pytorch.Training, output, folder, order string) (places, error) {
	base := output
	if base == "" {
		base = folder
	}
	for _, v := range []struct{ key, path string }{{"weight_path", t.WeightPath}, {"eps_xy_path", t.EpsilonXYPath}, {"log_path", t.LogPath}} {
		if !filepath.IsLocal(v.path) {
			return places{}, fmt.Errorf("%s %q in the configuration leads out of its folder: change it to a relative path, and set the output folder with --output", v.key, v.path)
		}
	}
	suffix := ""
	if order != "" {
		suffix = "_" + order
	}
	return places{
		model: filepath.Join(base, "model"+suffix+".onnx"), log: filepath.Join(base, t.LogPath) + suffix, order: order,
		weights: filepath.Join(base, t.WeightPath), epsilonXY: filepath.Join(base, t.EpsilonXYPath),
		configuration: filepath.Clean(base) != filepath.Clean(folder) && !same(base, folder),
	}, nil
}

// classesOfNetwork returns the number of classes of a network, 0 if it reconstructs its input.
func classesOfNetwork(n *convert.Network) (int, error) {
	if cli.Reconstructs(n) {
		return 0, nil
	}
	return cli.Classes(n)
}

// noteClasses adds a warning if there are classes without images.
func (j *job) noteClasses() {
	missing := emptyClasses(j.images, j.network.Classes, j.classes)
	if missing == "" {
		return
	}
	advice := ""
	if j.kind == fineTuning && j.newLayer == "" {
		advice = fmt.Sprintf(" (--%s trains a new last layer for the classes of the images only)", flagNewClasses)
	}
	j.note("there are no training images of class %s%s", missing, advice)
}

// start returns the number of the step at which the training starts.
func (j *job) start() int { return max(j.network.Step, 0) }

// title returns the title of the curves.
func (j *job) title() string {
	if j.network.Name == "" {
		return filepath.Base(j.places.model)
	}
	return j.network.Name
}

// print prints the warnings and the sizes of the training.
func (f *flags) print(w io.Writer, j *job) {
	cli.PrintWarnings(w, j.notes...)
	if f.quiet {
		return
	}
	test := "no test images"
	if j.test != nil {
		test = fmt.Sprintf("%d test images", j.test.Len())
	}
	heldBack := ""
	if h := j.network.Holdout; h != nil {
		heldBack = fmt.Sprintf(", %d more held back", h.Images)
	}
	if j.newLayer != "" {
		_, _ = fmt.Fprintln(w, j.newLayer) // progress
	}
	fmt.Fprintf(w, "%d training images of %v%s, %s; %d images per sub-batch, %d sub-batches per update\n",
		j.images.Len(), j.images.Size(), heldBack, test, j.batch, j.subBatches)
	if !j.noise.Empty() {
		_, _ = fmt.Fprintf(w, "noise in %.4g%% of the training images: %v\n", 100*j.noise.Share(), j.noise) // progress
	}
}

func layerName(i int) string { return fmt.Sprintf("L%d", i) }
