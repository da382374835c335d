// Package tfevents writes event files for TensorBoard: scalars, histograms and texts
// over the steps of a training.
//
// An event file is a sequence of records in the TFRecord format. Each record is a
// protocol buffer message of type Event, which TensorFlow defines in event.proto and
// summary.proto. This package encodes the messages field by field, since it needs
// only a few of the fields and the generated Go types would depend on TensorFlow.
package tfevents

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// flushAfter is the time since the last flush after which a new event flushes the
// buffer.
const flushAfter = 10 * time.Second

// Prefix is the beginning of the name of every event file.
const Prefix = "events.out.tfevents."

// Writer writes one event file. It buffers the events. Flush and Close write them to
// the file, and so does an event that is added ten seconds or more after the last
// flush. After an error in writing, every call returns this error. A Writer is not
// safe for concurrent use.
type Writer struct {
	file    *os.File
	buffer  *bufio.Writer
	now     func() time.Time
	flushed time.Time
	err     error
}

// Create creates a new event file in a folder, and the folder if it does not exist.
// The name of the file is events.out.tfevents.<seconds since 1970>.<host>, with a
// number at the end if there is such a file already.
//
// If a training is resumed, step is the next step, otherwise 0. A step above 0 makes
// TensorBoard ignore events of this and later steps in the older files of the
// folder, which an interruption may have left there.
func Create(folder string, step int64) (*Writer, error) {
	return create(folder, step, time.Now)
}

func create(folder string, step int64, now func() time.Time) (*Writer, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	file, err := newFile(folder, now())
	if err != nil {
		return nil, err
	}
	w := &Writer{file: file, buffer: bufio.NewWriter(file), now: now, flushed: now()}
	err = w.write(0, fileVersion())
	if err == nil && step > 0 {
		err = w.write(step, sessionStart())
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return w, nil
}

// newFile creates a file with an unused name. Two trainings may begin within the same
// second.
func newFile(folder string, now time.Time) (*os.File, error) {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	host = strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' || r == ':' {
			return '_'
		}
		return r
	}, host)
	path := filepath.Join(folder, fmt.Sprintf("%s%010d.%s", Prefix, now.Unix(), host))
	name := path
	for i := 1; ; i++ {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if i > 1000 || !errors.Is(err, fs.ErrExist) {
			return f, err
		}
		name = fmt.Sprintf("%s.%d", path, i)
	}
}

// Scalar adds a value to the curve of a tag, such as "Train Loss". It is stored as
// float32.
func (w *Writer) Scalar(step int64, tag string, value float64) error {
	return w.write(step, summary(tag, scalar(float32(value))))
}

// Histogram adds the distribution of values to a tag, such as "W L0". It returns an
// error if there are no values or one is NaN or infinite. The Writer can still be used
// after this error.
func (w *Writer) Histogram(step int64, tag string, values []float32) error {
	h, err := newHistogram(values)
	if err != nil {
		return fmt.Errorf("histogram %q of step %d: %w", tag, step, err)
	}
	return w.write(step, summary(tag, h.encode()))
}

// Text adds a text to a tag. TensorBoard shows it as Markdown.
func (w *Writer) Text(step int64, tag, text string) error {
	return w.write(step, summary(tag, textValue(text)))
}

// Flush writes the buffered events to the file.
func (w *Writer) Flush() error {
	w.flushed = w.now()
	return w.keep(w.buffer.Flush())
}

// Close writes the buffered events to the file and closes it.
func (w *Writer) Close() error {
	return errors.Join(w.Flush(), w.file.Close())
}

// write adds an event with an encoded field.
func (w *Writer) write(step int64, field []byte) error {
	if w.err != nil {
		return w.err
	}
	now := w.now()
	_, err := w.buffer.Write(record(event(now, step, field)))
	if err = w.keep(err); err == nil && now.Sub(w.flushed) >= flushAfter {
		err = w.Flush()
	}
	return err
}

// keep stores the first error and returns it. After an error nothing may be written:
// a file with a gap cannot be read beyond the gap.
func (w *Writer) keep(err error) error {
	if w.err == nil {
		w.err = err
	}
	return w.err
}

// record returns data in the TFRecord format: the length of data, the checksum of the
// length, data, and the checksum of data, all little endian.
func record(data []byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	b = binary.LittleEndian.AppendUint32(b, checksum(b))
	b = append(b, data...)
	return binary.LittleEndian.AppendUint32(b, checksum(data))
}

// checksum returns the masked CRC-32C of the TFRecord format. The mask is part of the
// format: an unmasked CRC of data that contains CRCs would be weak.
func checksum(data []byte) uint32 {
	c := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
	return (c>>15 | c<<17) + 0xa282ead8
}

// histogram is the distribution of values over bins of equal width.
type histogram struct {
	min, max, sum, squares float64
	limits, counts         []float64 // upper limit of each bin, and its number of values
	n                      int       // number of values
}

// bins is the number of bins. TensorBoard reduces them to 30.
const bins = 60

func newHistogram(values []float32) (*histogram, error) {
	if len(values) == 0 {
		return nil, errors.New("there are no values")
	}
	h := &histogram{min: math.Inf(1), max: math.Inf(-1), n: len(values)}
	for i, v32 := range values {
		v := float64(v32)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("value %d is %v", i, v)
		}
		h.min, h.max = min(h.min, v), max(h.max, v)
		h.sum += v
		h.squares += v * v
	}
	if h.min == h.max {
		h.limits, h.counts = []float64{h.max}, []float64{float64(h.n)}
		return h, nil
	}
	h.limits, h.counts = make([]float64, bins), make([]float64, bins)
	width := (h.max - h.min) / bins
	for i := range h.limits {
		h.limits[i] = h.min + float64(i+1)*width
	}
	h.limits[bins-1] = h.max
	for _, v := range values {
		h.counts[min(int((float64(v)-h.min)/width), bins-1)]++
	}
	return h, nil
}
