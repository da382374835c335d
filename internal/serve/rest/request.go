package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spike-by-spike/sbs/internal/serve/inference"
)

// headerLength is the header of the binary tensor extension: the number of bytes of the JSON
// object at the start of a body, which binary tensors follow.
const headerLength = "Inference-Header-Content-Length"

// The parameters of the binary tensor extension.
const (
	binarySize   = "binary_data_size"   // of an input or output: its bytes after the JSON object
	binaryData   = "binary_data"        // of a requested output: return it in this form
	binaryOutput = "binary_data_output" // of a request: the default of binaryData
)

// contentType is a parameter of inputs and outputs that clients of MLServer send. It has no effect.
const contentType = "content_type"

// object is the JSON object of a request.
type object struct {
	ID         string                     `json:"id"`
	Parameters map[string]json.RawMessage `json:"parameters"`
	Inputs     []struct {
		Name       string                     `json:"name"`
		Shape      []int64                    `json:"shape"`
		Datatype   string                     `json:"datatype"`
		Parameters map[string]json.RawMessage `json:"parameters"`
		Data       json.RawMessage            `json:"data"`
	} `json:"inputs"`
	Outputs []struct {
		Name       string                     `json:"name"`
		Parameters map[string]json.RawMessage `json:"parameters"`
	} `json:"outputs"`
}

// request is a request, and how its outputs are to be written.
type request struct {
	inference.Request
	binary map[string]bool // by output: as a binary tensor
	rest   bool            // for outputs that are not in binary
}

// read decodes the body of a request. inputs returns those of the model that it is for.
func read(h http.Header, query string, body []byte, inputs func() ([]rawInput, error)) (*request, error) {
	r := &request{binary: map[string]bool{}}
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	var err error
	switch length := h.Get(headerLength); {
	case length != "":
		err = r.readBinary(length, body, inputs)
	case strings.HasPrefix(kind, "image/"), kind != "application/json" && strings.HasPrefix(http.DetectContentType(body), "image/"):
		r.Image = true
		r.Inputs = []inference.Input{{Tensor: inference.Tensor{Shape: []int{1}, Strings: [][]byte{body}}}}
	case kind == "multipart/form-data":
		err = inference.Errorf(inference.BadFormat, "the content type %q is not supported: send the image or the JSON object itself, as curl --data-binary @FILE does", kind)
	default:
		err = r.readJSON(body, nil)
	}
	if err != nil {
		return nil, err
	}
	if err := r.addQuery(query); err != nil {
		return nil, err
	}
	if v, ok := r.Parameters[binaryOutput]; ok {
		if r.rest, err = strconv.ParseBool(fmt.Sprint(v)); err != nil {
			return nil, inference.Errorf(inference.Invalid, "parameter %q is %v: want true or false", binaryOutput, v)
		}
	}
	return r, nil
}

// jsonMemory is the largest memory that decoding a byte of JSON takes, about: of "[0,0,0]" two bytes
// become a number of 8 bytes, and of an object, a few bytes become an entry of a map.
const jsonMemory = 10

// maxMembers is the largest number of objects and members in a JSON object. Each of them can take a
// hundred times as many bytes in memory as in the text.
const maxMembers = 100_000

// memoryOf returns the memory that decoding a body takes.
func memoryOf(h http.Header, body []byte) int64 {
	n := int64(len(body))
	text := n
	if length := h.Get(headerLength); length != "" {
		text, _ = strconv.ParseInt(length, 10, 64) // if it is wrong, the body is not decoded
	}
	if !bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		text = 0 // a picture, or binary tensors only
	}
	return n + jsonMemory*min(max(text, 0), n)
}

// rawInput is an input of a model that a body without a JSON object is for.
type rawInput struct {
	name, datatype string
	shape          []int64
	size           int // bytes of an element
}

// readBinary decodes a body with binary tensors.
func (r *request) readBinary(length string, body []byte, inputs func() ([]rawInput, error)) error {
	n, err := strconv.Atoi(length)
	if err != nil || n < 0 || n > len(body) {
		return inference.Errorf(inference.Invalid, "the header %s is %q: want the number of bytes of the JSON object, 0 to %d, the size of the body", headerLength, length, len(body))
	}
	if n == 0 {
		list, err := inputs()
		if err != nil {
			return err
		}
		return r.readTensor(body, list)
	}
	return r.readJSON(body[:n], body[n:])
}

// readTensor decodes a body that has the elements of the only input of a model and no JSON object.
func (r *request) readTensor(body []byte, inputs []rawInput) error {
	unknown := func(size int64) bool { return size < 0 }
	if len(inputs) != 1 || len(inputs[0].shape) == 0 || inputs[0].size == 0 || slices.ContainsFunc(inputs[0].shape[1:], unknown) {
		return inference.Errorf(inference.Invalid, "the header %s is 0, but the model does not have exactly one input with a known shape: send a JSON object", headerLength)
	}
	in := inputs[0]
	each := int64(in.size)
	for _, d := range in.shape[1:] {
		each *= d
	}
	shape := slices.Clone(in.shape)
	if shape[0] < 0 && each > 0 {
		shape[0] = int64(len(body)) / each
	}
	input, err := inference.FromRaw(in.name, in.datatype, shape, body)
	r.Inputs, r.rest = []inference.Input{input}, true
	return err
}

// readJSON decodes a JSON object and the binary tensors after it.
func (r *request) readJSON(text, binary []byte) error {
	if n := bytes.Count(text, []byte("{")) + bytes.Count(text, []byte(":")); n > maxMembers {
		return inference.Errorf(inference.Invalid, "the JSON object has %d braces and colons, at most %d are allowed", n, maxMembers)
	}
	var o object
	if err := json.Unmarshal(text, &o); err != nil {
		return jsonError(text, err)
	}
	r.ID = o.ID
	var err error
	if r.Parameters, err = parameters(o.Parameters); err != nil {
		return err
	}
	if len(o.Inputs) == 0 {
		return inference.Errorf(inference.Invalid, "the request has no inputs: want an object with a list \"inputs\"")
	}
	for i, in := range o.Inputs {
		if in.Name == "" || in.Shape == nil || in.Datatype == "" {
			return inference.Errorf(inference.Invalid, "input %d (%q): name, shape and datatype are required", i, in.Name)
		}
		p, err := only("input", in.Name, in.Parameters, binarySize)
		if err != nil {
			return err
		}
		var input inference.Input
		size, isBinary := p[binarySize]
		switch {
		case isBinary == (in.Data != nil):
			return inference.Errorf(inference.Invalid, "input %q: want either data or the parameter %s", in.Name, binarySize)
		case isBinary:
			n, ok := size.(int64)
			if !ok || n < 0 || n > int64(len(binary)) {
				return inference.Errorf(inference.Invalid, "input %q: %s is %v, but %d bytes follow the JSON object and the inputs before", in.Name, binarySize, size, len(binary))
			}
			input, err = inference.FromRaw(in.Name, in.Datatype, in.Shape, binary[:n:n])
			binary = binary[n:]
		default:
			input, err = fromJSON(in.Name, in.Datatype, in.Shape, in.Data)
		}
		if err != nil {
			return err
		}
		if err := r.AddInput(input); err != nil {
			return err
		}
	}
	if len(binary) > 0 {
		return inference.Errorf(inference.Invalid, "%d bytes of binary tensors belong to no input", len(binary))
	}
	return r.readOutputs(o)
}

func (r *request) readOutputs(o object) error {
	for i, out := range o.Outputs {
		if out.Name == "" {
			return inference.Errorf(inference.Invalid, "output %d has no name", i)
		}
		p, err := only("output", out.Name, out.Parameters, binaryData)
		if err != nil {
			return err
		}
		r.Outputs = append(r.Outputs, out.Name)
		if v, ok := p[binaryData]; ok {
			if r.binary[out.Name], ok = v.(bool); !ok {
				return inference.Errorf(inference.Invalid, "output %q: parameter %q: want true or false", out.Name, binaryData)
			}
		}
	}
	return nil
}

// isBinary reports whether an output is to be written as a binary tensor.
func (r *request) isBinary(output string) bool {
	if v, ok := r.binary[output]; ok {
		return v
	}
	return r.rest
}

// addQuery adds the parameters of the query of a URL.
func (r *request) addQuery(query string) error {
	list, err := url.ParseQuery(query)
	if err != nil {
		return inference.Errorf(inference.Invalid, "the query %q of the URL: %w", query, err)
	}
	for name, values := range list {
		if _, twice := r.Parameters[name]; twice || len(values) > 1 {
			return inference.Errorf(inference.Invalid, "parameter %q: the request has it twice", name)
		}
		if name == "id" {
			r.ID = values[0]
			continue
		}
		if r.Parameters == nil {
			r.Parameters = inference.Parameters{}
		}
		r.Parameters[name] = values[0]
	}
	return nil
}

// parameters decodes parameters.
func parameters(raw map[string]json.RawMessage) (inference.Parameters, error) {
	p := make(inference.Parameters, len(raw))
	for name, text := range raw {
		switch v, ok := parameter(text); {
		case ok:
			p[name] = v
		case slices.Contains([]string{"headers", contentType}, name): // objects of MLServer
		default:
			return nil, inference.Errorf(inference.Invalid, "parameter %q: want a number, a string, true or false", name)
		}
	}
	return p, nil
}

// parameter decodes the value of a parameter.
func parameter(text json.RawMessage) (any, bool) {
	s := string(text)
	switch {
	case s == "true", s == "false":
		return s == "true", true
	case strings.HasPrefix(s, `"`):
		var v string
		err := json.Unmarshal(text, &v)
		return v, err == nil
	}
	if v, err := strconv.ParseInt(s, 10, 64); err == nil {
		return v, true
	}
	if v, err := strconv.ParseUint(s, 10, 64); err == nil {
		return v, true
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil
}

// only decodes the parameters of an input or output, of which the server knows one.
func only(kind, name string, raw map[string]json.RawMessage, known string) (inference.Parameters, error) {
	for p := range raw {
		if p != known && p != contentType {
			return nil, inference.Errorf(inference.Invalid, "%s %q: parameter %q is not supported", kind, name, p)
		}
	}
	p, err := parameters(raw)
	if err != nil {
		return nil, inference.Errorf(inference.Invalid, "%s %q: %w", kind, name, err)
	}
	return p, nil
}

// jsonError returns an error about a body that is not the JSON object of a request.
func jsonError(text []byte, err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case len(bytes.TrimSpace(text)) == 0:
		return inference.Errorf(inference.Invalid, "the body is empty: want a JSON object with a list \"inputs\", or an image")
	case errors.As(err, &kind) && kind.Field == "":
		return inference.Errorf(inference.Invalid, "the body is a JSON %s: want an object with a list \"inputs\"", kind.Value)
	case errors.As(err, &kind):
		return inference.Errorf(inference.Invalid, "%q in the request cannot be a JSON %s (byte %d)", kind.Field, kind.Value, kind.Offset)
	case errors.As(err, &syntax):
		return inference.Errorf(inference.Invalid, "the body is not JSON: %w (byte %d); NaN and Infinity need binary tensors, and an image needs the content type image/png or image/jpeg", err, syntax.Offset)
	}
	return inference.Errorf(inference.Invalid, "the body is not a request: %w", err)
}
