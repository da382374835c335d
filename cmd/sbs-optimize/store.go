package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"

	"github.com/spike-by-spike/sbs/internal/measure"
)

// store keeps what was measured in a file, so that an interrupted search can resume. Its keys
// contain everything that a result depends on. The last line of a file may be incomplete.
type store struct {
	file  *os.File
	known map[string]measure.Answers
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
	complete := bytes.LastIndexByte(content, '\n') + 1
	lines := bufio.NewScanner(bytes.NewReader(content[:complete]))
	lines.Buffer(nil, math.MaxInt32)
	for n := 1; lines.Scan(); n++ {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s: line %d is damaged: start again with --force", path, n)
		}
		answers, err := r.answers()
		if err != nil {
			return nil, fmt.Errorf("%s: line %d is damaged: start again with --force", path, n)
		}
		s.known[r.Key] = answers
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if s.file, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o666); err != nil {
		return nil, err
	}
	if err := s.file.Truncate(int64(complete)); err != nil {
		return nil, errors.Join(err, s.file.Close())
	}
	if _, err := s.file.Seek(0, 2); err != nil {
		return nil, errors.Join(err, s.file.Close())
	}
	return s, nil
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
