package cli

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
)

// ChecksumFlag is the name of the flag that ChecksumVar defines.
const ChecksumFlag = "ignore-checksum"

// ChecksumVar defines a flag for models that do not match their checksum.
func ChecksumVar(flags *pflag.FlagSet, ignore *bool) {
	flags.BoolVar(ignore, ChecksumFlag, false, "load the model even if it does not match its checksum, because it was changed on purpose")
}

// ReadModel reads the model in a file and verifies its checksum. If the checksum is to be
// ignored, the result has a new one, which fits. ReadModel returns ErrInterrupted after ctx
// is done. Other errors name the file.
func ReadModel(ctx context.Context, path string, ignoreChecksum bool) (*onnxpb.ModelProto, []byte, error) {
	m, data, err := onnx.ReadFile(ctx, path)
	if err == nil {
		if !ignoreChecksum {
			err = onnx.Verify(ctx, m)
		} else {
			data, err = onnx.MarshalStamped(m)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", path, err)
		}
	}
	if ctx.Err() != nil {
		return nil, nil, ErrInterrupted
	}
	if err != nil {
		return nil, nil, err
	}
	return m, data, nil
}
