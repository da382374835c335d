// Package trainlog records and displays the progress of a training: it writes a file
// of metrics, draws their curves, and shows a progress line on the terminal.
package trainlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
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
	// update, with the parameters before the update.
	Loss       float64 `json:"loss"`
	TrainError float64 `json:"train_error"`

	// TestError is the error on the test set in percent, nil if there was no test
	// after this update.
	TestError *float64 `json:"test_error,omitempty"`

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
		{"time", &r.Seconds}, {"loss", &r.Loss}, {"training error", &r.TrainError}, {"test error", r.TestError},
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
}

// OpenMetrics opens the file at path, or creates it if it does not exist, for a
// training that resumes after update last. It removes the records of later updates and
// an incomplete last line, which remain if a training is interrupted. A negative last
// stands for a new training: OpenMetrics returns an error if the file holds records of
// another training.
func OpenMetrics(path string, last int64) (*Metrics, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	m := &Metrics{file: file}
	if err := m.resume(last); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
	}
	return m, nil
}

func (m *Metrics) resume(last int64) error {
	content, err := readMetrics(m.file)
	if err != nil {
		return err
	}
	records, _, err := parseMetrics(content, math.MaxInt64)
	if err != nil {
		return err
	}
	if last < 0 && len(records) > 0 {
		return fmt.Errorf("the file holds the metrics of %d updates of another training: remove the file, or choose another output", len(records))
	}
	records, length, err := parseMetrics(content, last)
	if err != nil {
		return err
	}
	m.records, m.length = records, length
	return m.cut()
}

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
// training writes to the file: an incomplete last line is ignored.
func ReadMetrics(path string) ([]Record, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // nothing was written that could be lost
	content, err := readMetrics(file)
	if err == nil {
		var records []Record
		if records, _, err = parseMetrics(content, math.MaxInt64); err == nil {
			return records, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", path, err)
}

func readMetrics(file *os.File) ([]byte, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	if info.Size() > maxMetrics {
		return nil, fmt.Errorf("the file has %d bytes, more than the limit of %d", info.Size(), maxMetrics)
	}
	return io.ReadAll(io.LimitReader(file, maxMetrics)) // the file may grow meanwhile
}

// repair is the advice for a damaged file of metrics. The checkpoint of the training
// does not need the records.
const repair = "to resume the training, delete this line and all lines after it; only the metrics of their updates are lost"

// parseMetrics returns the records up to update last, and the length of their lines
// in bytes. It ignores a last line without a line break.
func parseMetrics(content []byte, last int64) (records []Record, length int64, err error) {
	for number := 1; ; number++ {
		line, rest, found := bytes.Cut(content, []byte("\n"))
		if !found {
			return records, length, nil
		}
		var r Record
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, 0, fmt.Errorf("line %d is damaged: %s", number, repair)
		}
		if n := len(records); r.Update < 1 || n > 0 && r.Update <= records[n-1].Update {
			return nil, 0, fmt.Errorf("line %d has update %d, which is not later than the update before: %s", number, r.Update, repair)
		}
		if r.Update > maxUpdate {
			return nil, 0, fmt.Errorf("line %d has update %d, more than the limit of %d: %s", number, r.Update, int64(maxUpdate), repair)
		}
		if err := r.check(); err != nil {
			return nil, 0, fmt.Errorf("line %d: %w", number, err)
		}
		if r.Update > last {
			return records, length, nil
		}
		records = append(records, r)
		length += int64(len(line)) + 1
		content = rest
	}
}
