package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// headingKey is the annotation of a flag with the heading that it is listed under.
const headingKey = "sbs-heading"

// Group lists flags under a separate heading in the help, after the flags without a
// heading. The headings are in the order of the first flags under them.
func Group(flags *pflag.FlagSet, heading string, names ...string) {
	for _, name := range names {
		if err := flags.SetAnnotation(name, headingKey, []string{heading}); err != nil {
			panic(err) // the flag is not defined: a mistake in the program
		}
	}
}

// printUsage prints how to call a command, and its flags, wrapped at width.
func printUsage(cmd *cobra.Command, width int) error {
	out := cmd.OutOrStderr()
	use := cmd.Use
	if !strings.Contains(use, "[flags]") {
		use += " [flags]"
	}
	fmt.Fprintf(out, "Usage:\n  %s\n", strings.ReplaceAll(use, "\n", "\n  "))
	if cmd.Example != "" {
		fmt.Fprintf(out, "\nExamples:\n%s\n", cmd.Example)
	}
	if err := printFlags(out, cmd.Flags(), width); err != nil {
		return err
	}
	_, err := fmt.Fprint(out, exitCodes)
	return err
}

const exitCodes = `
Exit codes: 0 after success, 1 after an error, 2 if the command line is invalid,
128 plus the number of the signal after an interruption (130 for Ctrl-C).
`

// printFlags prints the descriptions of flags under their headings, wrapped at width.
func printFlags(out io.Writer, flags *pflag.FlagSet, width int) error {
	const general = "Flags"
	headings := []string{general}
	groups := map[string]*pflag.FlagSet{}
	flags.VisitAll(func(f *pflag.Flag) {
		heading := general
		if h := f.Annotations[headingKey]; len(h) > 0 {
			heading = h[0]
		}
		group := groups[heading]
		if group == nil {
			group = pflag.NewFlagSet("", pflag.ContinueOnError)
			group.SortFlags = false
			groups[heading] = group
			if heading != general {
				headings = append(headings, heading)
			}
		}
		group.AddFlag(f)
	})
	for _, heading := range headings {
		group := groups[heading]
		if group == nil {
			continue
		}
		if _, err := fmt.Fprintf(out, "\n%s:\n%s", heading, group.FlagUsagesWrapped(width)); err != nil {
			return err
		}
	}
	return nil
}

// The widths of the help, in characters.
const (
	defaultWidth = 100 // if out is not a terminal
	minWidth     = 60
	maxWidth     = 120
)

// helpWidth returns the width at which descriptions of flags are wrapped: the width of
// the terminal, if out is one.
func helpWidth(out io.Writer) int {
	f, ok := out.(*os.File)
	if !ok {
		return defaultWidth
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return defaultWidth
	}
	return min(max(width, minWidth), maxWidth)
}
