// Package sweep measures the accuracy of models under noise, with different numbers of spikes and
// samplers. It is the code of sbs-sweep.
package sweep

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

const name = "sbs-sweep"

const long = `Measures the accuracy of networks under noise, with different numbers of spikes
and samplers.

The command classifies the images of --data with every combination of a model,
a level of noise, a number of spikes, a sampler and a seed. The accuracy is that
of sbs-run with the same flags. Images without noise are always measured too.
The models can be SbS networks, models with stages, and networks without spikes,
such as CNNs. The numbers of spikes and the samplers apply to SbS layers only.
A model with stages keeps its own, since its thresholds apply only to these.

The folder of --output receives
  - results.csv and results.jsonl, with one row per combination and seed. They
    have the same bytes on every run, for any number of cores
  - timing.csv, with the time of each row
  - chart-noise-KIND.svg and .png, the accuracy over the level of the noise,
    chart-noise.svg and .png, all kinds of noise side by side, and
    chart-spikes.svg and .png, the accuracy over the number of spikes
  - sweep.json, which describes the sweep
A summary is printed. --plot prints the summary of a folder again and draws the
charts again, without computing.

An interrupted or killed sweep continues with --resume. It loses at most the row
at work. To divide a sweep over several machines, compute its parts with
--shard 1/4, --shard 2/4 and so on, each into its own folder, and join them:

  sbs-sweep merge -o all/ part1/ part2/ part3/ part4/

As in sbs-run, fewer spikes with the same epsilon lower the accuracy.
--epsilon-schedule auto fits epsilon_0 to the number of spikes.`

const example = `  sbs-sweep model.onnx --data MNIST/ --noise gaussian=0:0.6:0.1 -o results/
  sbs-sweep sbs.onnx cnn.onnx --data MNIST/ --noise contrast=0.3,0.6 --seeds 5 -o results/
  sbs-sweep model.onnx --data MNIST/ --spikes log=1:1600 --sampler iid,low-discrepancy \
      --epsilon-schedule auto -o results/
  sbs-sweep --plot results/`

// The names of flags that errors mention.
const (
	flagSpikes   = "spikes"
	flagSampler  = "sampler"
	flagSchedule = "epsilon-schedule"
	flagPlot     = "plot"
)

// Flags holds the values of the command line of sbs-sweep.
type Flags struct {
	Models  []string        // paths, the arguments of the command
	Data    []string        // paths of the images
	Labels  string          // path of the file with the labels, "" for those that come with the images
	Workers cli.OptionalInt // number of CPU cores, all if it is 0 or not set
	Output  string          // folder

	// Names shows other names for the paths of models and images in results and errors.
	Names cli.Names

	limit          cli.OptionalInt
	resize         bool
	invert         string
	noise          []string
	spikes         string
	sampler        string
	schedule       string
	seeds          cli.OptionalInt
	seed           uint64
	plot           string
	shard          cli.Shard
	resume         bool
	force          bool
	ignoreChecksum bool
	quiet          bool

	set  *pflag.FlagSet
	axes *axes

	resumable bool // the folder has a sweep that --resume continues
}

// axes are the values that are combined.
type axes struct {
	noise    []kindLevels
	dynamics []sbs.Dynamics // the numbers of spikes and the samplers
}

// Command returns the command sbs-sweep, or its subcommand merge.
func Command(args []string) *cobra.Command {
	if len(args) > 0 && args[0] == mergeWord {
		return mergeCommand()
	}
	var f Flags
	cmd := &cobra.Command{
		Use:     name + " [flags] MODEL.onnx... --data PATH -o FOLDER\n" + name + " --plot FOLDER\n" + name + " merge -o FOLDER PART...",
		Short:   "Measures the accuracy of networks under noise and with different numbers of spikes",
		Long:    long,
		Example: example,
		Args: func(_ *cobra.Command, args []string) error {
			f.Models = args
			return f.Check()
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.plot != "" {
				return plotFolder(f.plot, cmd.OutOrStdout(), cmd.ErrOrStderr())
			}
			return f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	s := cmd.Flags()
	f.Register(s)
	s.BoolVar(&f.resume, "resume", false, "continue an interrupted sweep, or start one if there is nothing to continue")
	cli.ShardVar(s, &f.shard, "compute only part `i/n` of the sweep, such as 2/4, for sbs-sweep merge. All parts have about the same cost")
	s.StringVar(&f.plot, flagPlot, "", "draw the charts of the results in a `folder` again and print their summary, without computing")
	return cmd
}

// defaultSeeds is the default of --seeds.
const defaultSeeds = 1

// Register defines the flags, apart from --resume, --shard and --plot.
func (f *Flags) Register(s *pflag.FlagSet) {
	f.set = s
	s.StringArrayVar(&f.Data, "data", nil, "`path` of the labeled images, a file or a folder, of which the test set is taken if it has one; may be given several times")
	s.StringVarP(&f.Output, "output", "o", "", "`folder` for the results")
	s.StringVar(&f.Labels, "labels", "", "`file` with the labels of all images, as in sbs-run")
	cli.IntVar(s, &f.limit, "limit", 1, "`number` of images to use: the first ones, or an equal share of every class folder (default: all)")
	s.BoolVar(&f.resize, "resize", false, "scale images to the input size of the models, and convert between color and gray")
	cli.InvertVar(s, &f.invert)
	cli.IntVar(s, &f.Workers, "workers", 0, "`number` of CPU cores to use (default: all)")
	s.BoolVar(&f.force, "force", false, "start again and replace the results of an existing sweep")
	cli.ChecksumVar(s, &f.ignoreChecksum)
	s.BoolVar(&f.quiet, "quiet", false, "print only warnings and the summary: no progress")

	s.StringArrayVar(&f.noise, "noise", nil, "noise to add to the images, `KIND=FROM:TO:STEP` or KIND=LEVEL,LEVEL,...; may be given several times. sbs-run --help lists the kinds and their levels")
	s.StringVar(&f.spikes, flagSpikes, "", "`numbers` of spikes of every SbS layer, such as 25,100,400, or log=FROM:TO for FROM, TO and 1, 2, 3 and 5 times the powers of 10 between them (default: those of the models)")
	s.StringVar(&f.sampler, flagSampler, "", "`methods` of drawing spikes, iid, low-discrepancy or both, separated by a comma (default: those of the models)")
	s.StringVar(&f.schedule, flagSchedule, "", "`rule` for epsilon_t of all SbS layers, as in sbs-run: inverse-sqrt, constant, power:P or auto (default: epsilon of the models)")
	cli.IntVar(s, &f.seeds, "seeds", 1, fmt.Sprintf("`number` of seeds (default: %d). Without noise, a model without random numbers is measured once", defaultSeeds))
	s.Uint64Var(&f.seed, "seed", 0, "`number` of the first seed; the others follow (default: 0)")
	cli.Group(s, "Axes", "noise", flagSpikes, flagSampler, flagSchedule, "seeds", "seed")
}

// Check returns an error if arguments or flags are invalid or contradict each other. It must be called
// before Open.
func (f *Flags) Check() error {
	if f.set.Changed(flagPlot) {
		if len(f.Models) > 0 {
			return fmt.Errorf("--%s draws what is in the folder: leave out %s", flagPlot, f.Models[0])
		}
		var other string
		f.set.Visit(func(flag *pflag.Flag) {
			if flag.Name != flagPlot && flag.Name != "quiet" {
				other = flag.Name
			}
		})
		if other != "" {
			return fmt.Errorf("--%s draws what is in the folder: leave out --%s", flagPlot, other)
		}
		if f.plot == "" {
			return fmt.Errorf("--%s needs the folder of a sweep", flagPlot)
		}
		return nil
	}
	switch {
	case len(f.Models) > 0 && f.Models[0] == mergeWord:
		return fmt.Errorf("%s must be the first word: %s %s -o FOLDER PART... (write ./%s for a model of this name)", mergeWord, name, mergeWord, mergeWord)
	case len(f.Models) == 0:
		return fmt.Errorf("the model is missing: %s MODEL.onnx --data PATH -o FOLDER (see --help)", name)
	case len(f.Data) == 0:
		return errors.New("the images are missing: give their file or folder with --data PATH")
	case f.Output == "":
		return errors.New("the folder for the results is missing: give it with -o FOLDER")
	case f.resume && f.force:
		return errors.New("--resume and --force cannot be combined: --resume continues a sweep, and --force starts again")
	}
	for i, p := range f.Models {
		if slices.Contains(f.Models[:i], p) {
			return fmt.Errorf("%s is given twice", p)
		}
	}
	for _, flag := range []string{flagSpikes, flagSampler, flagSchedule} {
		if f.set.Changed(flag) && f.set.Lookup(flag).Value.String() == "" {
			return fmt.Errorf("--%s is empty: give a value, or leave it out", flag)
		}
	}
	err := checkSeeds(f.seed, f.seeds.Or(defaultSeeds))
	if err != nil {
		return err
	}
	f.axes, err = f.parseAxes()
	return err
}

// ShardFlags returns the names of the flags on which the parts of a sweep depend, apart from --data
// and --labels.
func ShardFlags() []string {
	return []string{"limit", "resize", "invert", "ignore-checksum", "noise", flagSpikes, flagSampler, flagSchedule, "seeds", "seed"}
}

func (f *Flags) parseAxes() (*axes, error) {
	kinds, err := parseNoise(f.noise)
	if err != nil {
		return nil, err
	}
	numbers, err := parseSpikes(f.spikes)
	if err != nil {
		return nil, err
	}
	samplers, err := parseSamplers(f.sampler)
	if err != nil {
		return nil, err
	}
	var schedule *sbs.Schedule
	if f.schedule != "" {
		s, err := cli.ParseSchedule(f.schedule)
		if err != nil {
			return nil, fmt.Errorf("--%s %s: %w", flagSchedule, f.schedule, err)
		}
		schedule = &s
	}
	if numbers == nil {
		numbers = []int{0} // those of the model
	}
	if samplers == nil {
		samplers = []sbs.Sampler{""}
	}
	a := &axes{noise: kinds}
	for _, n := range numbers {
		for _, s := range samplers {
			a.dynamics = append(a.dynamics, sbs.Dynamics{Spikes: n, Sampler: s, Schedule: schedule})
		}
	}
	return a, nil
}
