package convert

import (
	"errors"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
)

func fullLayerFunction(features) (*onnxpb.FunctionProto, error) {
	return nil, errors.New("not implemented")
}
