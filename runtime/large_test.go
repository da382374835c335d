package runtime_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	goruntime "runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/runtime"
)

// cnn returns a network of so many 3x3 convolutions and Relus on images of a size.
func cnn(layers, channels, size int) *onnxpb.ModelProto {
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

// TestMemoryOfRun compares the memory that stays in use over runs with the least that
// a network needs: its weights, and the largest activations that are needed at a time.
func TestMemoryOfRun(t *testing.T) {
	const layers, channels, size, batch = 12, 32, 32, 4
	m := load(t, cnn(layers, channels, size), runtime.Workers(2))
	in := values{"x0": f32([]int{batch, channels, size, size}, make([]float32, batch*channels*size*size)...)}
	var before, after goruntime.MemStats
	goruntime.GC()
	goruntime.ReadMemStats(&before)
	out, err := m.Run(t.Context(), in)
	require.NoError(t, err)
	buffers := m.BufferBytes()
	goruntime.GC()
	goruntime.ReadMemStats(&after)
	goruntime.KeepAlive(out)
	activation := int64(4 * batch * channels * size * size)
	weights := int64(4 * layers * channels * channels * 9)
	t.Logf("weights %d, one activation %d, all activations %d; buffers %d, heap after the run and before it %d",
		weights, activation, 2*layers*activation, buffers, after.HeapAlloc-before.HeapAlloc)
	require.Equal(t, 2*activation, buffers, "what a layer reads and what it writes")
	require.Less(t, float64(weights+buffers+activation), 1.5*float64(weights+2*activation), "with the output, which is the caller's")
}

// BenchmarkOpen loads a file of 10 MB of weights, and one of many nodes.
func BenchmarkOpen(b *testing.B) {
	chain := network([]*onnxpb.ValueInfoProto{info("x0", 8)}, "x5000", nil)
	for i := range 5000 {
		chain.Graph.Node = append(chain.Graph.Node, op(fmt.Sprintf("x%d = Neg(x%d)", i+1, i)))
	}
	for name, m := range map[string]*onnxpb.ModelProto{"weights": cnn(17, 128, 32), "nodes": chain} {
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
