package trials

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/spike-by-spike/sbs/internal/chart"
	"github.com/spike-by-spike/sbs/internal/measure"
	"github.com/spike-by-spike/sbs/internal/training"
)

// Values of row.Status.
const (
	statusOK      = "ok"
	statusWorse   = "worse"   // the training has made a model worse
	statusStopped = "stopped" // the network did not learn any more
)

// row is the result of a trial.
type row struct {
	Trial    int               `json:"trial"` // from 1
	Settings map[string]string `json:"settings"`
	Status   string            `json:"status"`
	Reason   string            `json:"reason,omitempty"` // why it has stopped
	Updates  int               `json:"updates"`
	Training *share            `json:"training"` // of the last epoch, nil if there is none
	HeldBack *share            `json:"held_back"`
	Test     *share            `json:"test"`
	SHA256   string            `json:"model_sha256"` // of the model, "" if there is none
}

// share is how good a network is on images. All but Images and Loss are 0 for a network without classes.
type share struct {
	Images   int      `json:"images"`
	Right    int      `json:"right"`
	Accuracy float64  `json:"accuracy"`
	Low      float64  `json:"accuracy_low"`  // of the 95% interval of Wilson
	High     float64  `json:"accuracy_high"` // of the 95% interval of Wilson
	Loss     *float64 `json:"loss,omitempty"`
}

func newShare(m *training.Measured, reconstruct, loss bool) *share {
	if m == nil {
		return nil
	}
	s := &share{Images: m.Images}
	if !reconstruct {
		low, high := measure.Wilson(m.Right, m.Images)
		s.Right, s.Accuracy = m.Right, measure.Rounded(float64(m.Right)/float64(m.Images), 6)
		s.Low, s.High = measure.Rounded(low, 6), measure.Rounded(high, 6)
	}
	if reconstruct || loss {
		v := m.Loss
		s.Loss = &v
	}
	return s
}

// newRow returns the row of a trial, whose number counts from 1.
func (p *Plan) newRow(number int, o *training.Outcome, sum string) row {
	t := &p.Trials[number-1]
	none := t.Prepared.Reconstruct
	r := row{
		Trial: number, Settings: p.manifest.Trials[number-1].values(p.manifest.Axes), Status: statusOK, Reason: o.Stopped, Updates: o.Updates,
		Training: newShare(o.Training, none, true), HeldBack: newShare(o.HeldBack, none, false), Test: newShare(o.Test, none, false), SHA256: sum,
	}
	switch {
	case o.Stopped != "":
		r.Status = statusStopped
	case o.Worse:
		r.Status = statusWorse
	}
	return r
}

// check returns an error if the row is not one of a trial.
func (r *row) check(m *manifest, number int) error {
	for _, s := range []*share{r.Training, r.HeldBack, r.Test} {
		if s == nil {
			continue
		}
		if err := s.check(m.reconstructs(number)); err != nil {
			return err
		}
	}
	for _, c := range []struct {
		name string
		have *share
		want int // number of images
	}{{"images held back", r.HeldBack, m.Trials[number-1].HeldBack}, {"test images", r.Test, m.Trials[number-1].TestImages}} {
		have := 0
		if c.have != nil {
			have = c.have.Images
		}
		if have != c.want && (c.have != nil || r.Status != statusStopped) {
			return fmt.Errorf("%d instead of %d %s", have, c.want, c.name)
		}
	}
	known := r.Status == statusOK || r.Status == statusWorse || r.Status == statusStopped
	if !known || (r.Status == statusStopped) != (r.Reason != "") {
		return fmt.Errorf("the status is %q, with the reason %q", r.Status, r.Reason)
	}
	want := m.Trials[number-1].values(m.Axes)
	if r.Trial != number || len(r.Settings) != len(want) {
		return fmt.Errorf("it is of trial %d", r.Trial)
	}
	for name, v := range want {
		if r.Settings[name] != v {
			return fmt.Errorf("%s is %q instead of %q", name, r.Settings[name], v)
		}
	}
	return nil
}

// check returns an error if the numbers do not belong together.
func (s *share) check(reconstruct bool) error {
	if s.Images < 1 || s.Right < 0 || s.Right > s.Images {
		return fmt.Errorf("%d right of %d images", s.Right, s.Images)
	}
	if reconstruct && s.Loss == nil {
		return errors.New("it has no loss")
	}
	want := newShare(&training.Measured{Images: s.Images, Right: s.Right}, reconstruct, false)
	if s.Right != want.Right || s.Accuracy != want.Accuracy || s.Low != want.Low || s.High != want.High {
		return fmt.Errorf("the accuracy is %v (%v to %v), with %d right of %d images", s.Accuracy, s.Low, s.High, s.Right, s.Images)
	}
	return nil
}

// columns returns the names of the columns of results.csv. None is the name of a flag, which an axis can have.
func (m *manifest) columns() []string {
	list := []string{"trial"}
	for _, a := range m.Axes {
		list = append(list, a.Name)
	}
	list = append(list, "status", "updates")
	for _, name := range []string{"training", "held_back", "test"} {
		list = append(list, name+"_images", name+"_right", name+"_accuracy", name+"_accuracy_low", name+"_accuracy_high", name+"_loss")
	}
	return append(list, "model_sha256", "reason")
}

// fields returns the values of the columns.
func (r *row) fields(m *manifest) []string {
	list := []string{strconv.Itoa(r.Trial)}
	for _, a := range m.Axes {
		list = append(list, r.Settings[a.Name])
	}
	list = append(list, r.Status, strconv.Itoa(r.Updates))
	for _, s := range []*share{r.Training, r.HeldBack, r.Test} {
		var values []string
		switch {
		case s == nil:
			values = make([]string, 5)
		case m.reconstructs(r.Trial):
			values = []string{strconv.Itoa(s.Images), "", "", "", ""}
		default:
			values = []string{strconv.Itoa(s.Images), strconv.Itoa(s.Right), chart.Number(s.Accuracy), chart.Number(s.Low), chart.Number(s.High)}
		}
		list = append(append(list, values...), lossText(s))
	}
	return append(list, r.SHA256, r.Reason)
}

// lossText returns the loss, "" if it is not known.
func lossText(s *share) string {
	if s == nil || s.Loss == nil {
		return ""
	}
	return strconv.FormatFloat(*s.Loss, 'g', -1, 64)
}

// csvText returns a CSV file.
func csvText(lines [][]string) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.WriteAll(lines) // a buffer takes everything
	return b.Bytes()
}

// jsonText returns a file with a row per line.
func jsonText(rows []row) ([]byte, error) {
	var b bytes.Buffer
	for i := range rows {
		line, err := json.Marshal(&rows[i])
		if err != nil {
			return nil, err
		}
		b.Write(append(line, '\n'))
	}
	return b.Bytes(), nil
}
