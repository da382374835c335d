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

	// fits returns why a level is not possible for images of a size, of which the model
	// crops a number of pixels on each side, or "" if it is possible. It is nil for kinds
	// whose levels are possible for all images.
	fits func(level float64, height, width, crop int) string

	// stream distinguishes the random numbers of the kinds. Every kind has another
	// number, which never changes: results depend on it.
	stream uint64

	// apply adds noise of a level other than 0 to an image.
	apply func(p picture, level float64)
}

// mostPixels is above the side of all images that sbs-run reads.
const mostPixels = 1<<16 - 1

// kinds has all kinds of noise. The formulas are in the documentation of the package.
var kinds = []Kind{
	{Name: "gaussian", Level: "standard deviation", Most: 100, stream: 0, apply: gaussian},
	{Name: "salt-and-pepper", Level: "share of pixels that become black or white", Most: 1, stream: 1, apply: saltAndPepper},
	{Name: "uniform", Level: "share of uniform noise", Most: 1, stream: 2, apply: uniform},
	{Name: "shot", Level: "standard deviation of a white pixel", Most: 10, stream: 5, apply: shot},
	{Name: "contrast", Level: "share of contrast that is lost", Most: 1, stream: 3, apply: contrast},
	{Name: "brightness", Level: "change of all values", Least: -1, Most: 1, stream: 6, apply: brightness},
	{Name: "blur", Level: "standard deviation in pixels", Most: 100, stream: 7, apply: blur},
	{Name: "occlusion", Level: "side of a black square in pixels", Most: mostPixels, Whole: true, fits: squareFits, stream: 4, apply: occlusion},
	{Name: "rotation", Level: "angle in degrees", Most: 180, stream: 8, apply: rotation},
	{Name: "translation", Level: "distance in pixels", Most: mostPixels, fits: translationFits, stream: 9, apply: translation},
	{Name: "crop-shift", Level: "distance in pixels by which the crop of the model moves", Most: mostPixels, Whole: true, fits: cropShiftFits, stream: 10, apply: cropShift},
}

func squareFits(level float64, height, width, _ int) string {
	side := int(level)
	if side <= min(height, width) {
		return ""
	}
	return fmt.Sprintf("the square of %dx%d pixels is larger than the images of %dx%d (height x width)", side, side, height, width)
}

func translationFits(level float64, height, width, _ int) string {
	most := min(height, width)
	if level <= float64(most) {
		return ""
	}
	return fmt.Sprintf("images of %dx%d (height x width) can move by at most %d pixels", height, width, most)
}

func cropShiftFits(level float64, _, _, crop int) string {
	switch {
	case int(level) <= crop:
		return ""
	case crop == 0:
		return "the model does not crop its images: use translation, which moves the whole image"
	}
	return fmt.Sprintf("the crop can move by at most %d pixels, because the model crops that many on each side", crop)
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
