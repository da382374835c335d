package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/spike-by-spike/sbs/internal/metadata"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
)

func properties(n *Network, body Body) ([]*onnxpb.StringStringEntryProto, error) {
	var props []*onnxpb.StringStringEntryProto
	set := func(key, value string) {
		props = append(props, &onnxpb.StringStringEntryProto{Key: key, Value: value})
	}
	if n.Name != "" {
		set(metadata.Name, n.Name)
	}
	if n.Dialect > 0 {
		set(metadata.Dialect, strconv.Itoa(n.Dialect))
	}
	if n.Step >= 0 {
		set(metadata.Step, strconv.Itoa(n.Step))
	}
	local, approximations := n.local(), n.approximations(body)
	for _, m := range []struct {
		key   string
		value any
		empty bool
	}{
		{metadata.Classes, n.Classes, len(n.Classes) == 0},
		{metadata.Sources, n.Sources, len(n.Sources) == 0},
		{metadata.Local, local, len(local) == 0},
		{metadata.Approximations, approximations, len(approximations) == 0},
	} {
		if m.empty {
			continue
		}
		text, err := json.Marshal(m.value)
		if err != nil {
			return nil, fmt.Errorf("convert: metadata %s: %w", m.key, err)
		}
		set(m.key, string(text))
	}
	if n.Training != nil {
		if err := checkTraining(n.Training); err != nil {
			return nil, fmt.Errorf("convert: metadata %s: %w", metadata.Training, err)
		}
		set(metadata.Training, string(n.Training))
	}
	if n.Holdout != nil {
		b, err := json.Marshal(n.Holdout)
		if err != nil {
			return nil, fmt.Errorf("convert: metadata %s: %w", metadata.Holdout, err)
		}
		set(metadata.Holdout, string(b))
	}
	if n.Borders != nil {
		b, err := json.Marshal((*metadata.Borders)(n.Borders))
		if err != nil {
			return nil, fmt.Errorf("convert: metadata %s: %w", metadata.Border, err)
		}
		set(metadata.Border, string(b))
	}
	return props, nil
}

// checkTraining reports whether a training configuration can be stored in a model.
func checkTraining(b []byte) error {
	if !json.Valid(b) || !utf8.Valid(b) {
		return errors.New("the training configuration is not valid JSON")
	}
	return nil
}

// local returns the indices of the layers that learn locally.
func (n *Network) local() []int {
	var local []int
	for i, l := range n.Layers {
		if s, ok := l.(*SbS); ok && s.Local {
			local = append(local, i)
		}
	}
	return local
}

// setLocal marks the layers that learn locally. It must be called after the layers
// were read.
func (n *Network) setLocal(props []*onnxpb.StringStringEntryProto) error {
	for _, p := range props {
		if p.GetKey() != metadata.Local {
			continue
		}
		var local []int
		if err := json.Unmarshal([]byte(p.GetValue()), &local); err != nil {
			return fmt.Errorf("convert: %w: metadata %s: %q is not a list of layer numbers", ErrNotConverted, metadata.Local, p.GetValue())
		}
		for _, i := range local {
			var s *SbS
			if i >= 0 && i < len(n.Layers) {
				s, _ = n.Layers[i].(*SbS)
			}
			if s == nil {
				return fmt.Errorf("convert: %w: metadata %s: layer %d is not an SbS layer", ErrNotConverted, metadata.Local, i)
			}
			s.Local = true
		}
	}
	return nil
}

func (n *Network) readMetadata(props []*onnxpb.StringStringEntryProto) error {
	for _, p := range props {
		var err error
		want := ""
		switch p.GetKey() {
		case metadata.Name:
			n.Name = p.GetValue()
		case metadata.Dialect:
			want = "a whole number"
			n.Dialect, err = strconv.Atoi(p.GetValue())
		case metadata.Step:
			want = "a whole number"
			n.Step, err = strconv.Atoi(p.GetValue())
		case metadata.Classes:
			want = "a JSON list of names"
			err = json.Unmarshal([]byte(p.GetValue()), &n.Classes)
		case metadata.Sources:
			want = "a JSON list of files"
			err = json.Unmarshal([]byte(p.GetValue()), &n.Sources)
		case metadata.Training:
			want = "a JSON object"
			n.Training = json.RawMessage(p.GetValue())
			err = checkTraining(n.Training)
		case metadata.Holdout:
			want = "a description of the images that were held back"
			n.Holdout = new(Holdout)
			if err = json.Unmarshal([]byte(p.GetValue()), n.Holdout); err == nil {
				err = n.Holdout.check()
			}
		case metadata.Border:
			want = "a description of the borders of images"
			var b *metadata.Borders
			b, err = metadata.ParseBorders(p.GetValue())
			n.Borders = (*Borders)(b)
		}
		if err != nil {
			return fmt.Errorf("convert: %w: metadata %s: %s is not %s", ErrNotConverted, p.GetKey(), abridged(p.GetValue()), want)
		}
	}
	return nil
}

// abridged quotes the beginning of a text for an error.
func abridged(text string) string {
	const most = 40
	if len(text) > most {
		return strconv.Quote(text[:most]) + "..."
	}
	return strconv.Quote(text)
}
