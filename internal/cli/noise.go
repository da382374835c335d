package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/spike-by-spike/sbs/internal/noise"
)

// NoiseVar defines a flag for noise that is added to images. text gets the noise in the
// form that noise.Noise.String returns, and stays "" if the flag is not given.
func NoiseVar(flags *pflag.FlagSet, text *string, name string) {
	var kinds []string
	for _, k := range noise.Kinds() {
		kinds = append(kinds, fmt.Sprintf("%s (%s, %s)", k.Name, k.Level, k.Range()))
	}
	flags.Var((*noiseValue)(text), name, "noise to add to every image before the model crops it, such as contrast=0.6; several kinds are separated by commas and added in this order. "+
		"Kinds and their levels: "+strings.Join(kinds, ", "))
}

type noiseValue string

// Set implements pflag.Value.
func (v *noiseValue) Set(s string) error {
	n, err := noise.Parse(s)
	if err != nil {
		return err
	}
	*v = noiseValue(n.String())
	return nil
}

// String implements pflag.Value.
func (v *noiseValue) String() string {
	if v == nil {
		return ""
	}
	return string(*v)
}

// Type implements pflag.Value.
func (*noiseValue) Type() string { return "kind=level" }
