// Package trainlog records and displays the progress of a training: it writes a file
// of metrics, draws their curves, and shows a progress line on the terminal.
package trainlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"

	"github.com/spike-by-spike/sbs/internal/atomicfile"
)

// Record holds the metrics of one update.
type Record struct {
	// Update is the number of the update, from 1, and Epoch the number of its epoch,
	// from 0.
	Update int64 `json:"update"`
	Epoch  int64 `json:"epoch"`

	// Images is the number of images since the beginning of the training, and
	// Seconds its duration without interruptions.
	Images  int64   `json:"images"`
	Seconds float64 `json:"seconds"`

	// Loss and TrainError (in percent) are computed from the training images of this
	// update, with the parameters before the update. TrainError is nil for a network without
	// classes.
	Loss       float64  `json:"loss"`
	TrainError *float64 `json:"train_error,omitempty"`

	// TestError is the error on the test set in percent, nil if there was no test
	// after this update. A network without classes has a TestLoss instead, the mean loss per
	// image.
	TestError *float64 `json:"test_error,omitempty"`
	TestLoss  *float64 `json:"test_loss,omitempty"`

	// LearningRateW and LearningRateEpsilonXY are the learning rates of the update,
	// nil if no parameter of the kind is trained.
	LearningRateW         *float64 `json:"learning_rate_w,omitempty"`
	LearningRateEpsilonXY *float64 `json:"learning_rate_epsilon_xy,omitempty"`
}

// maxValue bounds all numbers: the axes of the curves extend beyond the largest one.
const maxValue = 1e300

// check returns an error if a number is NaN, infinite or too large for curves.
func (r Record) check() error {
	numbers := []struct {
		name  string
		value *float64
	}{
		{"time", &r.Seconds}, {"loss", &r.Loss}, {"training error", r.TrainError}, {"test error", r.TestError}, {"test loss", r.TestLoss},
		{"learning rate of W", r.LearningRateW}, {"learning rate of epsilon_xy", r.LearningRateEpsilonXY},
	}
	for _, n := range numbers {
		if n.value != nil && !(math.Abs(*n.value) <= maxValue) {
			return fmt.Errorf("the %s of update %d is %v: the training diverged; try a smaller learning rate", n.name, r.Update, *n.value)
		}
	}
	return nil
}

// maxMetrics bounds the size of a file of metrics in bytes. It is enough for about
// five million records.
const maxMetrics = 1 << 30

// maxUpdate bounds the number of an update: curves use float64, which does not
// represent all integers from 1<<53.
const maxUpdate = 1 << 50

// Metrics is a file of records. Each line of the file is a JSON object with one
// record. The records are in ascending order of the updates. Metrics is not safe for
// concurrent use.
type Metrics struct {
	file    *os.File
	length  int64 // of the lines of records, in bytes
	records []Record
	repairs string
}

// OpenMetrics opens the file at path, or creates it if it does not exist, for a
// training that resumes after update last. It removes the records of later updates and
// an incomplete last line, which remain if a training is interrupted, and lines that are
// damaged: see Repairs. A negative last stands for a new training: OpenMetrics returns an
// error if the file holds records of another training.
func OpenMetrics(path string, last int64) (*Metrics, error) {
	m := &Metrics{}
	if err := m.open(path, last); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

func (m *Metrics) open(path string, last int64) error {
	content, err := readMetrics(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, errTooLarge) && last >= 0:
		old := path + ".old"
		if err := atomicfile.Rename(path, old); err != nil {
			return err
		}
		m.repairs = fmt.Sprintf("%v: it was renamed to %s, and its metrics are missing in the curves", err, old)
	case err != nil:
		return err
	}
	all, kept := parseMetrics(content, math.MaxInt64), parseMetrics(content, last)
	if last < 0 && len(all.records) > 0 {
		return fmt.Errorf("the file holds the metrics of %d updates of another training: remove the file, or choose another output", len(all.records))
	}
	if repairs := all.repairs(); repairs != "" {
		m.repairs = repairs
	}
	if !bytes.HasPrefix(content, kept.content) {
		if err := atomicfile.Write(path, kept.content); err != nil {
			return err
		}
	}
	m.records, m.length = kept.records, int64(len(kept.content))
	if m.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return err
	}
	if err := m.cut(); err != nil {
		return errors.Join(err, m.file.Close())
	}
	return nil
}

// Repairs says which damaged lines OpenMetrics has removed. It is empty if there were none.
func (m *Metrics) Repairs() string { return m.repairs }

// cut removes everything after the records from the file.
func (m *Metrics) cut() error {
	if err := m.file.Truncate(m.length); err != nil {
		return err
	}
	_, err := m.file.Seek(m.length, io.SeekStart)
	return err
}

// Append writes a record at the end of the file. The number of its update must be
// larger than the numbers of all earlier updates. Append returns an error if a number
// of the record is NaN or infinite.
func (m *Metrics) Append(r Record) error {
	if err := r.check(); err != nil {
		return err
	}
	if n := len(m.records); r.Update < 1 || n > 0 && r.Update <= m.records[n-1].Update {
		return fmt.Errorf("%s: update %d is not later than the last update in the file", m.file.Name(), r.Update)
	}
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	// A single write, so that an interruption leaves at most one incomplete line.
	if _, err := m.file.Write(line); err != nil {
		return errors.Join(err, m.cut())
	}
	m.records, m.length = append(m.records, r), m.length+int64(len(line))
	return nil
}

// Records returns all records of the file, including those from before an
// interruption. The caller must not modify them.
func (m *Metrics) Records() []Record { return m.records }

// Sync flushes the records to the disk. Call it before saving a checkpoint, which
// relies on them.
func (m *Metrics) Sync() error { return m.file.Sync() }

// Close closes the file.
func (m *Metrics) Close() error { return m.file.Close() }

// ReadMetrics returns the records of a file of metrics. It may be called while a
// training writes to the file: an incomplete last line is ignored, as damaged lines are.
func ReadMetrics(path string) ([]Record, error) {
	content, err := readMetrics(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return parseMetrics(content, math.MaxInt64).records, nil
}

// errTooLarge is wrapped by the error about a file that is larger than maxMetrics.
var errTooLarge = errors.New("the file is too large")

// readMetrics returns the content of a file of metrics.
func readMetrics(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // only read: nothing can be lost
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	if info.Size() > maxMetrics {
		return nil, fmt.Errorf("%w: %d bytes, more than the limit of %d", errTooLarge, info.Size(), maxMetrics)
	}
	return io.ReadAll(io.LimitReader(file, maxMetrics)) // the file may grow meanwhile
}

// parsed is the content of a file of metrics.
type parsed struct {
	records    []Record
	content    []byte // the lines of the records
	damaged    []int  // the numbers of the other lines
	incomplete bool   // the last line has no line break
}

// parseMetrics returns the records up to update last. A line is damaged if it is not a
// record, or if its update is not later than the update of the record before it.
func parseMetrics(content []byte, last int64) parsed {
	var p parsed
	for number := 1; len(content) > 0; number++ {
		line, rest, found := bytes.Cut(content, []byte("\n"))
		if !found {
			p.incomplete = true
			break
		}
		var r Record
		err := json.Unmarshal(line, &r)
		if n := len(p.records); err != nil || r.check() != nil || r.Update < 1 || r.Update > maxUpdate || n > 0 && r.Update <= p.records[n-1].Update {
			p.damaged = append(p.damaged, number)
		} else if r.Update <= last {
			p.records = append(p.records, r)
			p.content = append(append(p.content, line...), '\n')
		}
		content = rest
	}
	return p
}

// repairs says which lines were removed.
func (p *parsed) repairs() string {
	const most = 5
	var what []string
	switch n := len(p.damaged); {
	case n == 1:
		what = append(what, fmt.Sprintf("damaged line %d", p.damaged[0]))
	case n > 1:
		var list []string
		for _, number := range p.damaged[:min(n, most)] {
			list = append(list, fmt.Sprint(number))
		}
		if n > most {
			list = append(list, "...")
		}
		what = append(what, fmt.Sprintf("%d damaged lines (%s)", n, strings.Join(list, ", ")))
	}
	if p.incomplete {
		what = append(what, "the incomplete last line")
	}
	if what == nil {
		return ""
	}
	return "removed " + strings.Join(what, " and ") + ": only the metrics of these updates are lost"
}
