// Package trials plans many trainings at once, keeps their results in a folder, and shows them in a table
// and in charts. It is the code of sbs-cluster trials that needs no cluster.
package trials

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/training"
)

// The names of flags that errors mention.
const (
	flagVary  = "vary"
	flagList  = "list"
	flagSeeds = "seeds"
	flagPlot  = "plot"
	flagSet   = "set"
)

// Flags holds the values of the command line.
type Flags struct {
	Models []string // paths of models and configurations, the arguments of the command
	Output string   // folder

	base  training.Trial
	vary  []string
	list  string
	seeds cli.OptionalInt
	plot  string
	set   *pflag.FlagSet

	resume, force, quiet bool
	seed                 uint64 // the first one
	names                []string
	axes                 []axis // of --vary
	lines                [][]setting
}

// Register defines the flags: those of sbs-train, which apply to all trials, and those of trials.
func (f *Flags) Register(s *pflag.FlagSet) {
	f.set = s
	f.base.Register(s)
	for name, usage := range map[string]string{
		"output":  "`folder` for the results and for a folder of each trial",
		"resume":  "continue trials that were interrupted, or start them if there is nothing to continue",
		"force":   "start again and replace the results of existing trials",
		"seed":    "`number` of the first seed; the others follow (default: 0)",
		"workers": "`number` of CPU cores to use on this machine, without --nats (default: all)",
	} {
		s.Lookup(name).Usage = usage
	}
	s.StringArrayVar(&f.vary, flagVary, nil, "`NAME=VALUE,VALUE,...` or NAME=FROM:TO:STEP: train with each value of a flag of sbs-train, such as lr=0.05,0.1, or of a key of the configuration, such as learning_parameters.loss_mode=0,1; may be given several times, for all combinations. Values with commas are separated by semicolons, and "+unset+" is a value that leaves out the flag")
	s.StringVar(&f.list, flagList, "", "`file` with one trial per line, as NAME=VALUE NAME=VALUE ...; # begins a comment")
	cli.IntVar(s, &f.seeds, flagSeeds, 1, "`number` of seeds with which every combination is trained (default: 1)")
	s.StringVar(&f.plot, flagPlot, "", "draw the charts of the results in a `folder` again and print their table, without training")
	cli.Group(s, "Trials", flagVary, flagList, flagSeeds, "seed", flagPlot)
}

// Plots reports whether the command only draws charts again.
func (f *Flags) Plots() bool { return f.set.Changed(flagPlot) }

// Cores returns the value of --workers, 0 without the flag.
func (f *Flags) Cores() int { return f.base.Cores() }

// Check returns an error if arguments or flags are invalid or contradict each other. It must be called
// first.
func (f *Flags) Check(args []string) (err error) {
	f.Models, f.names = args, training.TrialFlags()
	if f.Plots() {
		return f.checkPlot()
	}
	if f.Output, err = f.set.GetString("output"); err != nil {
		return err
	}
	for name, value := range map[string]*bool{"resume": &f.resume, "force": &f.force, "quiet": &f.quiet} {
		if *value, err = f.set.GetBool(name); err != nil {
			return err
		}
	}
	if f.seed, err = f.set.GetUint64("seed"); err != nil {
		return err
	}
	switch {
	case len(f.Models) == 0:
		return errors.New("the model or configuration is missing: sbs-cluster trials MODEL.onnx --data PATH -o FOLDER (see --help)")
	case f.Output == "":
		return errors.New("the folder for the results is missing: give it with -o FOLDER")
	case f.set.Changed(flagList) && f.list == "":
		return fmt.Errorf("--%s is empty: give a file, or leave it out", flagList)
	}
	for i, m := range f.Models {
		for _, o := range f.Models[:i] {
			if sameFile(m, o) {
				return fmt.Errorf("%s is given twice", m)
			}
		}
	}
	if err := f.base.Check(); err != nil {
		return err
	}
	if f.axes, err = parseAxes(f.vary, f.names); err != nil {
		return err
	}
	for _, a := range f.axes {
		if err := f.checkAxis("--"+flagVary, a.Name); err != nil {
			return err
		}
	}
	_, err = seedsFrom(f.seed, f.seeds.Or(1))
	return err
}

// checkAxis returns an error about an axis that the command line has in another way, too.
func (f *Flags) checkAxis(where, name string) error {
	switch {
	case f.set.Changed(name):
		return fmt.Errorf("%s %s: --%s gives all trials the same value: leave it out", where, name, name)
	case name == axisSeed && f.seeds.Set:
		return fmt.Errorf("%s %s: --%s chooses the seeds: leave it out", where, name, flagSeeds)
	}
	changes, err := f.set.GetStringArray(flagSet)
	for _, c := range changes {
		if key, _, _ := strings.Cut(c, "="); key == name {
			return fmt.Errorf("%s %s: --%s %s gives all trials the same value: leave it out", where, name, flagSet, c)
		}
	}
	return err
}

func (f *Flags) checkPlot() error {
	if len(f.Models) > 0 {
		return fmt.Errorf("--%s draws what is in the folder: leave out %s", flagPlot, f.Models[0])
	}
	var other string
	f.set.Visit(func(flag *pflag.Flag) {
		if flag.Name != flagPlot && flag.Name != "quiet" {
			other = flag.Name
		}
	})
	switch {
	case other != "":
		return fmt.Errorf("--%s draws what is in the folder: leave out --%s", flagPlot, other)
	case f.plot == "":
		return fmt.Errorf("--%s needs the folder of trials", flagPlot)
	}
	return nil
}

// common returns the flags that all trials have.
func (f *Flags) common() []string {
	names := slices.DeleteFunc(slices.Clone(f.names), func(name string) bool { return name == axisSeed })
	return cli.GivenFlags(f.set, names)
}

// ResumeCommand returns the command line that continues the trials.
func (f *Flags) ResumeCommand(program string) string {
	return cli.ResumeCommand(program, f.Models, f.set)
}
