package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/onnx"
)

// toNormalized writes a model with the same weights that normalizes its images.
func (f *flags) toNormalized(ctx context.Context, stdout io.Writer, path, normalized string) error {
	m, data, err := cli.ReadModel(ctx, path, f.ignoreChecksum)
	if err != nil {
		return err
	}
	if err = onnx.RefuseStages(m); err == nil {
		data, err = normalize(data)
	}
	if errors.Is(err, convert.ErrNotConverted) {
		err = fmt.Errorf("%w; only models written by sbs-convert or sbs-train can be changed", err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return f.writeFrom(ctx, stdout, path, normalized, data, fmt.Sprintf("%s with normalized images: train it with sbs-train, since its weights are for other values", filepath.ToSlash(path)))
}

// normalize returns a model that normalizes its images, in the form of the given one.
func normalize(data []byte) ([]byte, error) {
	n, err := convert.FromONNX(data)
	if err != nil {
		return nil, err
	}
	if n.Preprocessing.Normalize {
		return nil, errors.New("the model normalizes its images already")
	}
	n.Preprocessing.Normalize, n.Preprocessing.Offset = true, 0
	form, err := convert.OptionsOf(data)
	if err != nil {
		return nil, err
	}
	return convert.ToONNX(n, form)
}
