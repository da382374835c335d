package tfevents

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// crc32c computes CRC-32C bit by bit, from its definition.
func crc32c(data []byte) uint32 {
	c := ^uint32(0)
	for _, v := range data {
		c ^= uint32(v)
		for range 8 {
			c = c>>1 ^ 0x82f63b78*(c&1)
		}
	}
	return ^c
}

// fields is a decoded protocol buffer message: the values of each field number.
type fields map[int][]any

// parse decodes a message without the library that encoded it. Values of fixed size
// and varints are uint64, all others []byte.
func parse(t *testing.T, b []byte) fields {
	varint := func() uint64 {
		v, n := binary.Uvarint(b)
		require.Positive(t, n)
		b = b[n:]
		return v
	}
	out := fields{}
	for len(b) > 0 {
		key := varint()
		var v any
		switch key & 7 {
		case 0:
			v = varint()
		case 1:
			v = binary.LittleEndian.Uint64(b)
			b = b[8:]
		case 5:
			v = uint64(binary.LittleEndian.Uint32(b))
			b = b[4:]
		case 2:
			n := varint()
			v = b[:n:n]
			b = b[n:]
		default:
			t.Fatalf("wire type %d", key&7)
		}
		out[int(key>>3)] = append(out[int(key>>3)], v)
	}
	return out
}

func (f fields) double(field int) float64 { return math.Float64frombits(f[field][0].(uint64)) }
func (f fields) text(field int) string    { return string(f[field][0].([]byte)) }
func (f fields) message(t *testing.T, field int) fields {
	require.Len(t, f[field], 1)
	return parse(t, f[field][0].([]byte))
}

func (f fields) doubles(field int) []float64 {
	var out []float64
	for b := f[field][0].([]byte); len(b) > 0; b = b[8:] {
		out = append(out, math.Float64frombits(binary.LittleEndian.Uint64(b)))
	}
	return out
}

// events decodes an event file and checks lengths and checksums.
func events(t *testing.T, path string) []fields {
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	mask := func(c uint32) uint32 { return (c>>15 | c<<17) + 0xa282ead8 }
	var out []fields
	for len(b) > 0 {
		n := binary.LittleEndian.Uint64(b)
		require.Equal(t, mask(crc32c(b[:8])), binary.LittleEndian.Uint32(b[8:]))
		data := b[12:][:n]
		require.Equal(t, mask(crc32c(data)), binary.LittleEndian.Uint32(b[12+n:]))
		out = append(out, parse(t, data))
		b = b[16+n:]
	}
	return out
}

// clock is a clock that shows the same time until it is set.
type clock struct{ time.Time }

func (c *clock) now() time.Time { return c.Time }

func at(seconds float64) *clock { return &clock{time.UnixMicro(int64(seconds * 1e6))} }

func TestWriter_WritesScalarsHistogramsAndTexts(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a", "b")
	c := at(1700000000.25)
	w, err := create(folder, 0, c.now)
	require.NoError(t, err)
	host, err := os.Hostname()
	require.NoError(t, err)
	require.Equal(t, filepath.Join(folder, "events.out.tfevents.1700000000."+host), w.file.Name())
	require.NoError(t, w.Scalar(7, "Train Loss", 0.5))
	require.NoError(t, w.Histogram(8, "W", []float32{-1, 0, 0.5, 2}))
	require.NoError(t, w.Text(9, "log", "some *text*"))
	require.NoError(t, w.Close())

	e := events(t, w.file.Name())
	require.Len(t, e, 4)
	require.Equal(t, "brain.Event:2", e[0].text(3))
	for i, f := range e {
		require.Equal(t, 1700000000.25, f.double(1))
		require.Len(t, f, []int{2, 3, 3, 3}[i])
	}
	require.Equal(t, uint64(7), e[1][2][0])
	v := e[1].message(t, 5).message(t, 1)
	require.Equal(t, "Train Loss", v.text(1))
	require.Equal(t, uint64(math.Float32bits(0.5)), v[2][0])

	v = e[2].message(t, 5).message(t, 1)
	require.Equal(t, "W", v.text(1))
	h := v.message(t, 5)
	for i, want := range []float64{-1, 2, 4, 1.5, 5.25} {
		require.Equal(t, want, h.double(i+1))
	}
	limits, counts := h.doubles(6), h.doubles(7)
	require.Len(t, limits, len(counts))
	require.Equal(t, 2.0, limits[len(limits)-1])
	for i, low := 0, -1.0; i < len(limits); low, i = limits[i], i+1 {
		want := 0.0
		for _, x := range []float64{-1, 0, 0.5} {
			if x >= low && x < limits[i]-1e-12 {
				want++
			}
		}
		if i == len(limits)-1 {
			want++ // 2
		}
		require.Equal(t, want, counts[i], "bin %d from %v to %v", i, low, limits[i])
	}

	v = e[3].message(t, 5).message(t, 1)
	require.Equal(t, "log", v.text(1))
	require.Equal(t, "text", v.message(t, 9).message(t, 1).text(1))
	tensor := v.message(t, 8)
	require.Equal(t, uint64(7), tensor[1][0])
	require.Equal(t, uint64(1), tensor.message(t, 2).message(t, 2)[1][0])
	require.Equal(t, "some *text*", tensor.text(8))
}

// TestWriter_WritesTheExpectedBytes compares with a file that was derived by hand. Its
// first 13 bytes are the same in every event file of TensorFlow.
func TestWriter_WritesTheExpectedBytes(t *testing.T) {
	w, err := create(t.TempDir(), 0, at(2).now)
	require.NoError(t, err)
	require.NoError(t, w.Scalar(300, "a", 1))
	require.NoError(t, w.Close())
	b, err := os.ReadFile(w.file.Name())
	require.NoError(t, err)
	two := "\x00\x00\x00\x00\x00\x00\x00\x40" // 2 as float64
	first := "\x09" + two + "\x1a\x0dbrain.Event:2"
	second := "\x09" + two + // wall_time
		"\x10\xac\x02" + // step: 300 = 2*128 + 44
		"\x2a\x0a" + // summary, 10 bytes
		"\x0a\x08" + // value, 8 bytes
		"\x0a\x01a" + // tag
		"\x15\x00\x00\x80\x3f" // simple_value: 1 as float32
	sum := func(s string) string {
		c := crc32c([]byte(s))
		return string(binary.LittleEndian.AppendUint32(nil, (c>>15|c<<17)+0xa282ead8))
	}
	length := "\x18\x00\x00\x00\x00\x00\x00\x00"
	require.Len(t, first, 0x18)
	require.Len(t, second, 0x18)
	require.Equal(t, "\xa3\x7f\x4b\x22", sum(length))
	require.Equal(t, length+"\xa3\x7f\x4b\x22"+first+sum(first)+length+"\xa3\x7f\x4b\x22"+second+sum(second), string(b))
}

func TestCRC32C_HasTheStandardCheckValue(t *testing.T) {
	require.Equal(t, uint32(0xe3069283), crc32c([]byte("123456789")))
}

func TestCreate_MarksTheStepOfAResumedTraining(t *testing.T) {
	folder := t.TempDir()
	c := at(5)
	var names []string
	for _, step := range []int64{0, 41, 50} {
		w, err := create(folder, step, c.now)
		require.NoError(t, err)
		e := events(t, w.file.Name())
		names = append(names, filepath.Base(w.file.Name()))
		require.NoError(t, w.Close())
		if step == 0 {
			require.Len(t, e, 1)
			continue
		}
		require.Len(t, e, 2)
		require.Equal(t, uint64(step), e[1][2][0])
		require.Equal(t, uint64(1), e[1].message(t, 7)[1][0])
	}
	require.True(t, strings.HasPrefix(names[0], "events.out.tfevents.0000000005."))
	require.Equal(t, []string{names[0] + ".1", names[0] + ".2"}, names[1:])
}

func TestWriter_FlushesAfterTenSeconds(t *testing.T) {
	c := at(100)
	w, err := create(t.TempDir(), 0, c.now)
	require.NoError(t, err)
	require.NoError(t, w.Scalar(1, "a", 1))
	require.Len(t, events(t, w.file.Name()), 1)
	c.Time = c.Add(flushAfter)
	require.NoError(t, w.Scalar(2, "a", 1))
	require.Len(t, events(t, w.file.Name()), 3)
	require.NoError(t, w.Scalar(3, "a", 1))
	require.Len(t, events(t, w.file.Name()), 3)
	require.NoError(t, w.Flush())
	require.Len(t, events(t, w.file.Name()), 4)
	require.NoError(t, w.Close())
}

func TestWriter_ReportsErrors(t *testing.T) {
	w, err := Create(t.TempDir(), 0)
	require.NoError(t, err)
	require.EqualError(t, w.Histogram(3, "W", []float32{1, float32(math.NaN())}), `histogram "W" of step 3: value 1 is NaN`)
	require.ErrorContains(t, w.Histogram(3, "W", nil), "there are no values")
	require.NoError(t, w.Histogram(3, "W", []float32{2, 2}))
	require.NoError(t, w.Flush())
	h := events(t, w.file.Name())[1].message(t, 5).message(t, 1).message(t, 5)
	require.Equal(t, []float64{2}, h.doubles(6))
	require.Equal(t, []float64{2}, h.doubles(7))

	require.NoError(t, w.file.Close())
	require.NoError(t, w.Scalar(1, "a", 1))
	require.ErrorIs(t, w.Flush(), os.ErrClosed)
	require.ErrorIs(t, w.Scalar(2, "a", 1), os.ErrClosed)
	require.ErrorIs(t, w.Close(), os.ErrClosed)

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	_, err = Create(file, 0)
	require.ErrorContains(t, err, file)
}
