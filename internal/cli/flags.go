package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// flagError returns the error of the parser of flags in plain words.
func flagError(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return fmt.Errorf("%w (see --help)", err)
	}
	reason := errors.Unwrap(err)
	var number *strconv.NumError
	if errors.As(err, &number) {
		reason = errors.New("want a number")
		if errors.Is(err, strconv.ErrRange) {
			reason = errors.New("the number is too large")
		}
	}
	return fmt.Errorf("--%s %s: %w", invalid.GetFlag().Name, invalid.GetValue(), reason)
}

// OptionalInt is the value of a flag that has no default.
type OptionalInt struct {
	Value int
	Set   bool
}

// Or returns the value, or v if the flag was not given.
func (o *OptionalInt) Or(v int) int {
	if o.Set {
		return o.Value
	}
	return v
}

// IntVar adds a flag without a default, for a number of at least least.
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
func (*intValue) Type() string { return "int" }

// FloatsVar adds a flag for a list of numbers, separated by commas, without a default.
func FloatsVar(flags *pflag.FlagSet, list *[]float32, name, usage string) {
	flags.Var((*floatsValue)(list), name, usage)
}

type floatsValue []float32

// Set implements pflag.Value.
func (v *floatsValue) Set(s string) error {
	*v = nil
	for _, part := range strings.Split(s, ",") {
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
