package noise

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spike-by-spike/sbs/internal/kernel"
)

// Mix is noise for training. Each time that an image is presented, a Mix draws whether the image
// has noise, the kind of the noise, and its level. The zero value draws no noise. A Mix never
// changes, so that it is safe for concurrent use.
type Mix struct {
	ranges []levels // in the order of Kinds
	share  float64  // probability that an image has noise
}

// levels is one kind of noise with the range of its levels, both bounds inclusive.
type levels struct {
	kind     *Kind
	from, to float64
}

// ParseMix returns the noise that texts describe. Each text is KIND=FROM:TO, such as
// gaussian=0:0.6, or KIND=LEVEL for a level that is always the same. Each kind may occur once.
// Their order has no meaning. share is the probability that an image has noise, above 0, at
// most 1. Without texts, the result draws no noise. An error names the text, the kind and the
// levels that it takes.
func ParseMix(texts []string, share float64) (Mix, error) {
	if len(texts) == 0 {
		return Mix{}, nil
	}
	if !(share > 0 && share <= 1) {
		return Mix{}, fmt.Errorf("the share of images with noise is %v, want a number above 0, at most 1", share)
	}
	m := Mix{share: share}
	for _, text := range texts {
		l, err := parseLevels(text)
		if err != nil {
			return Mix{}, fmt.Errorf("noise %s: %w", text, err)
		}
		if slices.ContainsFunc(m.ranges, func(o levels) bool { return o.kind == l.kind }) {
			return Mix{}, fmt.Errorf("noise %s: %s is given twice: give one range of levels", text, l.kind.Name)
		}
		m.ranges = append(m.ranges, l)
	}
	slices.SortFunc(m.ranges, func(a, b levels) int {
		place := func(l levels) int {
			return slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == l.kind.Name })
		}
		return place(a) - place(b)
	})
	return m, nil
}

func parseLevels(text string) (levels, error) {
	name, bounds, separated := strings.Cut(text, "=")
	switch {
	case strings.Contains(bounds, "="):
		return levels{}, errors.New("give every kind of noise separately: an image gets one of them")
	case strings.Contains(bounds, ","):
		return levels{}, fmt.Errorf("want %s=FROM:TO, the bounds between which the levels are drawn, and no list of levels", name)
	case strings.Count(bounds, ":") > 1:
		return levels{}, fmt.Errorf("want %s=FROM:TO without a step: all levels between the bounds are drawn", name)
	}
	if !separated {
		_, err := parseStep(text) // says what is missing
		return levels{}, err
	}
	low, high, ranged := strings.Cut(bounds, ":")
	if !ranged {
		high = low
	}
	from, err := parseStep(name + "=" + low)
	if err != nil {
		return levels{}, err
	}
	to, err := parseStep(name + "=" + high)
	if err != nil {
		return levels{}, err
	}
	switch {
	case from.level > to.level:
		return levels{}, fmt.Errorf("FROM is above TO: write %s=%s:%s", from.kind.Name, number(to.level), number(from.level))
	case from.level == 0 && to.level == 0:
		return levels{}, errors.New("level 0 is no noise: give another level, or leave it out")
	}
	return levels{from.kind, from.level, to.level}, nil
}

// String lists the kinds with their levels, such as "gaussian=0:0.6 blur=0:2". It returns "" for
// the zero value.
func (m Mix) String() string {
	var parts []string
	for _, l := range m.ranges {
		text := l.kind.Name + "=" + number(l.from)
		if l.from < l.to {
			text += ":" + number(l.to)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, " ")
}

// Share returns the probability that an image has noise, 0 for the zero value.
func (m Mix) Share() float64 { return m.share }

// Empty reports whether no image has noise.
func (m Mix) Empty() bool { return len(m.ranges) == 0 }

// Fits returns an error if images of a size cannot have noise of all kinds and levels. See
// Noise.Fits.
func (m Mix) Fits(height, width, crop int) error {
	for _, l := range m.ranges {
		n := Noise{[]step{{l.kind, l.to}}} // what fits for a level fits for all that are smaller
		if err := n.Fits(height, width, crop); err != nil {
			return err
		}
	}
	return nil
}

// Apply adds noise to an image in place, as Noise.Apply does. The draws and the noise depend on
// the seed, the number of the presentation, such as the epoch, and the number of the image.
// Equal arguments give equal bits.
func (m Mix) Apply(pixels []float32, channels, height, width int, seed, presentation, image uint64) {
	n, own := m.draw(seed, presentation, image)
	n.Apply(pixels, channels, height, width, own, image)
}

// mixLayer takes the place of the seed of a layer in the keys of the draws, as layer does in those
// of the noise. The value is "noises" in ASCII.
const mixLayer = 0x6e6f69736573

// draw returns the noise of an image, and the seed of its random numbers, which differs between
// presentations.
func (m Mix) draw(seed, presentation, image uint64) (n Noise, own uint64) {
	if m.Empty() {
		return Noise{}, 0
	}
	own = kernel.Key(seed, mixLayer, image, presentation)
	draws := numbers{own}
	if draws.uniform(0) >= m.share {
		return Noise{}, own
	}
	l := m.ranges[draws.below(1, len(m.ranges))]
	level := l.from + float64((l.to-l.from)*draws.uniform(2))
	if l.kind.Whole {
		level = l.from + float64(draws.below(2, int(l.to-l.from)+1))
	}
	return Noise{[]step{{l.kind, level}}}, own
}

// number returns the shortest text of a level.
func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
