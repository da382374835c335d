package noise

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Kind is a kind of noise.
type Kind struct {
	// Name is the name of the kind in Parse, such as "contrast".
	Name string

	// Level says what the level is, in the words of a help text: "standard deviation".
	Level string

	// Least and Most are the bounds of the level, both inclusive.
	Least, Most float64

	// Whole reports whether the level is a whole number.
	Whole bool

	// pixels reports whether the level is a number of pixels. It must not be more than
	// the height or the width of the image.
	pixels bool

	// stream distinguishes the random numbers of the kinds. Every kind has another
	// number, which never changes: results depend on it.
	stream uint64

	// apply adds noise of a level other than 0 to an image.
	apply func(p picture, level float64)
}

// kinds has all kinds of noise. The formulas are in the documentation of the package.
var kinds = []Kind{
	{Name: "gaussian", Level: "standard deviation", Most: 100, stream: 0, apply: gaussian},
	{Name: "salt-and-pepper", Level: "share of pixels that become black or white", Most: 1, stream: 1, apply: saltAndPepper},
	{Name: "uniform", Level: "share of uniform noise", Most: 1, stream: 2, apply: uniform},
	{Name: "contrast", Level: "share of contrast that is lost", Most: 1, stream: 3, apply: contrast},
	{Name: "occlusion", Level: "side of a black square in pixels", Most: 1<<16 - 1, Whole: true, pixels: true, stream: 4, apply: occlusion},
}

// Kinds returns all kinds of noise.
func Kinds() []Kind { return slices.Clone(kinds) }

// find returns the kind with a name, nil if there is none.
func find(name string) *Kind {
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return nil
	}
	return &kinds[i]
}

// list returns the names of all kinds for an error: "a, b and c".
func list() string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.Name
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// accepts reports whether the kind takes a level.
func (k *Kind) accepts(level float64) bool {
	return level >= k.Least && level <= k.Most && !(k.Whole && level != math.Trunc(level)) // false for NaN
}

// wants says which levels the kind takes: "contrast takes a level from 0 to 1".
func (k *Kind) wants() string {
	if k.Whole {
		return fmt.Sprintf("%s takes %s", k.Name, k.Range())
	}
	return fmt.Sprintf("%s takes a level %s", k.Name, k.Range())
}

// Range returns the bounds of the level: "from 0 to 1" or "a whole number from 0 to 9".
func (k *Kind) Range() string {
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	r := "from " + number(k.Least) + " to " + number(k.Most)
	if k.Whole {
		return "a whole number " + r
	}
	return r
}
