package cli

import (
	"errors"
	"slices"

	"github.com/spf13/pflag"
)

// GivenFlags returns the flags of a command line that have one of the names, as --name=value. ParseFlags
// reads them.
func GivenFlags(set *pflag.FlagSet, names []string) []string {
	var list []string
	set.Visit(func(f *pflag.Flag) {
		if !slices.Contains(names, f.Name) {
			return
		}
		values := []string{f.Value.String()}
		if several, ok := f.Value.(pflag.SliceValue); ok {
			values = several.GetSlice()
		}
		for _, v := range values {
			list = append(list, "--"+f.Name+"="+v)
		}
	})
	return list
}

// ParseFlags sets flags that GivenFlags has returned, and refuses others. Flags of another process
// must not change what is not theirs.
func ParseFlags(set *pflag.FlagSet, names, list []string) error {
	set.VisitAll(func(f *pflag.Flag) {
		if !slices.Contains(names, f.Name) {
			set.Lookup(f.Name).Value = refused{f.Value}
		}
	})
	if err := set.Parse(list); err != nil {
		return flagError(set, err)
	}
	if set.NArg() > 0 {
		return errors.New("a flag is missing")
	}
	return nil
}

// refused is the value of a flag that cannot be set.
type refused struct{ pflag.Value }

func (refused) Set(string) error { return errors.New("this flag cannot be set here") }
