package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// InvertVar defines the flag --invert with the default auto.
func InvertVar(flags *pflag.FlagSet, how *string) {
	*how = "auto"
	ChoiceVar(flags, how, "invert", []string{"auto", "yes", "no"},
		"which `images` to invert (dark becomes light): auto, picture files that are dark on light if the model learned light on dark, or the other way round; yes, all images; no, none")
}

// PictureWarnings returns warnings about inverted of total images, which --invert how has
// inverted, and about blank images with these names.
func PictureWarnings(how string, inverted, total int, blank []string) []string {
	var warnings []string
	if inverted > 0 && how == "auto" {
		what := fmt.Sprintf("%d of %d images were", inverted, total)
		switch {
		case total == 1:
			what = "the image was"
		case inverted == 1:
			what = fmt.Sprintf("1 of %d images was", total)
		}
		warnings = append(warnings, what+" inverted (dark became light) to have a background like the images that the model learned: --invert no leaves images as they are")
	}
	const most = 3 // names
	switch {
	case len(blank) == 1:
		warnings = append(warnings, blank[0]+" is blank: all its pixels have nearly the same value, transparent ones on white")
	case len(blank) > most:
		blank = append(blank[:most:most], fmt.Sprintf("%d more", len(blank)-most))
		fallthrough
	case len(blank) > 1:
		last := len(blank) - 1
		warnings = append(warnings, fmt.Sprintf("%s and %s are blank: all their pixels have nearly the same value, transparent ones on white",
			strings.Join(blank[:last], ", "), blank[last]))
	}
	return warnings
}
