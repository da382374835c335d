package classification

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/internal/cli"
)

// run runs the command with the arguments MODEL and IMAGES.
func (f *Flags) run(cmd *cobra.Command, args []string) (err error) {
	read, names, remove, err := spool(cmd.InOrStdin(), args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	return f.Write(cmd.OutOrStdout(), append(slices.Clone(args), f.Labels), func(out io.Writer) (err error) {
		r, err := f.open(cmd.Context(), Inputs{read[0], read[1:], names}, f.isShard(), cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, r.Close()) }()
		if f.isShard() {
			return r.Shard(cmd.Context(), f.shard, out, cmd.ErrOrStderr())
		}
		return names.Error(r.print(cmd.Context(), nil, out, cmd.ErrOrStderr()))
	})
}

// Inputs are the files that a run reads.
type Inputs struct {
	Model  string   // path
	Images []string // paths of files and folders

	// Names shows other names for the paths in results and errors. The results are then the
	// same wherever the files are.
	Names cli.Names
}

// Run is an opened model with the images that it is to classify.
type Run struct {
	flags      *Flags
	in         Inputs
	classifier *classify.Classifier
	files      *classify.Files
	images     int // of all shards
	classes    []string
	stages     int
	identity   *runIdentity // nil without shards
}

// Open opens the model and the images of a run that is divided into shards. It prints warnings to
// stderr. Close closes the run.
func (f *Flags) Open(ctx context.Context, in Inputs, stderr io.Writer) (*Run, error) {
	return f.open(ctx, in, true, stderr)
}

func (f *Flags) open(ctx context.Context, in Inputs, shards bool, stderr io.Writer) (_ *Run, err error) {
	defer func() { err = in.Names.Error(err) }()
	var sum string
	if shards {
		if sum, err = modelSHA256(ctx, in.Model); err != nil {
			return nil, err
		}
	}
	r := &Run{flags: f, in: in}
	if r.classifier, err = f.openModel(ctx, in.Model); err != nil {
		if ctx.Err() != nil {
			err = cli.ErrInterrupted
		}
		return nil, err
	}
	if err := r.openFiles(stderr); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	r.stages = len(r.classifier.Model().Stages())
	if shards {
		r.identity = f.identify(in, sum, r.files, r.classes, r.stages)
	}
	return r, nil
}

// openFiles opens the images.
func (r *Run) openFiles(stderr io.Writer) (err error) {
	f := r.flags
	cli.PrintWarnings(stderr, r.classifier.Warnings()...)
	if r.files, err = r.classifier.OpenFiles(r.in.Images, f.Labels); err != nil {
		return err
	}
	r.files.Rename(r.in.Names.Text)
	cli.PrintWarnings(stderr, r.files.Warnings()...)
	if f.limit.Set && r.files.Limit(f.limit.Value) {
		fmt.Fprintf(stderr, "note: %d images, an equal share of every class folder (--limit)\n", r.files.Len())
	}
	r.images = r.files.Len()
	if r.classes = r.files.Classes(); r.classes == nil {
		r.classes = r.classifier.Classes()
	}
	return nil
}

// Close closes the model and the images.
func (r *Run) Close() error {
	return errors.Join(r.files.Close(), r.classifier.Close())
}

// Images returns the number of images of all shards.
func (r *Run) Images() int { return r.images }

// Updates returns the number of spike updates of all images together, estimated for a model with stages.
func (r *Run) Updates() float64 {
	perImage := 0.0
	for _, l := range r.classifier.Model().SbSLayers() {
		perImage += float64(l.Updates)
	}
	for i, s := range r.classifier.Model().Stages() {
		if i == 0 {
			perImage = float64(s.Updates)
		} else {
			perImage += float64(s.Updates) / 10 // most images leave earlier
		}
	}
	return perImage * float64(r.images)
}

// Identity returns a description, in JSON, of all on which the results depend.
func (r *Run) Identity() ([]byte, error) { return json.Marshal(r.identity) }

// Check returns an error if the run is not the one that identity describes.
func (r *Run) Check(identity []byte) error {
	var want runIdentity
	if err := json.Unmarshal(identity, &want); err != nil {
		return fmt.Errorf("the description of the run is damaged: %w", err)
	}
	if d := difference(&want, r.identity); d != "" {
		return fmt.Errorf("the run asked for and the one here differ: %s", d)
	}
	return nil
}

// Shard classifies the images of a shard and writes its part to out, in one line per image between
// the first line and the last one. It prints errors of single images, and the summary, to stderr.
func (r *Run) Shard(ctx context.Context, s cli.Shard, out, stderr io.Writer) (err error) {
	defer func() { err = r.in.Names.Error(err) }()
	h := partHeader{Format: partFormat, Shard: s.Index, Shards: s.Count, Run: r.identity}
	if h.First, err = r.files.Shard(s.Index, s.Count); err != nil {
		return err
	}
	p, err := newPart(out, h)
	if err != nil {
		return err
	}
	if err = r.print(ctx, p, out, stderr); Complete(err) {
		return nil // merge reports the images that could not be classified
	}
	return err
}

// print classifies the images and prints the results to out, or writes them to a part, if it is not
// nil.
func (r *Run) print(ctx context.Context, to *part, out, stderr io.Writer) error {
	f := r.flags
	how := style{f.format, f.top.Or(defaultTop), f.quiet}
	p := newPrinter(how, r.classes, r.in.Images, out, stderr, r.files.Len())
	p.staged, p.part = r.stages > 0, to
	s := newSummary(r.classes, string(r.in.shown(r.in.Model)), f.noise, r.stages)
	start := time.Now()
	err := p.printAll(r.results(ctx), s)
	s.seconds = time.Since(start).Seconds()
	if err != nil && ctx.Err() != nil {
		err = cli.ErrInterrupted
	}
	if err != nil {
		return errors.Join(err, p.abort(s, err))
	}
	if err := p.end(s, f.invert); err != nil {
		return err
	}
	return s.failure()
}

// results returns what is printed about the images.
func (r *Run) results(ctx context.Context) iter.Seq2[result, error] {
	return func(yield func(result, error) bool) {
		for x, err := range r.classifier.All(ctx, r.files, 0) {
			if !yield(newResult(x, r.flags.top.Or(defaultTop), &r.in), err) {
				return
			}
		}
	}
}

// openModel opens the model with the options that the flags set.
func (f *Flags) openModel(ctx context.Context, model string) (*classify.Classifier, error) {
	dynamics, err := f.DynamicsFlags.Options()
	if err != nil {
		return nil, err
	}
	opts := []classify.Option{
		classify.Seed(f.seed), classify.Workers(f.Workers.Value), classify.Stage(f.stage.Or(0)), classify.Runtime(dynamics...), classify.Noise(f.noise),
		classify.Invert(f.invert), classify.LoadContext(ctx),
	}
	if f.ignoreChecksum {
		opts = append(opts, classify.IgnoreChecksum())
	}
	if f.resize {
		opts = append(opts, classify.Resize())
	}
	c, err := classify.Open(model, opts...)
	return c, cli.StageUsage(err, model, f.stage.Set)
}
