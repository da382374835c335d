package sweep

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spike-by-spike/sbs/internal/chart"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/noise"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// kindLevels is a kind of noise with its levels other than 0, in ascending order.
type kindLevels struct {
	Kind   string    `json:"kind"`
	Levels []float64 `json:"levels"`
}

// conditions returns the levels in ascending order, with level 0, which is the condition clean.
func (k kindLevels) conditions() []condition {
	list := []condition{clean}
	for _, l := range k.Levels {
		list = append(list, condition{k.Kind, l})
	}
	slices.SortFunc(list, func(a, b condition) int { return cmp.Compare(a.level, b.level) })
	return list
}

// text returns the noise of a level in the form that noise.Parse reads.
func (k kindLevels) text(level float64) string { return noiseText(k.Kind, level) }

// level says what the level is, such as "standard deviation". It is "" for a kind that this version
// does not have.
func (k kindLevels) level() string {
	for _, kind := range noise.Kinds() {
		if kind.Name == k.Kind {
			return kind.Level
		}
	}
	return ""
}

// description names the kind and says what its level is, such as "gaussian: standard deviation".
func (k kindLevels) description() string {
	if level := k.level(); level != "" {
		return k.Kind + ": " + level
	}
	return k.Kind
}

func noiseText(kind string, level float64) string { return kind + "=" + chart.Number(level) }

// maxValues bounds the number of values of an axis.
const maxValues = 10000

// parseNoise parses the values of --noise: KIND=FROM:TO:STEP, or KIND with a list of levels.
// Level 0 is left out: it is the same for all kinds.
func parseNoise(texts []string) ([]kindLevels, error) {
	var all []kindLevels
	for _, text := range texts {
		k, err := parseKind(text)
		if err != nil {
			return nil, fmt.Errorf("--noise %s: %w", text, err)
		}
		if slices.ContainsFunc(all, func(o kindLevels) bool { return o.Kind == k.Kind }) {
			return nil, fmt.Errorf("--noise %s: %s is given twice: give all its levels at once", text, k.Kind)
		}
		all = append(all, k)
	}
	return all, nil
}

func parseKind(text string) (kindLevels, error) {
	kind, list, separated := strings.Cut(text, "=")
	kind, list = strings.TrimSpace(kind), strings.TrimSpace(list)
	if !separated || list == "" {
		if _, err := noise.Parse(kind + "=0"); err != nil {
			return kindLevels{}, err
		}
		return kindLevels{}, fmt.Errorf("the levels are missing: write %s=FROM:TO:STEP or a list of levels", kind)
	}
	if strings.Contains(list, "=") {
		return kindLevels{}, errors.New("each kind of noise has a --noise of its own: give the flag again for the other kind")
	}
	texts := strings.Split(list, ",")
	if strings.Contains(list, ":") {
		var err error
		if texts, err = cli.Stepped(list, maxValues); err != nil {
			return kindLevels{}, err
		}
	}
	k := kindLevels{Kind: kind}
	for _, t := range texts {
		t = strings.TrimSpace(t)
		if _, err := noise.Parse(kind + "=" + t); err != nil {
			return k, fmt.Errorf("level %s: %w", t, err)
		}
		level, err := strconv.ParseFloat(t, 64)
		if err != nil {
			return k, fmt.Errorf("level %q is not a number", t)
		}
		if level != 0 && slices.Contains(k.Levels, level) {
			return k, fmt.Errorf("the level %s occurs twice", chart.Number(level))
		}
		if level != 0 {
			k.Levels = append(k.Levels, level)
		}
	}
	if len(k.Levels) == 0 {
		return k, errors.New("the only level is 0, which is no noise: give another level, or leave out the flag")
	}
	slices.Sort(k.Levels)
	return k, nil
}

// parseSpikes parses the value of --spikes: a list of numbers, or log=FROM:TO. It returns them in
// ascending order, and nil for "".
func parseSpikes(text string) ([]int, error) {
	if text == "" {
		return nil, nil
	}
	refused := func(format string, args ...any) error {
		return fmt.Errorf("--spikes %s: %w", text, fmt.Errorf(format, args...))
	}
	parse := func(s string) (int, error) {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < 1 || n > sbs.MaxSpikes {
			return 0, refused("want whole numbers from 1 to %d, such as 25,100,400, or log=1:1600", sbs.MaxSpikes)
		}
		return n, nil
	}
	if grid, ok := strings.CutPrefix(text, "log="); ok {
		low, high, ok := strings.Cut(grid, ":")
		if !ok {
			return nil, refused("want log=FROM:TO, such as log=1:1600")
		}
		from, err := parse(low)
		if err != nil {
			return nil, err
		}
		to, err := parse(high)
		if err != nil {
			return nil, err
		}
		if from > to {
			return nil, refused("want log=FROM:TO with a TO of at least FROM")
		}
		return logarithmic(from, to), nil
	}
	var list []int
	for part := range strings.SplitSeq(text, ",") {
		n, err := parse(part)
		if err != nil {
			return nil, err
		}
		if slices.Contains(list, n) {
			return nil, refused("%d occurs twice", n)
		}
		list = append(list, n)
	}
	if len(list) > maxValues {
		return nil, refused("there are more than %d numbers", maxValues)
	}
	slices.Sort(list)
	return list, nil
}

// logarithmic returns from and to, and the numbers 1, 2, 3 and 5 times a power of 10 between them.
func logarithmic(from, to int) []int {
	list := []int{from}
	for power := 1; power < to; power *= 10 {
		for _, m := range []int{1, 2, 3, 5} {
			if n := m * power; n > from && n < to {
				list = append(list, n)
			}
		}
	}
	if to > from {
		list = append(list, to)
	}
	return list
}

// parseSamplers parses the value of --sampler, a list of samplers, and returns nil for "".
func parseSamplers(text string) ([]sbs.Sampler, error) {
	if text == "" {
		return nil, nil
	}
	var list []sbs.Sampler
	for part := range strings.SplitSeq(text, ",") {
		s, err := sbs.ParseSampler(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("--sampler %s: want iid, low-discrepancy, or both, separated by a comma", text)
		}
		if slices.Contains(list, s) {
			return nil, fmt.Errorf("--sampler %s: %s occurs twice", text, s)
		}
		list = append(list, s)
	}
	return list, nil
}
