package classification

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/internal/cli"
)

// storedPart is a complete part in a file.
type storedPart struct {
	path   string
	header partHeader
	end    partEnd
}

// openPart reads the part in a file and checks that it is what the shard has written. Errors name the
// file.
func openPart(ctx context.Context, path string) (*storedPart, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s is a folder: give the files that sbs-run --shard has written", path)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file: a part is read twice", path)
	}
	p := &storedPart{path: path}
	return p, p.read(ctx, nil)
}

// read reads the part, checks it against its checksum, and calls yield with its results, as long as
// yield returns true. If yield is nil, the results are not decoded.
func (p *storedPart) read(ctx context.Context, yield func(result) bool) (err error) {
	f, err := os.Open(p.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxLine)
	lines.Split(wholeLines)
	old := p.header.Run // nil before the first reading
	if !lines.Scan() || p.parseHeader(lines.Bytes()) != nil {
		return p.noHeader(lines.Err())
	}
	if old != nil && difference(old, p.header.Run) != "" {
		return p.wrong("the file has changed while it was merged")
	}
	sum := sha256.New()
	sum.Write(lines.Bytes())
	for images := 0; lines.Scan(); images++ {
		if images%1024 == 0 && ctx.Err() != nil {
			return cli.ErrInterrupted
		}
		line := lines.Bytes()
		if bytes.HasPrefix(line, endStart) {
			line = bytes.Clone(line)
			return p.checkEnd(line, images, hex.EncodeToString(sum.Sum(nil)), lines.Scan())
		}
		sum.Write(line)
		if yield == nil {
			continue
		}
		var j partResult
		if err := json.Unmarshal(line, &j); err != nil {
			return p.wrong("line %d is damaged (%v)", images+2, err)
		}
		r := j.result()
		if !p.header.Run.fits(r) {
			return p.wrong("line %d has numbers that the run does not have", images+2)
		}
		if !yield(r) {
			return nil
		}
	}
	if err := lines.Err(); err != nil {
		return p.wrong("%v", err)
	}
	return p.wrong("the last line is missing, because the shard was interrupted or is not finished")
}

// endStart is the beginning of a partEnd, by which it differs from a partResult.
var endStart = []byte(`{"end":`)

// maxLine is the largest number of bytes of a line.
const maxLine = 1 << 28

// wholeLines splits at newlines, which are a part of the lines. A last line without a newline
// is left out: it is not complete.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i+1], nil
	}
	if atEOF {
		return len(data), nil, nil
	}
	return 0, nil, nil
}

// noHeader returns the error of a file without a header.
func (p *storedPart) noHeader(err error) error {
	info, statErr := os.Stat(p.path)
	switch {
	case errors.Is(err, bufio.ErrTooLong):
		err = nil // not a part
	case err == nil:
		err = statErr
	}
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		return fmt.Errorf("%s is empty: the shard was interrupted or is not finished", p.path)
	}
	return fmt.Errorf("%s is not a part of a run, or of another version of sbs-run: give the files that sbs-run --shard has written", p.path)
}

// wrong returns an error about a part with a header.
func (p *storedPart) wrong(format string, args ...any) error {
	return fmt.Errorf("%s: %s: run shard %v again", p.path, fmt.Sprintf(format, args...), p.header.shard())
}

// parseHeader parses the first line.
func (p *storedPart) parseHeader(line []byte) error {
	var h partHeader
	if err := json.Unmarshal(line, &h); err != nil {
		return err
	}
	const maxStages = 1 << 16 // far more than a model can have
	if _, err := cli.ParseShard(h.shard().String()); err != nil {
		return err
	}
	r := h.Run
	if r == nil || h.Format != partFormat || h.First < 0 || len(r.Paths) == 0 || r.Images < 0 || len(r.Classes) == 0 ||
		r.Top < 1 || r.Stages < 0 || r.Stages > maxStages || !slices.Contains(formats, r.Flags[flagFormat]) {
		return errors.New("the header is not valid")
	}
	p.header = h
	return nil
}

// checkEnd checks the last line, given what was read before. more says that it is not the last one.
func (p *storedPart) checkEnd(line []byte, images int, sum string, more bool) error {
	var e partEnd
	err := json.Unmarshal(line, &e)
	switch {
	case err != nil:
		return p.wrong("line %d is damaged (%v)", images+2, err)
	case more:
		return p.wrong("there is more after the end of the part")
	case e.End.Images != images || e.End.SHA256 != sum:
		return p.wrong("the contents do not match their checksum")
	}
	p.end = e
	return nil
}

// result returns the result that was written.
func (j *partResult) result() result {
	r := result{
		Image: string(j.Image), Label: classify.Unlabeled, Top: j.Top, Inverted: j.Inverted, Blank: j.Blank, Stage: j.Stage, Updates: j.Updates, Error: string(j.Error),
	}
	if j.Label != nil {
		r.Label = *j.Label
	}
	return r
}

// fits reports whether the numbers of a result are those of the run.
func (r *runIdentity) fits(x result) bool {
	if x.failed() {
		return len(x.Top) == 0
	}
	wrong := func(g guess) bool { return g.Class < 0 || g.Class >= len(r.Classes) }
	return len(x.Top) == min(r.Top, len(r.Classes)) && !slices.ContainsFunc(x.Top, wrong) &&
		x.Label >= classify.Unlabeled && x.Label < len(r.Classes) && x.Stage >= 0 && x.Stage <= r.Stages
}
