package convert

import (
	"context"
	"fmt"

	"github.com/spike-by-spike/sbs/internal/onnx"
)

// WriteFile writes a model that ToONNX or StagesToONNX returned to a file, atomically. The data
// of a model above 2 GB, which is too large for one ONNX file, goes to a second file in the same
// folder (external data). It has the name of the first one and ".data"; runtime.Open and ReadFile
// find it.
func WriteFile(path string, model []byte) error {
	if err := onnx.WriteFile(path, model); err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	return nil
}

// ReadFile returns the model in a file, including external data, in the form that FromONNX and
// runtime.New take. It ends soon after ctx is done.
func ReadFile(ctx context.Context, path string) ([]byte, error) {
	_, data, err := onnx.ReadFile(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("convert: %w", err)
	}
	return data, nil
}
