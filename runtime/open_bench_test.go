package runtime_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/runtime"
)

// convolutions returns a network of 3x3 convolutions, each followed by Relu, on images of
// size x size pixels.
func convolutions(layers, channels, size int) *onnxpb.ModelProto {
	r := rand.New(rand.NewPCG(1, 2))
	m := network([]*onnxpb.ValueInfoProto{info("x0", -1, int64(channels), int64(size), int64(size))}, fmt.Sprintf("x%d", layers), nil)
	for i := range layers {
		w := make([]float32, channels*channels*9)
		for j := range w {
			w[j] = r.Float32() - 0.5
		}
		m.Graph.Initializer = append(m.Graph.Initializer, onnx.Float32Tensor(fmt.Sprintf("w%d", i), []int{channels, channels, 3, 3}, w))
		m.Graph.Node = append(m.Graph.Node,
			op(fmt.Sprintf("c%d = Conv(x%d, w%d)", i, i, i), intsAttr("pads", 1, 1, 1, 1)), op(fmt.Sprintf("x%d = Relu(c%d)", i+1, i)))
	}
	return m
}

// BenchmarkOpen loads a file with 10 MB of weights, and one with 5000 nodes.
func BenchmarkOpen(b *testing.B) {
	chain := network([]*onnxpb.ValueInfoProto{info("x0", 8)}, "x5000", nil)
	for i := range 5000 {
		chain.Graph.Node = append(chain.Graph.Node, op(fmt.Sprintf("x%d = Neg(x%d)", i+1, i)))
	}
	for name, m := range map[string]*onnxpb.ModelProto{"weights": convolutions(17, 128, 32), "nodes": chain} {
		b.Run(name, func(b *testing.B) {
			data, err := onnx.Marshal(m)
			require.NoError(b, err)
			path := filepath.Join(b.TempDir(), "model.onnx")
			require.NoError(b, os.WriteFile(path, data, 0o600))
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := runtime.Open(path); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
