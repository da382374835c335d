package classification

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"io"

	"github.com/spike-by-spike/sbs/internal/cli"
)

// A part is the output of a shard: lines of JSON. The first line is a partHeader, the last line
// a partEnd, and every line between them the partResult of an image.

// partFormat is the version of the format of parts.
const partFormat = 1

// partHeader is the first line of a part.
type partHeader struct {
	Format int          `json:"sbs-run-part"` // partFormat
	Shard  int          `json:"shard"`        // from 1 to Shards
	Shards int          `json:"shards"`
	First  int          `json:"first"` // number of the first image in the whole run, from 0
	Run    *runIdentity `json:"run"`
}

// shard returns the shard of the part.
func (h *partHeader) shard() cli.Shard { return cli.Shard{Index: h.Shard, Count: h.Shards} }

// partResult is the result of an image in a part.
type partResult struct {
	Image    jsonText `json:"image"`
	Label    *int     `json:"label,omitempty"`
	Top      []guess  `json:"top,omitempty"`
	Inverted bool     `json:"inverted,omitempty"`
	Blank    bool     `json:"blank,omitempty"`
	Stage    int      `json:"stage,omitempty"`
	Updates  int64    `json:"updates,omitempty"`
	Error    jsonText `json:"error,omitempty"`
}

// partEnd is the last line of a part.
type partEnd struct {
	End struct {
		Images  int     `json:"images"`
		Seconds float64 `json:"seconds"`
		SHA256  string  `json:"sha256"` // of all lines before
	} `json:"end"`
}

// part writes a part.
type part struct {
	out    io.Writer
	sum    hash.Hash
	images int
}

// newPart writes the header of a part.
func newPart(out io.Writer, h partHeader) (*part, error) {
	p := &part{out: out, sum: sha256.New()}
	return p, p.line(h)
}

// line writes a line.
func (p *part) line(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	b = append(b, '\n')
	p.sum.Write(b)
	_, err = p.out.Write(b)
	return err
}

// add writes the result of the next image.
func (p *part) add(r result) error {
	p.images++
	j := partResult{
		Image: jsonText(r.Image), Top: r.Top, Inverted: r.Inverted, Blank: r.Blank, Stage: r.Stage, Updates: r.Updates, Error: jsonText(r.Error),
	}
	if r.Label >= 0 {
		j.Label = &r.Label
	}
	return p.line(j)
}

// end writes the last line, without which a part is not complete.
func (p *part) end(seconds float64) error {
	var e partEnd
	e.End.Images, e.End.Seconds, e.End.SHA256 = p.images, seconds, hex.EncodeToString(p.sum.Sum(nil))
	return p.line(e)
}
