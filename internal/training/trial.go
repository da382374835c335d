package training

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/trainlog"
)

// Images are images that several trainings in one process share. The zero value has none.
type Images struct {
	sets []imageSet // the one that was used last is the last one
}

// maxSets bounds the number of sets of images in memory: the training and the test images of two networks.
const maxSets = 4

type imageSet struct {
	paths   []string
	options dataset.Options
	samples *dataset.Samples
}

// load loads images, unless they are there. It only loads them if i is nil.
func (i *Images) load(ctx context.Context, paths []string, opt dataset.Options, workers int) (*dataset.Samples, error) {
	if i != nil {
		for n, s := range i.sets {
			if slices.Equal(s.paths, paths) && reflect.DeepEqual(s.options, opt) {
				i.sets = append(slices.Delete(i.sets, n, n+1), s)
				return s.samples, nil
			}
		}
		i.sets = slices.Delete(i.sets, 0, max(len(i.sets)-maxSets+1, 0)) // before memory is taken
	}
	samples, err := dataset.LoadPaths(ctx, paths, opt, workers)
	if err == nil && i != nil {
		i.sets = append(i.sets, imageSet{slices.Clone(paths), opt, samples})
	}
	return samples, err
}

// Inputs are the paths that a training reads.
type Inputs struct {
	Path       string   // of the model or configuration
	Data       []string // the training images
	Labels     string   // of the training images, "" for those that come with them
	Test       string   // the test images, "" for those in Data
	TestLabels string
}

// Trial is a training of sbs-train that another command makes. It has the flags of sbs-train.
type Trial struct{ flags }

// Register defines the flags of sbs-train.
func (t *Trial) Register(s *pflag.FlagSet) { t.register(s) }

// Check returns an error about flags that are invalid or contradict each other.
func (t *Trial) Check() error { return t.check() }

// CheckTrial returns an error about flags that are invalid or contradict each other, apart from those
// for paths, which the Inputs replace.
func (t *Trial) CheckTrial() error {
	t.data = []string{"given later"}
	return t.check()
}

// Inputs returns the paths of the images that the flags name.
func (t *Trial) Inputs() Inputs {
	return Inputs{Data: t.data, Labels: t.labels, Test: t.test, TestLabels: t.testLabels}
}

// Cores returns the value of --workers, 0 without the flag.
func (t *Trial) Cores() int { return t.workers.Value }

// TrialFlags returns the names of the flags of a set in which trials may differ: all of sbs-train, apart from
// those for paths and for the command itself.
func TrialFlags() (names []string) {
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	new(Trial).Register(set)
	set.VisitAll(func(f *pflag.Flag) {
		if !slices.Contains([]string{"data", "labels", "test", "test-labels", "output", "workers", "resume", "force", "quiet"}, f.Name) {
			names = append(names, f.Name)
		}
	})
	return names
}

// Prepared describes a training that has not begun.
type Prepared struct {
	Settings    map[string]string // everything that determines the results
	Identity    string            // equal for trainings with equal weights and metrics, also if other values in their configurations differ
	Model       bool              // a model is fine-tuned
	Reads       []string          // the files of a configuration, and those that it names
	Warnings    []string
	Reconstruct bool  // the network has a loss, but no accuracy
	Images      int   // number of training images, without those held back
	HeldBack    int   // number of images
	TestImages  int   // 0 without tests
	Updates     int64 // number
}

// Prepare checks whether a training can begin. output is where its files would go.
func (t *Trial) Prepare(ctx context.Context, in Inputs, output string, known *Images) (*Prepared, error) {
	j, err := t.open(ctx, in, output, known)
	if err != nil {
		return nil, err
	}
	if j.places.weights != "" {
		if err := j.checkSaves(); err != nil {
			return nil, err
		}
	}
	s, err := t.newSession(j)
	if err != nil {
		return nil, err
	}
	p := &Prepared{
		Settings: s.whole(), Model: j.kind == fineTuning, Warnings: j.notes, Reconstruct: j.reconstructs(), Updates: s.totalUpdates(), Images: j.images.Len(),
	}
	if j.heldBack != nil {
		p.HeldBack = j.heldBack.Len()
	}
	if j.test != nil {
		p.TestImages = j.test.Len()
	}
	if p.Reads, err = j.reads(); err == nil {
		p.Identity, err = s.identity()
	}
	if err = errors.Join(err, s.trainer.Close()); err != nil {
		return nil, err
	}
	return p, nil
}

// identity is the whole of the settings, but without the values of the configuration that the network
// only keeps, and those that flags replace.
func (s *session) identity() (string, error) {
	network := *s.network
	network.Training = nil
	data, err := convert.ToONNX(&network, convert.Options{})
	if err != nil {
		return "", err
	}
	all := s.whole()
	all[settingStart] = fmt.Sprintf("%x", sha256.Sum256(data))
	text, err := json.Marshal(all)
	return string(text), err
}

// open reads what a training reads.
func (t *Trial) open(ctx context.Context, in Inputs, output string, known *Images) (*job, error) {
	t.path, t.data, t.labels, t.test, t.testLabels, t.output, t.known = in.Path, in.Data, in.Labels, in.Test, in.TestLabels, output, known
	t.resume, t.quiet = true, true
	j, err := t.newJob(ctx)
	if errors.Is(err, context.Canceled) {
		err = cli.ErrInterrupted
	}
	return j, err
}

// whole describes everything that determines the files of a training, apart from times.
func (s *session) whole() map[string]string {
	all := maps.Clone(s.settings)
	all["--epochs"] = fmt.Sprint(s.end)
	all["the test images or --test-spikes"] = s.testSet
	if s.heldBack != nil {
		all["the images held back"] = fingerprint(s.heldBack)
	}
	all["--test-every"] = fmt.Sprint(s.testEvery)
	all["--save-every"] = fmt.Sprint(s.saveEvery)
	return all
}

// reads returns the files of the configuration, and the arrays in the folders that it names. It returns
// nil for a model.
func (j *job) reads() ([]string, error) {
	if j.configuration == nil {
		return nil, nil
	}
	files := slices.Clone(j.configuration)
	t := j.training
	for _, path := range []string{t.WeightPath, t.EpsilonXYPath, t.OverloadPath} {
		if !filepath.IsLocal(path) {
			continue // newJob has reported it if it matters
		}
		folder := filepath.Join(filepath.Dir(files[0]), path)
		entries, err := os.ReadDir(folder)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			step, _, ok := pytorch.ParseName(e.Name())
			file := filepath.Join(folder, e.Name())
			if ok && (step == t.Step || path == t.OverloadPath || strings.HasPrefix(e.Name(), "Mean")) && !slices.Contains(files, file) {
				files = append(files, file)
			}
		}
	}
	return files, nil
}

// TrialRun says how to make a Trial.
type TrialRun struct {
	Inputs
	Output   string            // path of the model to write, or of the output folder when training from a configuration
	Workers  int               // number of CPU cores
	Settings map[string]string // of the Prepared
	Images   *Images

	// Saved is called after every checkpoint. The files are those of a training that is killed at
	// that moment, until it returns.
	Saved func()

	// Progress is called with the number of updates that are made, of the total.
	Progress func(done, total int64)
}

// Outcome is the result of a training.
type Outcome struct {
	Stopped  string    `json:"stopped,omitempty"` // why the network did not learn any more, "" if the training has reached its end
	Worse    bool      `json:"worse,omitempty"`   // the training has made a model worse, see the exit code of sbs-train
	Updates  int       `json:"updates"`
	Training *Measured `json:"training,omitempty"`
	HeldBack *Measured `json:"held_back,omitempty"` // by the last network
	Test     *Measured `json:"test,omitempty"`      // of the last network
	Seconds  float64   `json:"seconds"`             // duration, without interruptions
}

// Measured is how good a network is on images.
type Measured struct {
	Images int     `json:"images"`
	Right  int     `json:"right"`          // with the right class, 0 for a network without classes
	Loss   float64 `json:"loss,omitempty"` // mean, if it is known
}

// Run trains, or resumes the training if there is a checkpoint. If ctx is canceled, Run writes a
// checkpoint and returns cli.ErrInterrupted. A training that stops because the network does not learn any
// more is no error.
func (t *Trial) Run(ctx context.Context, r *TrialRun) (*Outcome, error) {
	t.workers.Value = r.Workers
	j, err := t.open(ctx, r.Inputs, r.Output, r.Images)
	if err != nil {
		return nil, err
	}
	s, err := t.begin(ctx, j, io.Discard)
	if err != nil {
		return nil, err
	}
	outcome, err := s.trial(ctx, r)
	return outcome, errors.Join(err, s.close())
}

func (s *session) trial(ctx context.Context, r *TrialRun) (*Outcome, error) {
	if name := Differs(r.Settings, s.whole()); name != "" {
		return nil, fmt.Errorf("%s: this is another one here than where the trials were started", name)
	}
	s.written = r.Saved
	s.progress = trainlog.NewProgress(io.Discard, s.totalUpdates(), s.out.last())
	s.progress.Watch(func(last trainlog.Record) { r.Progress(last.Update, s.totalUpdates()) })
	err := s.run(ctx)
	outcome := &Outcome{}
	if err == nil {
		err = s.measure(ctx, outcome)
	}
	if errors.Is(err, context.Canceled) {
		return nil, s.interrupted(io.Discard, "")
	}
	if stopped, ok := errors.AsType[*failure](err); ok {
		outcome.Stopped = fmt.Sprintf("after update %d of %d: %s", s.updates(), s.totalUpdates(), stopped.reason)
		_, err = s.restoreBest()
		err = errors.Join(err, s.out.curves(s.title()))
	} else if err == nil {
		_, outcome.Worse = s.verdict()
		err = s.out.curves(s.title())
	}
	if e := s.at.LastEpoch; e.Images > 0 {
		outcome.Training = &Measured{Images: e.Images, Right: e.Correct, Loss: e.loss()}
	}
	outcome.Updates, outcome.Seconds = s.updates(), s.elapsed()
	return outcome, err
}

// measure sets how good the last network is.
func (s *session) measure(ctx context.Context, o *Outcome) error {
	if t := s.at.LastTest; t != nil {
		o.Test = &Measured{Images: s.test.Len(), Loss: t.Error}
		if !s.reconstructs() {
			n := float64(s.test.Len())
			o.Test.Right, o.Test.Loss = s.test.Len()-int(math.Round(t.Error*n/100)), 0
		}
	}
	if s.heldBack == nil {
		return nil
	}
	o.HeldBack = &Measured{Images: s.heldBack.Len()}
	if s.reconstructs() {
		var err error
		o.HeldBack.Loss, err = s.meanLoss(ctx, s.heldBack)
		return err
	}
	m, err := s.tester()
	if err != nil {
		return err
	}
	wrong, err := s.countWrong(ctx, m, s.heldBack)
	o.HeldBack.Right = o.HeldBack.Images - wrong
	return errors.Join(err, m.Close())
}

// Differs returns the name of a setting in which two trainings differ, "" for none.
func Differs(a, b map[string]string) string {
	last := []string{settingStart, settingConfig} // which depend on others
	names := slices.Concat(slices.Sorted(maps.Keys(a)), slices.Sorted(maps.Keys(b)))
	names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(last, name) })
	for _, name := range append(names, last...) {
		if a[name] != b[name] {
			return name
		}
	}
	return ""
}
