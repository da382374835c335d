package sweep

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/spike-by-spike/sbs/internal/chart"
	"github.com/spike-by-spike/sbs/internal/measure"
)

// id names a combination of the axes with a seed.
type id struct {
	Model   string  `json:"model"`
	SHA256  string  `json:"sha256"` // of the model: of its file, if that has all of it
	Noise   string  `json:"noise"`  // kind, or noNoise
	Level   float64 `json:"level"`  // 0 for noNoise
	Spikes  spikes  `json:"spikes"`
	Sampler string  `json:"sampler"` // "" for a model without SbS layers or with stages
	Seed    uint64  `json:"seed"`
}

// noNoise is the kind of noise of images as they are.
const noNoise = "none"

// spikes is the number of spikes of all SbS layers, or the list of those of each, as the flag
// --spikes of sbs-run takes it. It is stages for a model with stages, and "" for a model
// without SbS layers.
type spikes string

// stages takes the place of the spikes of a model with stages.
const stages spikes = "stages"

// number returns the number of spikes, if it is the same for all SbS layers.
func (s spikes) number() (int, bool) {
	n, err := strconv.Atoi(string(s))
	return n, err == nil
}

// MarshalJSON writes a single number as a number.
func (s spikes) MarshalJSON() ([]byte, error) {
	if n, ok := s.number(); ok {
		return json.Marshal(n)
	}
	return json.Marshal(string(s))
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *spikes) UnmarshalJSON(data []byte) error {
	var n int
	if json.Unmarshal(data, &n) == nil {
		*s = spikes(strconv.Itoa(n))
		return nil
	}
	return json.Unmarshal(data, (*string)(s))
}

// row is the result of a combination with a seed.
type row struct {
	id
	Images   int     `json:"images"`
	Right    int     `json:"right"`         // images with the right class
	Accuracy float64 `json:"accuracy"`      // share of the images
	Low      float64 `json:"accuracy_low"`  // of the 95% interval of Wilson
	High     float64 `json:"accuracy_high"` // of the 95% interval of Wilson
	Updates  float64 `json:"updates_per_image"`
}

// newRow returns a row. Its shares are rounded to 6 decimals, and the updates to 2.
func newRow(i id, images, right int, updates float64) row {
	low, high := measure.Wilson(right, images)
	return row{
		id: i, Images: images, Right: right,
		Accuracy: measure.Rounded(float64(right)/float64(images), 6), Low: measure.Rounded(low, 6), High: measure.Rounded(high, 6),
		Updates: measure.Rounded(updates, 2),
	}
}

// check returns an error if the row is not one that a sweep writes.
func (r row) check() error {
	if r.Images < 1 || r.Right < 0 || r.Right > r.Images || !(r.Updates >= 0 && r.Updates < 1e18) {
		return fmt.Errorf("%d right of %d images with %v updates", r.Right, r.Images, r.Updates)
	}
	if want := newRow(r.id, r.Images, r.Right, r.Updates); want != r {
		return fmt.Errorf("the accuracy of %d right of %d images is %v", r.Right, r.Images, want.Accuracy)
	}
	return nil
}

// columns are the names of the columns of results.csv, and idColumns those of its first ones,
// which timing.csv has too.
var (
	idColumns = []string{"model", "sha256", "noise", "level", "spikes", "sampler", "seed"}
	columns   = append(idColumns[:len(idColumns):len(idColumns)], "images", "right", "accuracy", "accuracy_low", "accuracy_high", "updates_per_image")
	timed     = append(idColumns[:len(idColumns):len(idColumns)], "seconds", "images_per_second")
)

// fields returns the values of the columns idColumns.
func (i id) fields() []string {
	return []string{i.Model, i.SHA256, i.Noise, chart.Number(i.Level), string(i.Spikes), i.Sampler, strconv.FormatUint(i.Seed, 10)}
}

// fields returns the values of the columns.
func (r row) fields() []string {
	return append(r.id.fields(), strconv.Itoa(r.Images), strconv.Itoa(r.Right), chart.Number(r.Accuracy), chart.Number(r.Low), chart.Number(r.High), chart.Number(r.Updates))
}

// csvLine returns a line of a CSV file.
func csvLine(fields []string) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write(fields) // a buffer takes everything
	w.Flush()
	return b.Bytes()
}

// jsonLine returns the line of results.jsonl.
func (r row) jsonLine() ([]byte, error) {
	line, err := json.Marshal(r)
	return append(line, '\n'), err
}
