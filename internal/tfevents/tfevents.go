// Package tfevents writes the event files that TensorBoard shows: scalars,
// histograms and text over the steps of a training.
//
// A file is a sequence of records, each of them one message of the type Event of
// TensorFlow's event.proto and summary.proto. The messages are few and small, and
// TensorFlow's own Go types for them would bring all of TensorFlow along: they are
// written field by field.
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

// flushAfter bounds how long an event waits before TensorBoard can see it, given
// that more events follow.
const flushAfter = 10 * time.Second

// Prefix begins the name of every event file.
const Prefix = "events.out.tfevents."

// Writer writes one event file. It is not safe for concurrent use. Events reach
// the file when ten seconds have passed since others did, at Flush and at Close;
// after the first error every call returns it.
type Writer struct {
	file    *os.File
	buffer  *bufio.Writer
	now     func() time.Time
	flushed time.Time
	err     error
}

// Create creates a new event file in a folder, and the folder if there is none.
// Its name is events.out.tfevents.<seconds since 1970>.<host>; a file that is
// there is never written to. When step is above 0 a training goes on: of the
// events in the folder's older files TensorBoard then drops those from this step
// on, which training went through before it was interrupted.
func Create(folder string, step int64) (*Writer, error) {
	return create(folder, step, time.Now)
}

func create(folder string, step int64, now func() time.Time) (*Writer, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("tfevents: %w", err)
	}
	file, err := newFile(folder, now())
	if err != nil {
		return nil, fmt.Errorf("tfevents: %w", err)
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

// newFile creates a file under a name that is not taken: two trainings may begin
// within one second.
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

// Path returns the name of the file.
func (w *Writer) Path() string { return w.file.Name() }

// Scalar adds a number to the curve of a tag, such as "Train Loss".
func (w *Writer) Scalar(step int64, tag string, value float64) error {
	return w.write(step, summary(tag, scalar(float32(value))))
}

// Histogram adds the distribution of the values of a tag, such as "W L0". NaN
// and infinite values are an error that ends nothing.
func (w *Writer) Histogram(step int64, tag string, values []float32) error {
	h, err := newHistogram(values)
	if err != nil {
		return fmt.Errorf("tfevents: histogram %q of step %d: %w", tag, step, err)
	}
	return w.write(step, summary(tag, h.encode()))
}

// Text adds a text, which TensorBoard shows as Markdown.
func (w *Writer) Text(step int64, tag, text string) error {
	return w.write(step, summary(tag, textValue(text)))
}

// Flush writes the events that wait to the file.
func (w *Writer) Flush() error {
	w.flushed = w.now()
	return w.keep(w.buffer.Flush())
}

// Close writes the events that wait and closes the file.
func (w *Writer) Close() error {
	return errors.Join(w.Flush(), w.file.Close())
}

// write writes an event with a field of its own.
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

// keep remembers the first error: bufio drops what follows one, and a file with
// a gap cannot be read beyond it.
func (w *Writer) keep(err error) error {
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("tfevents: %w", err)
	}
	return w.err
}

// record frames data as TFRecord: its length, the checksum of the length, data,
// the checksum of data, all little endian.
func record(data []byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	b = binary.LittleEndian.AppendUint32(b, checksum(b))
	b = append(b, data...)
	return binary.LittleEndian.AppendUint32(b, checksum(data))
}

// checksum is the masked CRC-32C of TFRecord: a checksum of data that holds
// checksums itself would be weak.
func checksum(data []byte) uint32 {
	c := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
	return (c>>15 | c<<17) + 0xa282ead8
}

// histogram is the distribution of values over bins of equal width.
type histogram struct {
	min, max, sum, squares float64
	limits, counts         []float64 // upper limit and number of values of each bin
	n                      int
}

// bins is the number of bins. TensorBoard shows 30.
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
