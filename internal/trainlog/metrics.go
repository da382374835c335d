// Package trainlog keeps and shows how a training goes: a file of its metrics, a
// picture of their curves, and a line on the terminal.
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

// Record is what there is to say about one update. Errors and accuracies are in
// percent.
type Record struct {
	// Update is the number of the update, from 1, and Epoch that of the epoch it
	// belongs to, from 0.
	Update int64 `json:"update"`
	Epoch  int64 `json:"epoch"`

	// Images is the number of images since the training began, and Seconds the
	// time it took, without interruptions.
	Images  int64   `json:"images"`
	Seconds float64 `json:"seconds"`

	// Loss and TrainError are those of the update's own images, before it.
	Loss       float64 `json:"loss"`
	TrainError float64 `json:"train_error"`

	// TestError is that of the test set, nil when the update was not tested.
	TestError *float64 `json:"test_error,omitempty"`

	// The learning rates of the update; nil where nothing of the kind is trained.
	LearningRateW         *float64 `json:"learning_rate_w,omitempty"`
	LearningRateEpsilonXY *float64 `json:"learning_rate_epsilon_xy,omitempty"`
}

// maxValue bounds all numbers: curves need some room above.
const maxValue = 1e300

// check returns an error about a number that JSON does not have, or curves.
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
			return fmt.Errorf("the %s of update %d is %v: the training diverged, a smaller learning rate may help", n.name, r.Update, *n.value)
		}
	}
	return nil
}

// maxMetrics bounds the bytes of a file of metrics: about five million records.
const maxMetrics = 1 << 30

// maxUpdate bounds the number of an update: curves count in float64, which has no
// whole numbers side by side from 1<<53 on.
const maxUpdate = 1 << 50

// Metrics is a file of records, one line of JSON each, in the order of the
// updates. It is not safe for concurrent use.
type Metrics struct {
	file    *os.File
	length  int64 // of the records' lines
	records []Record
}

// OpenMetrics opens the file, and creates it if there is none. Training goes on
// after update last: records of later updates, which it went through before it was
// interrupted, are cut off, and so is a line that the interruption left
// unfinished. A last below 0 is for a training that is new: nothing may be in the
// file, and that of another training is not removed.
func OpenMetrics(path string, last int64) (*Metrics, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("trainlog: %w", err)
	}
	m := &Metrics{file: file}
	if err := m.resume(last); err != nil {
		return nil, errors.Join(fmt.Errorf("trainlog: %s: %w", path, err), file.Close())
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
		return fmt.Errorf("the file has the metrics of %d updates of another training: remove it, or train in another folder", len(records))
	}
	records, length, err := parseMetrics(content, last)
	if err != nil {
		return err
	}
	m.records, m.length = records, length
	return m.cut()
}

// cut cuts off what follows the records.
func (m *Metrics) cut() error {
	if err := m.file.Truncate(m.length); err != nil {
		return err
	}
	_, err := m.file.Seek(m.length, io.SeekStart)
	return err
}

// Append writes a record, whose update follows those before, at the end of the
// file. Numbers that are not finite are an error.
func (m *Metrics) Append(r Record) error {
	if err := r.check(); err != nil {
		return fmt.Errorf("trainlog: %w", err)
	}
	if n := len(m.records); r.Update < 1 || n > 0 && r.Update <= m.records[n-1].Update {
		return fmt.Errorf("trainlog: update %d does not follow those in %s", r.Update, m.file.Name())
	}
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("trainlog: %w", err)
	}
	line = append(line, '\n')
	// In one write, so that an interruption leaves at most one line unfinished.
	if _, err := m.file.Write(line); err != nil {
		return errors.Join(fmt.Errorf("trainlog: %w", err), m.cut())
	}
	m.records, m.length = append(m.records, r), m.length+int64(len(line))
	return nil
}

// Records returns all records, those from before an interruption too. They are
// not to be changed.
func (m *Metrics) Records() []Record { return m.records }

// Sync makes the records reach the disk, as a checkpoint does that relies on them.
func (m *Metrics) Sync() error {
	if err := m.file.Sync(); err != nil {
		return fmt.Errorf("trainlog: %w", err)
	}
	return nil
}

// Close closes the file.
func (m *Metrics) Close() error {
	if err := m.file.Close(); err != nil {
		return fmt.Errorf("trainlog: %w", err)
	}
	return nil
}

// ReadMetrics reads a file of metrics, also one that a training is writing.
func ReadMetrics(path string) ([]Record, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("trainlog: %w", err)
	}
	defer func() { _ = file.Close() }() // only read: nothing can be lost
	content, err := readMetrics(file)
	if err == nil {
		var records []Record
		if records, _, err = parseMetrics(content, math.MaxInt64); err == nil {
			return records, nil
		}
	}
	return nil, fmt.Errorf("trainlog: %s: %w", path, err)
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
		return nil, fmt.Errorf("the file has %d bytes, more than %d", info.Size(), maxMetrics)
	}
	return io.ReadAll(io.LimitReader(file, maxMetrics)) // it may grow meanwhile
}

// parseMetrics returns the records up to update last, and the bytes that they
// take. A last line without its end is no record.
func parseMetrics(content []byte, last int64) (records []Record, length int64, err error) {
	for number := 1; ; number++ {
		line, rest, found := bytes.Cut(content, []byte("\n"))
		if !found {
			return records, length, nil
		}
		var r Record
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, 0, fmt.Errorf("line %d is no record of an update: %w", number, err)
		}
		if n := len(records); r.Update < 1 || n > 0 && r.Update <= records[n-1].Update {
			return nil, 0, fmt.Errorf("line %d has update %d, which does not follow those before", number, r.Update)
		}
		if r.Update > maxUpdate {
			return nil, 0, fmt.Errorf("line %d has update %d, more than %d", number, r.Update, int64(maxUpdate))
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
