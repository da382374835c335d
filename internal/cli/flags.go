package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// flagError rewrites an error of the flag parser for the user of a command.
func flagError(flags *pflag.FlagSet, err error) error {
	var invalid *pflag.InvalidValueError
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	switch {
	case errors.As(err, &invalid):
		return fmt.Errorf("--%s %s: %w", invalid.GetFlag().Name, invalid.GetValue(), valueError(errors.Unwrap(err)))
	case errors.As(err, &unknown):
		return unknownFlag(flags, unknown)
	case errors.As(err, &missing):
		return fmt.Errorf("--%s needs a value (see --help)", missing.GetFlag().Name)
	}
	return fmt.Errorf("%w (see --help)", err)
}

// valueError explains why the value of a flag was not accepted.
func valueError(err error) error {
	var number *strconv.NumError
	if !errors.As(err, &number) {
		return err
	}
	if errors.Is(err, strconv.ErrRange) {
		return errors.New("the number is too large or too small")
	}
	switch number.Func {
	case "ParseBool":
		return errors.New("want true or false")
	case "ParseUint":
		return errors.New("want a whole number of at least 0")
	case "ParseInt", "Atoi":
		return errors.New("want a whole number")
	}
	return errors.New("want a number")
}

// unknownFlag names a flag that does not exist. "-limit" is read as the short flags -l,
// -i, -m, -i and -t, of which -l does not exist.
func unknownFlag(flags *pflag.FlagSet, err *pflag.NotExistError) error {
	short := err.GetSpecifiedShortnames()
	name, _, _ := strings.Cut(short, "=")
	switch {
	case short == "":
		return fmt.Errorf("unknown flag --%s (see --help)", err.GetSpecifiedName())
	case flags.Lookup(name) != nil:
		return fmt.Errorf("unknown flag -%s: write --%s", name, name)
	}
	return fmt.Errorf("unknown flag -%s (see --help)", short)
}

// OptionalInt is the value of an integer flag without a default.
type OptionalInt struct {
	Value int
	Set   bool // the flag was given
}

// Or returns the value of the flag, or v if the flag was not given.
func (o *OptionalInt) Or(v int) int {
	if o.Set {
		return o.Value
	}
	return v
}

// Pointer returns the value, or nil if the flag was not given.
func (o *OptionalInt) Pointer() *int {
	if o.Set {
		return &o.Value
	}
	return nil
}

// IntVar defines a flag without a default for an integer of at least least.
func IntVar(flags *pflag.FlagSet, o *OptionalInt, name string, least int, usage string) {
	flags.Var(&intValue{o, least}, name, usage)
}

type intValue struct {
	*OptionalInt
	least int
}

// Set implements pflag.Value.
func (v *intValue) Set(s string) error {
	n, err := strconv.Atoi(s)
	if errors.Is(err, strconv.ErrRange) {
		return err
	}
	if err != nil || n < v.least {
		return fmt.Errorf("want a whole number of at least %d", v.least)
	}
	v.Value, v.OptionalInt.Set = n, true
	return nil
}

// String implements pflag.Value.
func (v *intValue) String() string {
	if v == nil || v.OptionalInt == nil || !v.OptionalInt.Set {
		return ""
	}
	return strconv.Itoa(v.Value)
}

// Type implements pflag.Value.
func (*intValue) Type() string { return "number" }

// FloatsVar defines a flag without a default for a list of numbers, separated by commas.
func FloatsVar(flags *pflag.FlagSet, list *[]float32, name, usage string) {
	flags.Var((*floatsValue)(list), name, usage)
}

type floatsValue []float32

// Set implements pflag.Value.
func (v *floatsValue) Set(s string) error {
	*v = nil
	for part := range strings.SplitSeq(s, ",") {
		x, err := strconv.ParseFloat(strings.TrimSpace(part), 32)
		if err != nil {
			return fmt.Errorf("want numbers, separated by commas; %q is not a number", part)
		}
		*v = append(*v, float32(x))
	}
	return nil
}

// String implements pflag.Value.
func (v *floatsValue) String() string {
	if v == nil || len(*v) == 0 {
		return ""
	}
	s := make([]string, len(*v))
	for i, x := range *v {
		s[i] = strconv.FormatFloat(float64(x), 'g', -1, 32)
	}
	return strings.Join(s, ",")
}

// Type implements pflag.Value.
func (*floatsValue) Type() string { return "numbers" }

// ChoiceVar defines a flag for one of several words. The default is *choice.
func ChoiceVar(flags *pflag.FlagSet, choice *string, name string, words []string, usage string) {
	if *choice != "" {
		usage += " (default: " + *choice + ")"
	}
	flags.Var(&choiceValue{choice, words}, name, usage)
	flags.Lookup(name).DefValue = "" // pflag would print it without the colon
}

// GenerationVar defines the flag --generation for a network of PyTorch-SbS of dialect 2.
func GenerationVar(flags *pflag.FlagSet, generation *string, generations []string) {
	ChoiceVar(flags, generation, "generation", generations,
		"the `month` of the PyTorch-SbS that the network is for, if its configuration does not show it (default: what the configuration or a Mean file shows, or else 2023-07 for networks with an ONOFF layer and 2023-01 for others)")
}

type choiceValue struct {
	choice *string
	words  []string
}

// Set implements pflag.Value.
func (v *choiceValue) Set(s string) error {
	if slices.Contains(v.words, s) {
		*v.choice = s
		return nil
	}
	last := len(v.words) - 1
	return fmt.Errorf("want %s or %s", strings.Join(v.words[:last], ", "), v.words[last])
}

// String implements pflag.Value.
func (v *choiceValue) String() string {
	if v == nil || v.choice == nil {
		return ""
	}
	return *v.choice
}

// Type implements pflag.Value.
func (*choiceValue) Type() string { return "word" }
