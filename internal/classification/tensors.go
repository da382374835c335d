package classification

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/tensors"
	"github.com/spike-by-spike/sbs/runtime"
)

// checkTensors checks the command line of a run without images.
func (f *Flags) checkTensors(t *tensors.Flags, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("--input and --random take one model and no images: sbs-run MODEL.onnx --input NAME=FILE.npy (number of arguments: %d)", len(args))
	}
	allowed := slices.Concat(t.Names(), cli.DynamicsFlagNames(), []string{flagFormat, "output", "force", "stage", "seed", "workers", cli.ChecksumFlag})
	var others []string
	f.set.Visit(func(flag *pflag.Flag) {
		if !slices.Contains(allowed, flag.Name) {
			others = append(others, "--"+flag.Name)
		}
	})
	switch {
	case len(others) == 1:
		return fmt.Errorf("%s applies only to images", others[0])
	case len(others) > 1:
		return fmt.Errorf("%s apply only to images", strings.Join(others, ", "))
	case f.format == formatCSV:
		return errors.New("--format csv applies only to images: want text or json")
	case f.path == standardOutput:
		return errors.New("--output - applies only to images: give a folder, or an .npz or .npy file")
	}
	return checkModel(args[0])
}

// runTensors runs the model in the file args[0] without images.
func (f *Flags) runTensors(cmd *cobra.Command, t *tensors.Flags, args []string) (err error) {
	read, names, remove, err := spool(cmd.InOrStdin(), args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	dynamics, err := f.DynamicsFlags.Options()
	if err != nil {
		return err
	}
	if f.stage.Set {
		dynamics = append(dynamics, runtime.OnlyStage(f.stage.Value))
	}
	if f.ignoreChecksum {
		dynamics = append(dynamics, runtime.IgnoreChecksum())
	}
	s := tensors.Settings{
		Output: f.path, Force: f.force, JSON: f.format == formatJSON, Workers: f.Workers.Value, Seed: f.seed, Model: dynamics,
	}
	err = t.Run(cmd.Context(), read[0], args[0], s, cmd.OutOrStdout(), cmd.ErrOrStderr())
	return cli.StageUsage(names.Error(err), args[0], f.stage.Set)
}
