package sweep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/measure"
	"github.com/spike-by-spike/sbs/internal/noise"
	"github.com/spike-by-spike/sbs/internal/trainlog"
	"github.com/spike-by-spike/sbs/runtime"
)

// run runs the command.
func (f *Flags) run(ctx context.Context, stdout, stderr io.Writer) error {
	defer cli.IgnoreBrokenPipes()()
	err := f.sweep(ctx, stdout, stderr)
	if err != nil && ctx.Err() != nil {
		if f.resumable {
			_, _ = fmt.Fprintf(stderr, "to resume, run\n  %s\n", cli.ResumeCommand(name, f.Models, f.set))
		}
		if errors.Is(err, context.Canceled) {
			return cli.ErrInterrupted
		}
	}
	return err // which may also say what could not be saved
}

func (f *Flags) sweep(ctx context.Context, stdout, stderr io.Writer) error {
	if err := f.CheckOutput(); err != nil {
		return err
	}
	s, err := f.Open(ctx, stderr)
	if err != nil {
		return err
	}
	if f.shard.Count > s.Rows() {
		return cli.Usage(fmt.Errorf("--shard %v: the sweep has only %d rows: use at most that many parts", f.shard, s.Rows()))
	}
	m, rows, err := s.compute(ctx, f, stderr)
	if err != nil {
		return err
	}
	if m.Shard != "" {
		_, err := fmt.Fprintf(stdout, "wrote %s, part %s of the sweep: %d of its rows. When all parts are there, join them with\n  %s merge -o FOLDER PART...\n", f.Output, m.Shard, len(rows), name)
		return err
	}
	return conclude(f.Output, m, rows, stdout, resultsCSV, resultsJSON, timingCSV)
}

// CheckOutput returns an error if the folder of --output cannot receive the results, because it is a
// file or because it has the results of another sweep.
func (f *Flags) CheckOutput() error {
	if err := cli.CheckFolder(f.Output); err != nil {
		return err
	}
	if hasResults(f.Output) && !f.resume && !f.force {
		return existing(f.Output)
	}
	return nil
}

// Sweep is a sweep whose models are opened and whose images are read.
type Sweep struct {
	flags    *Flags
	models   []*model
	manifest *manifest // of the whole sweep
	rows     int
}

// Open opens the models of the sweep and reads the images. It prints warnings to stderr.
func (f *Flags) Open(ctx context.Context, stderr io.Writer) (_ *Sweep, err error) {
	defer func() { err = f.Names.Error(err) }()
	models, err := f.open(ctx, f.axes)
	if err != nil {
		return nil, err
	}
	warn := func(texts ...string) {
		for _, t := range texts {
			cli.PrintWarnings(stderr, f.Names.Text(t))
		}
	}
	for _, m := range models {
		for _, w := range m.warnings {
			warn(m.path + ": " + w)
		}
	}
	if err := f.loadData(ctx, models, warn); err != nil {
		return nil, err
	}
	m := &manifest{Format: format, Version: cli.Release(), Noise: f.axes.noise, Schedule: f.schedule, FirstSeed: f.seed, Seeds: f.seeds.Or(defaultSeeds)}
	for _, model := range models {
		m.Models = append(m.Models, model.manifestModel)
	}
	if err := m.check(); err != nil {
		return nil, cli.Usage(err)
	}
	return &Sweep{f, models, m, len(m.plan())}, nil
}

// Rows returns the number of rows of the sweep.
func (s *Sweep) Rows() int { return s.rows }

// Identity returns a description, in JSON, of all on which the results depend.
func (s *Sweep) Identity() ([]byte, error) { return json.Marshal(s.manifest) }

// Check returns an error if the sweep is not the one that identity describes.
func (s *Sweep) Check(identity []byte) error {
	want := &manifest{}
	if err := json.Unmarshal(identity, want); err != nil {
		return fmt.Errorf("the description of the sweep is damaged: %w", err)
	}
	if d := want.difference(s.manifest); d != "" {
		return fmt.Errorf("the sweep here is not the one asked for: %s", d)
	}
	return nil
}

// PartFiles are the names of the files of a part of a sweep that Merge reads.
var PartFiles = []string{manifestFile, resultsJSON, timingCSV}

// Part computes a part of the sweep and writes its files to a folder, which must be empty.
func (s *Sweep) Part(ctx context.Context, shard cli.Shard, folder string) error {
	f := *s.flags
	f.Output, f.shard, f.quiet = folder, shard, true
	_, _, err := s.compute(ctx, &f, io.Discard)
	return f.Names.Error(err)
}

// compute computes the sweep, or a part of it, with the flags f, which say where the results go.
func (s *Sweep) compute(ctx context.Context, f *Flags, stderr io.Writer) (_ *manifest, _ []row, err error) {
	m := *s.manifest
	m.Shard = f.shard.String()
	tasks := m.tasks()
	l, err := cli.LockFolder(f.Output, "sweep", stderr)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, l.Release()) }()
	store, err := f.openFolder(&m, tasks, stderr)
	if err != nil {
		return nil, nil, err
	}
	f.resumable = true
	err = errors.Join(f.compute(ctx, s.models, tasks, store, stderr), store.close())
	return &m, store.rows, err
}

// existing is the error about a folder with a sweep.
func existing(folder string) error {
	return fmt.Errorf("%s already has the results of a sweep: continue it with --resume, replace it with --force, or give another --output", folder)
}

// openFolder opens the locked folder for the results. A sweep that is there must be the same one.
func (f *Flags) openFolder(m *manifest, tasks []task, stderr io.Writer) (*store, error) {
	switch {
	case !hasResults(f.Output):
		if f.resume && !f.quiet {
			fmt.Fprintf(stderr, "%s has no sweep yet: it starts from the beginning\n", f.Output)
		}
	case f.force:
		if err := removeResults(f.Output); err != nil {
			return nil, err
		}
	case !f.resume: // another process has begun it
		return nil, existing(f.Output)
	default:
		old, err := readManifest(f.Output)
		if err != nil {
			return nil, fmt.Errorf("cannot resume: %w; start again with --force", err)
		}
		if d := m.differenceOfParts(old); d != "" {
			return nil, fmt.Errorf("%s has the results of another sweep: %s: give the same models, images and flags, start again with --force, or give another --output", f.Output, d)
		}
	}
	if err := m.write(f.Output); err != nil {
		return nil, err
	}
	s, err := openStore(f.Output, tasks)
	if err == nil && s.lost > 0 {
		cli.PrintWarnings(stderr, fmt.Sprintf("%s: line %d of %s is damaged: it and the lines after it (%d) are computed again", f.Output, len(s.rows)+1, resultsJSON, s.lost))
	}
	return s, err
}

// compute computes the rows that are missing.
func (f *Flags) compute(ctx context.Context, models []*model, tasks []task, s *store, stderr io.Writer) (err error) {
	p := newProgress(stderr, tasks, len(s.rows), f.quiet)
	defer p.line.End()
	var open struct { // the model that is open
		model, variant int
		*runtime.Model
	}
	defer func() {
		if open.Model != nil {
			err = errors.Join(err, open.Close())
		}
	}()
	for i := len(s.rows); i < len(tasks); i++ {
		t := tasks[i]
		m := models[t.model]
		if open.Model == nil || open.model != t.model || open.variant != t.variant {
			if open.Model != nil {
				if err := open.Close(); err != nil {
					return err
				}
			}
			opened, err := m.run(ctx, f, m.options[t.variant])
			if err != nil {
				return fmt.Errorf("%s: %w", m.path, err)
			}
			open.Model, open.model, open.variant = opened, t.model, t.variant
		}
		opt := measure.Options{Seed: t.Seed, Workers: f.Workers.Value, Progress: func(done int) { p.show(i, done, m.Images) }}
		if text := t.noise(); text != "" {
			if opt.Noise, err = noise.Parse(text); err != nil {
				return err
			}
		}
		p.begin(i, m.Images)
		start := time.Now()
		answers, err := measure.Model(ctx, open.Model, m.samples, opt)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", m.path, t.text(), err)
		}
		took := time.Since(start)
		if err := s.add(newRow(t.id, len(answers), answers.Right(), answers.Updates()), seconds(took)); err != nil {
			return fmt.Errorf("cannot save the results: %w", err)
		}
		p.done(i, took)
	}
	return nil
}

// text returns the combination in words, without the model.
func (t task) text() string {
	parts := []string{"no noise"}
	if t.Noise != noNoise {
		parts[0] = t.noise()
	}
	if t.Spikes != "" && t.Spikes != stages {
		parts = append(parts, string(t.Spikes)+" spikes", t.Sampler)
	}
	return strings.Join(append(parts, fmt.Sprintf("seed %d", t.Seed)), " ")
}

// progress shows the progress of a sweep and estimates the time that is left. The time of a
// row is about proportional to its cost, with a factor that differs between models.
type progress struct {
	line  *trainlog.Line
	quiet bool
	tasks []task
	rest  map[int]float64 // cost of the rows that are missing, by model
	costs map[int]float64 // of the rows that were computed in this run, by model
	times map[int]float64 // of these rows, in seconds
	start time.Time       // of the row at work
	now   func() time.Time
}

func newProgress(w io.Writer, tasks []task, known int, quiet bool) *progress {
	p := &progress{line: trainlog.NewLine(w), quiet: quiet, tasks: tasks, rest: map[int]float64{}, costs: map[int]float64{}, times: map[int]float64{}, now: time.Now}
	for _, t := range tasks[known:] {
		p.rest[t.model] += t.cost
	}
	switch {
	case quiet:
	case known > 0:
		p.line.Printf("%d rows, of which %d are known", len(tasks), known)
	default:
		p.line.Printf("%d rows", len(tasks))
	}
	return p
}

func (p *progress) begin(i, images int) {
	p.start = p.now()
	p.show(i, 0, images)
}

// show shows that done of the images of row i are classified.
func (p *progress) show(i, done, images int) {
	if p.quiet {
		return
	}
	t := p.tasks[i]
	text := fmt.Sprintf("%d/%d", i, len(p.tasks))
	if left, ok := p.left(i, float64(done)/float64(images)); ok {
		text += "  " + trainlog.Duration(left) + " left"
	}
	p.line.Show(fmt.Sprintf("%s  [%s, %s: %d of %d images]", text, t.Model, t.text(), done, images), false)
}

// done notes that row i is computed.
func (p *progress) done(i int, took time.Duration) {
	t := p.tasks[i]
	p.rest[t.model] -= t.cost
	p.costs[t.model] += t.cost
	p.times[t.model] += took.Seconds()
	if !p.quiet && i == len(p.tasks)-1 {
		p.line.Show(fmt.Sprintf("%d/%d", i+1, len(p.tasks)), true)
	}
}

// left estimates the seconds that are left when a share of row i is done.
func (p *progress) left(i int, share float64) (float64, bool) {
	costs, times := map[int]float64{}, map[int]float64{}
	for m := range p.costs {
		costs[m], times[m] = p.costs[m], p.times[m]
	}
	at := p.tasks[i]
	costs[at.model] += float64(at.cost * share)
	times[at.model] += p.now().Sub(p.start).Seconds()
	var cost, seconds float64
	for m := range costs {
		cost, seconds = cost+costs[m], seconds+times[m]
	}
	if cost == 0 {
		return 0, false
	}
	left := 0.0
	for m, rest := range p.rest {
		rate := seconds / cost // of all models, if this one was not measured yet
		if costs[m] > 0 {
			rate = times[m] / costs[m]
		}
		if m == at.model {
			rest -= float64(at.cost * share)
		}
		left += float64(rest * rate)
	}
	return left, true
}
