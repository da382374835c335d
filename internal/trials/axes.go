package trials

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spike-by-spike/sbs/internal/cli"
)

// axis is a setting in which trials differ, with its values.
type axis struct {
	Name   string   `json:"name"` // a flag of sbs-train, or a key of a configuration
	Values []string `json:"values"`
}

// The names of axes that are no flags given with --vary.
const (
	axisNetwork = "network"
	axisSeed    = "seed"
)

// unset is the value of an axis that leaves out its flag.
const unset = "default"

// setting is the value of an axis.
type setting struct{ name, value string }

// maxTrials bounds the number of trials, and of the values of an axis.
const maxTrials = 10000

// keyPattern is what a key of a configuration looks like. No flag has an underscore or a dot.
var keyPattern = regexp.MustCompile(`^[a-z0-9_]+(\.[a-z0-9_]+)?$`)

// checkName returns an error unless an axis can have a name. flags are the names of flags.
func checkName(name string, flags []string) error {
	switch {
	case name == flagSet:
		return errors.New("give the key of the configuration as the name: network_structure.strides=...")
	case slices.Contains(flags, name):
		return nil
	case keyPattern.MatchString(name) && strings.ContainsAny(name, "._"):
		return nil
	}
	return fmt.Errorf("%q is neither a flag of sbs-train in which trials can differ nor a key of a configuration", name)
}

// flag returns the flag that gives a setting to a training, "" if it is left out.
func (s setting) flag(flags []string) string {
	switch {
	case s.value == unset:
		return ""
	case slices.Contains(flags, s.name):
		return "--" + s.name + "=" + s.value
	}
	return "--" + flagSet + "=" + s.name + "=" + s.value
}

var steps = regexp.MustCompile(`^[-+.0-9 ]+:[-+.0-9 ]+:[-+.0-9 ]+$`)

// parseAxis parses a value of --vary.
func parseAxis(text string, flags []string) (axis, error) {
	name, list, ok := strings.Cut(text, "=")
	a := axis{Name: strings.TrimSpace(name)}
	if err := checkName(a.Name, flags); err != nil {
		return a, err
	}
	if list = strings.TrimSpace(list); !ok || list == "" {
		return a, fmt.Errorf("the values are missing: write %s=VALUE,VALUE,... or FROM:TO:STEP", a.Name)
	}
	var err error
	if a.Values = splitValues(list); steps.MatchString(list) {
		if a.Values, err = cli.Stepped(list, maxTrials); err != nil {
			return a, err
		}
	}
	for i, v := range a.Values {
		switch {
		case v == "":
			return a, fmt.Errorf("value %d is empty: write %s for a trial without the flag", i+1, unset)
		case slices.Contains(a.Values[:i], v):
			return a, fmt.Errorf("the value %s occurs twice", v)
		}
	}
	return a, nil
}

// splitValues splits a list at the semicolons that are outside of brackets and of texts in quotes or, if
// there are none, at the commas.
func splitValues(list string) []string {
	for _, separator := range ";," {
		var values []string
		depth, quoted, start := 0, false, 0
		for i, r := range list {
			switch {
			case r == '"':
				quoted = !quoted
			case quoted:
			case r == '[' || r == '{':
				depth++
			case r == ']' || r == '}':
				depth--
			case r == separator && depth == 0:
				values, start = append(values, strings.TrimSpace(list[start:i])), i+1
			}
		}
		if values = append(values, strings.TrimSpace(list[start:])); len(values) > 1 || separator == ',' {
			return values
		}
	}
	return nil
}

// parseAxes parses the values of --vary.
func parseAxes(texts []string, flags []string) ([]axis, error) {
	var all []axis
	for _, text := range texts {
		a, err := parseAxis(text, flags)
		if err != nil {
			return nil, fmt.Errorf("--%s %s: %w", flagVary, text, err)
		}
		if slices.ContainsFunc(all, func(o axis) bool { return o.Name == a.Name }) {
			return nil, fmt.Errorf("--%s %s: %s is given twice: give all its values at once", flagVary, text, a.Name)
		}
		all = append(all, a)
	}
	return all, nil
}

// maxList bounds the size of the file of --list, in bytes.
const maxList = 16 << 20

// readList reads a file with the settings of one trial per line: NAME=VALUE, separated by blanks.
func readList(path string, flags []string) ([][]setting, error) {
	data, err := cli.ReadFile(path, "list of trials", maxList)
	if err != nil {
		return nil, err
	}
	var all [][]setting
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		text, _, _ := strings.Cut(line, "#")
		var trial []setting
		for _, word := range strings.Fields(text) {
			name, value, ok := strings.Cut(word, "=")
			err := checkName(name, flags)
			switch {
			case err != nil:
			case !ok || value == "":
				err = errors.New("want NAME=VALUE, separated by blanks")
			case slices.ContainsFunc(trial, func(s setting) bool { return s.name == name }):
				err = fmt.Errorf("%s is given twice", name)
			}
			if err != nil {
				return nil, fmt.Errorf("%s:%d: %s: %w", path, number, word, err)
			}
			trial = append(trial, setting{name, value})
		}
		if len(trial) > 0 {
			all = append(all, trial)
		}
		if len(all) > maxTrials {
			return nil, fmt.Errorf("%s:%d: there are more than %d trials: leave out some lines", path, number, maxTrials)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no trials: write NAME=VALUE NAME=VALUE ... in each line", path)
	}
	return all, nil
}

// points returns the settings of all trials, without the networks and the seeds: every line of a list,
// nil for none, with every combination of the values of the axes. The last axis changes first.
func points(list [][]setting, axes []axis) ([][]setting, error) {
	all := list
	if list == nil {
		all = [][]setting{nil}
	}
	for _, a := range axes {
		if slices.ContainsFunc(list, func(l []setting) bool { return has(l, a.Name) }) {
			return nil, fmt.Errorf("--%s %s: the file of --%s has it, too: leave it out in one of them", flagVary, a.Name, flagList)
		}
		if len(all) > maxTrials/len(a.Values) {
			return nil, fmt.Errorf("there are more than %d trials: give fewer values", maxTrials)
		}
		var next [][]setting
		for _, p := range all {
			for _, v := range a.Values {
				next = append(next, append(slices.Clone(p), setting{a.Name, v}))
			}
		}
		all = next
	}
	return all, nil
}

func has(list []setting, name string) bool {
	return slices.ContainsFunc(list, func(s setting) bool { return s.name == name })
}

// seedsFrom returns the numbers of seeds.
func seedsFrom(first uint64, count int) ([]string, error) {
	last := first + uint64(count-1)
	if count > maxTrials || last < first {
		return nil, fmt.Errorf("--%s %d: want at most %d seeds, of which the largest is below 2^64", flagSeeds, count, maxTrials)
	}
	var list []string
	for i := range count {
		list = append(list, strconv.FormatUint(first+uint64(i), 10))
	}
	return list, nil
}

// sameFile reports whether two paths lead to the same file.
func sameFile(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return a == b || err1 == nil && err2 == nil && os.SameFile(x, y)
}
