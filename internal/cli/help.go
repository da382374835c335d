package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// groupKey is the annotation of a flag that names its group in the help.
const groupKey = "sbs-group"

// Group puts flags under a heading of their own in the help, below the other flags. The
// groups are in the order of their first flags.
func Group(flags *pflag.FlagSet, heading string, names ...string) {
	for _, name := range names {
		if err := flags.SetAnnotation(name, groupKey, []string{heading}); err != nil {
			panic(err) // a name that is no flag: the program itself is wrong
		}
	}
}

// usage prints how to call a command.
func usage(cmd *cobra.Command) error {
	out := cmd.OutOrStderr()
	fmt.Fprintf(out, "Usage:\n  %s [flags]\n", strings.ReplaceAll(cmd.Use, "\n", "\n  "))
	if cmd.Example != "" {
		fmt.Fprintf(out, "\nExamples:\n%s\n", cmd.Example)
	}
	headings := []string{"Flags"}
	groups := map[string]*pflag.FlagSet{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		heading := headings[0]
		if g := f.Annotations[groupKey]; len(g) > 0 {
			heading = g[0]
		}
		if groups[heading] == nil {
			groups[heading] = pflag.NewFlagSet("", pflag.ContinueOnError)
			groups[heading].SortFlags = false
			if heading != headings[0] {
				headings = append(headings, heading)
			}
		}
		groups[heading].AddFlag(f)
	})
	for _, heading := range headings {
		if g := groups[heading]; g != nil {
			printFlags(out, heading, g)
		}
	}
	return nil
}

func printFlags(out io.Writer, heading string, flags *pflag.FlagSet) {
	fmt.Fprintf(out, "\n%s:\n%s", heading, flags.FlagUsages())
}
