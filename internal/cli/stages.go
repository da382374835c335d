package cli

import (
	"errors"
	"fmt"

	"github.com/spike-by-spike/sbs/runtime"
)

// StageUsage returns the error of loading the model in a file, as a UsageError if the stages
// of the model do not allow the flags. chosen says that the flag --stage was given.
func StageUsage(err error, model string, chosen bool) error {
	switch {
	case !errors.Is(err, runtime.ErrStages):
		return err
	case chosen:
		return Usage(err)
	}
	return Usage(fmt.Errorf("%s has stages, whose thresholds apply only to the spikes, samplers and epsilon of the model: "+
		"to change these, run one stage with --stage N (sbs-convert --info %s lists the stages)", model, model))
}
