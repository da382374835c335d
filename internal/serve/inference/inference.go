// Package inference describes inference requests and responses of the Open Inference Protocol
// independently of how they are transmitted: packages rest and rpc of sbs-serve translate them from
// and to JSON, binary tensors and protobuf messages.
package inference

import (
	"strconv"

	"github.com/spike-by-spike/sbs/ops"
)

// Request is an inference request.
type Request struct {
	Model, Version string // Version is "" if the request names none
	ID             string
	Parameters     Parameters
	Inputs         []Input
	Outputs        []string // names of the outputs to return; nil means all outputs of the model

	// Image is true for a request that consists of an encoded image. Its only input has no name.
	Image bool

	strings int // in the inputs
}

// AddInput adds an input to the request.
func (r *Request) AddInput(in Input) error {
	if r.strings += len(in.Strings); r.strings > maxStrings {
		return Errorf(Invalid, "input %q: the inputs of the request have more than %d elements of BYTES together", in.Name, maxStrings)
	}
	r.Inputs = append(r.Inputs, in)
	return nil
}

// Parameters are the parameters of a request: a string, bool, int64, uint64 or float64 by name.
type Parameters map[string]any

// Input is an input tensor of a request. It is either a Tensor or, with the datatype BYTES, a list
// of Strings.
type Input struct {
	Name string
	Tensor
}

// Tensor is a tensor of any datatype of the protocol.
type Tensor struct {
	Shape   []int
	Values  *ops.Tensor // nil for BYTES
	Strings [][]byte    // the elements, for BYTES
}

// Output is an output tensor of a response.
type Output struct {
	Name string
	Tensor
}

// Response is the answer to a Request.
type Response struct {
	Model, Version, ID string
	Outputs            []Output
}

// Datatype returns the protocol's name of the element type.
func (t Tensor) Datatype() string {
	if t.Values == nil {
		return Bytes
	}
	return Datatype(t.Values.DType())
}

// OnlyRaw reports whether the tensor is transferred only in binary form.
func (t Tensor) OnlyRaw() bool { return t.Values != nil && OnlyRaw(t.Values.DType()) }

// Describe returns the datatype and the shape for a message, such as "FP32 [1 784]".
func (t Tensor) Describe() string {
	text := t.Datatype() + " ["
	for i, n := range t.Shape {
		if i > 0 {
			text += " "
		}
		text += strconv.Itoa(n)
	}
	return text + "]"
}
