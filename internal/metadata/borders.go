package metadata

import (
	"encoding/json"
	"fmt"
)

// Border is the key of the brightness of the borders of the training images: Borders as JSON.
const Border = "ai.sbs.border"

// Borders describes how bright the borders of the images are that a network was trained with.
// It shows whether the network learned light on dark or dark on light. Lower, Median and Upper
// are about the lower quartile, the median and the upper quartile of the border pixels of one
// image, from 0 to 1: each holds the smallest, the median and the largest value over all images.
type Borders struct {
	Lower  [3]float32 `json:"lower"`
	Median [3]float32 `json:"median"`
	Upper  [3]float32 `json:"upper"`
}

// ParseBorders decodes and checks the value of the key Border.
func ParseBorders(text string) (*Borders, error) {
	var raw struct{ Lower, Median, Upper []float32 } // to tell missing values from 0
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return nil, fmt.Errorf("metadata %s is not a description of borders in JSON: %w", Border, err)
	}
	if len(raw.Lower) != 3 || len(raw.Median) != 3 || len(raw.Upper) != 3 {
		return nil, fmt.Errorf("metadata %s has %d, %d and %d values, want 3 each", Border, len(raw.Lower), len(raw.Median), len(raw.Upper))
	}
	b := &Borders{[3]float32(raw.Lower), [3]float32(raw.Median), [3]float32(raw.Upper)}
	if err := b.Check(); err != nil {
		return nil, fmt.Errorf("metadata %s: %w", Border, err)
	}
	return b, nil
}

// Check returns an error if a value is out of range, or if the values contradict each other.
func (b *Borders) Check() error {
	for k := range 3 {
		if !(b.Lower[k] >= 0 && b.Lower[k] <= b.Median[k] && b.Median[k] <= b.Upper[k] && b.Upper[k] <= 1) { // true for NaN
			return fmt.Errorf("the quartiles are %v, %v and %v, want 0 to 1 in ascending order", b.Lower[k], b.Median[k], b.Upper[k])
		}
	}
	for _, v := range [][3]float32{b.Lower, b.Median, b.Upper} {
		if v[0] > v[1] || v[1] > v[2] {
			return fmt.Errorf("the smallest, the median and the largest value of a quartile are %v, want ascending order", v)
		}
	}
	return nil
}

// Inverted returns the description for images in which every value v is 1-v.
func (b *Borders) Inverted() *Borders {
	flip := func(v [3]float32) [3]float32 { return [3]float32{1 - v[2], 1 - v[1], 1 - v[0]} }
	return &Borders{Lower: flip(b.Upper), Median: flip(b.Median), Upper: flip(b.Lower)}
}
