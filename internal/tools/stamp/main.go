// Command stamp stores the checksum of models in their metadata, for models that were
// written before there were checksums, or that were changed on purpose.
//
//	go run ./internal/tools/stamp models/mnist-fast/model.onnx
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spike-by-spike/sbs/internal/onnx"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: stamp MODEL.onnx...")
		os.Exit(2)
	}
	for _, path := range os.Args[1:] {
		if err := stamp(path); err != nil {
			fmt.Fprintln(os.Stderr, "stamp:", err)
			os.Exit(1)
		}
	}
}

// stamp replaces the file of a model. Nothing but the checksum changes in a file that this
// project has written.
func stamp(path string) error {
	m, err := onnx.ReadModel(context.Background(), path)
	if err != nil {
		return err
	}
	data, err := onnx.MarshalStamped(m)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return onnx.WriteFile(path, data)
}
