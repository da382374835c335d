package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"

	"github.com/spike-by-spike/sbs/internal/atomicfile"
	"github.com/spike-by-spike/sbs/internal/measure"
)

// store keeps what was measured in a file, so that an interrupted search can resume. Its keys
// contain everything that a result depends on. Damaged lines of a file are removed: what they
// said is measured again.
type store struct {
	file    *os.File
	known   map[string]measure.Answers
	damaged int // number of lines that were removed
}

// record is a line of the file.
type record struct {
	Key    string
	Right  string // a bit per image, base64
	Margin string // a float64 per image, little-endian, base64
}

func openStore(path string) (*store, error) {
	s := &store{known: map[string]measure.Answers{}}
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var kept []byte
	for len(content) > 0 {
		line, rest, complete := bytes.Cut(content, []byte("\n"))
		content = rest
		var r record
		answers, err := r.read(line)
		if err != nil || !complete {
			s.damaged++
			continue
		}
		s.known[r.Key] = answers
		kept = append(append(kept, line...), '\n')
	}
	if s.damaged > 0 {
		if err := atomicfile.Write(path, kept); err != nil {
			return nil, err
		}
	}
	s.file, err = os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	return s, err
}

// read sets the record to the one in a line, and returns its answers.
func (r *record) read(line []byte) (measure.Answers, error) {
	if err := json.Unmarshal(line, r); err != nil {
		return nil, err
	}
	return r.answers()
}

func (r record) answers() (measure.Answers, error) {
	right, err := base64.StdEncoding.DecodeString(r.Right)
	if err != nil {
		return nil, err
	}
	margin, err := base64.StdEncoding.DecodeString(r.Margin)
	if err != nil {
		return nil, err
	}
	n := len(margin) / 8
	if len(margin)%8 != 0 || len(right) != (n+7)/8 {
		return nil, errors.New("lengths differ")
	}
	answers := make(measure.Answers, n)
	for i := range answers {
		answers[i].Right = right[i/8]>>(i%8)&1 != 0
		answers[i].Margin = math.Float64frombits(binary.LittleEndian.Uint64(margin[8*i:]))
	}
	return answers, nil
}

// get returns the answers with a key. It computes and stores them if they are not known.
func (s *store) get(ctx context.Context, key string, compute func(context.Context) (measure.Answers, error)) (measure.Answers, error) {
	if a, ok := s.known[key]; ok {
		return a, nil
	}
	answers, err := compute(ctx)
	if err != nil {
		return nil, err
	}
	right, margin := make([]byte, (len(answers)+7)/8), make([]byte, 0, 8*len(answers))
	for i, a := range answers {
		if a.Right {
			right[i/8] |= 1 << (i % 8)
		}
		margin = binary.LittleEndian.AppendUint64(margin, math.Float64bits(a.Margin))
	}
	line, err := json.Marshal(record{key, base64.StdEncoding.EncodeToString(right), base64.StdEncoding.EncodeToString(margin)})
	if err != nil {
		return nil, err
	}
	if _, err := s.file.Write(append(line, '\n')); err != nil {
		return nil, err
	}
	s.known[key] = answers
	return answers, nil
}

func (s *store) close() error { return s.file.Close() }
