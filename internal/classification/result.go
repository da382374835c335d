package classification

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"unicode/utf8"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/internal/cli"
)

// result is what is printed about an image, in any format.
type result struct {
	Image string  // path as on Linux, with the number of the image in the file
	Label int     // number of a class, or classify.Unlabeled; without a class if there is an Error
	Top   []guess // the most probable classes, most probable first; nil if there is an Error

	Inverted, Blank bool

	// Of a model with stages: where the image left, and its spike updates.
	Stage   int
	Updates int64

	Error string // why the image could not be classified
}

// guess is a class with its probability.
type guess struct {
	Class       int     `json:"class"`
	Probability float32 `json:"probability"`
}

func (r *result) failed() bool { return r.Error != "" }

// class returns the number of the most probable class.
func (r *result) class() int { return r.Top[0].Class }

// newResult returns the result of an image of in, with the top most probable classes.
func newResult(r classify.FileResult, top int, in *Inputs) result {
	out := result{
		Image: filepath.ToSlash(r.File), Label: r.Label, Inverted: r.Inverted, Blank: r.Blank, Stage: r.Stage, Updates: r.Updates,
	}
	if r.Err != nil {
		out.Error = cli.Message(r.Err, in.Images)
	}
	for _, g := range r.Top(top) {
		out.Top = append(out.Top, guess{g.Class, g.Probability})
	}
	return out
}

// jsonText is a text that may not be UTF-8, such as the name of a file. In JSON, it is a string, or
// the object {"base64": "..."} if it is not UTF-8.
type jsonText string

type base64Text struct {
	Base64 []byte `json:"base64"`
}

// MarshalJSON implements json.Marshaler.
func (t jsonText) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal(base64Text{[]byte(t)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *jsonText) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*t = jsonText(s)
		return nil
	}
	var bytes base64Text
	if err := json.Unmarshal(b, &bytes); err != nil {
		return fmt.Errorf("%.20s is not a text: %w", b, err)
	}
	*t = jsonText(bytes.Base64)
	return nil
}

// jsonTexts returns texts for JSON.
func jsonTexts(texts []string) []jsonText {
	out := make([]jsonText, len(texts))
	for i, t := range texts {
		out[i] = jsonText(t)
	}
	return out
}
