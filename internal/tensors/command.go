// Package tensors runs any model on the tensors of .npy files, or on random ones to measure it.
// It is the code of sbs-run --input and --random.
package tensors

import (
	"context"
	"errors"
	"fmt"
	"io"
	goruntime "runtime"
	"time"

	"github.com/spf13/pflag"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/runtime"
)

// Flags holds the values of the flags that Register defines.
type Flags struct {
	inputs  []string
	random  bool
	sizes   []string
	runs    cli.OptionalInt
	profile bool
}

// Register defines the flags.
func (f *Flags) Register(s *pflag.FlagSet) {
	s.StringArrayVar(&f.inputs, "input", nil, "`NAME=FILE.npy` with the value of an input; repeat the flag for other inputs, and for the items of a sequence. A file FILE.npz has inputs by name, and FILE.npz:ARRAY is one array")
	s.BoolVar(&f.random, "random", false, "take random numbers for the inputs that --input does not give, and measure the time and the memory of runs")
	s.StringArrayVar(&f.sizes, "size", nil, "`NAME=SIZE` of a dimension, such as batch=4, or of an input, such as x=1x3x224x224, for --random (default: 1 for the first dimension)")
	cli.IntVar(s, &f.runs, "runs", 1, "measure this `number` of runs, after one that does not count (default: as many as take 2 seconds)")
	s.BoolVar(&f.profile, "profile", false, "measure the time of every node, and print it by operator and by node")
	cli.Group(s, "For any model, without images", f.Names()...)
}

// Names returns the names of the flags.
func (*Flags) Names() []string { return []string{"input", "random", "size", "runs", "profile"} }

// Used reports whether the flags ask for a run without images.
func (f *Flags) Used() bool { return len(f.inputs) > 0 || f.random }

// Check returns an error for a combination of flags that makes no sense.
func (f *Flags) Check(set *pflag.FlagSet) error {
	if !f.Used() {
		for _, name := range f.Names() {
			if set.Changed(name) {
				return fmt.Errorf("--%s applies only with --input or --random", name)
			}
		}
		return nil
	}
	if len(f.sizes) > 0 && !f.random {
		return errors.New("--size applies only with --random: --input gives the sizes of its arrays")
	}
	_, err := parseSizes(f.sizes)
	return err
}

// Settings are the flags that a run shares with one on images.
type Settings struct {
	Output  string // a folder, an .npz or .npy file, or "" to print the first elements
	Force   bool
	JSON    bool
	Workers int
	Seed    uint64
	Model   []runtime.Option
}

// Run runs the model in a file, which has the name shown in the report.
func (f *Flags) Run(ctx context.Context, path, shown string, s Settings, stdout, stderr io.Writer) error {
	start := time.Now()
	m, err := runtime.Open(path, append(s.Model, runtime.Workers(s.Workers), runtime.LoadContext(ctx))...)
	if err != nil {
		return interrupted(ctx, err)
	}
	defer func() { _ = m.Close() }() // always nil
	r := report{model: shown, load: time.Since(start), workers: goruntime.GOMAXPROCS(0)}
	if s.Workers > 0 {
		r.workers = min(r.workers, s.Workers)
	}
	cli.PrintWarnings(stderr, m.Warnings()...)
	if r.in, err = readInputs(m, f.inputs); err != nil {
		return err
	}
	if f.random {
		sizes, err := parseSizes(f.sizes)
		if err == nil {
			err = r.in.fill(m, sizes, s.Seed)
		}
		if err != nil {
			return err
		}
	}
	if err := r.in.checkComplete(m); err != nil {
		return err
	}
	for _, v := range allInputs(m) {
		if _, ok := r.in[v.Name]; ok {
			r.all = append(r.all, v)
		}
	}
	o := output{path: s.Output, force: s.Force, reads: append(r.in.files(), path)}
	if err := o.checkEarly(m); err != nil {
		return err
	}
	if err := f.run(ctx, m, &r, s.Seed); err != nil {
		return interrupted(ctx, err)
	}
	if err := o.write(r.results); err != nil {
		return err
	}
	if s.JSON {
		return r.printJSON(stdout)
	}
	return r.print(stdout)
}

// run runs the model and adds its results to the report.
func (f *Flags) run(ctx context.Context, m *runtime.Model, r *report, seed uint64) error {
	opts := []runtime.RunOption{runtime.Seed(seed)}
	var out map[string]*runtime.Tensor
	var err error
	if f.random || f.runs.Set || f.profile {
		out, r.times, err = measure(ctx, m, r.in.tensors(), f.runs.Value, f.profile, opts)
	} else {
		out, err = m.Run(ctx, r.in.tensors(), opts...)
	}
	if err != nil {
		return err
	}
	r.results, err = resultsOf(m, out)
	return err
}

// interrupted returns the error of a run, or cli.ErrInterrupted after ctx is done.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return cli.ErrInterrupted
	}
	return err
}
