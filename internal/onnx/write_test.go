package onnx

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/metadata"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
)

// large returns an encoded model of this project with a large initializer, whose numbers are v, a
// large constant in a subgraph, and a small initializer.
func large(t *testing.T, v float32) []byte {
	t.Helper()
	numbers := make([]float32, 1000)
	for i := range numbers {
		numbers[i] = v
	}
	value := &onnxpb.AttributeProto{Name: "value", Type: onnxpb.AttributeProto_TENSOR, T: Float32Tensor("c", []int{300}, numbers[:300])}
	m := &onnxpb.ModelProto{
		IrVersion: 8, MetadataProps: []*onnxpb.StringStringEntryProto{{Key: metadata.Prefix + "name", Value: "n"}},
		Graph: &onnxpb.GraphProto{
			Initializer: []*onnxpb.TensorProto{Float32Tensor("w", []int{1000}, numbers), Int64Tensor("i", 1)},
			Node: []*onnxpb.NodeProto{{Attribute: []*onnxpb.AttributeProto{{Name: "g", Type: onnxpb.AttributeProto_GRAPH, G: &onnxpb.GraphProto{
				Node: []*onnxpb.NodeProto{{OpType: "Constant", Output: []string{"c"}, Attribute: []*onnxpb.AttributeProto{value}}},
			}}}}},
		},
	}
	data, err := MarshalStamped(m)
	require.NoError(t, err)
	return data
}

// names returns the names of the files in a folder.
func names(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestWriteFile_MovesDataToASecondFile(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "m.onnx")
	const limit = 2000 // bytes
	first, second, small := large(t, 1), large(t, 2), large(t, 3)
	requireModel := func(want []byte, files ...string) {
		t.Helper()
		m, data, err := ReadFile(t.Context(), path)
		require.NoError(t, err)
		require.Equal(t, want, data)
		require.NoError(t, Verify(t.Context(), m))
		require.Equal(t, files, names(t, folder))
	}

	require.NoError(t, writeFile(path, first, limit))
	requireModel(first, "m.onnx", "m.onnx.data")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Less(t, info.Size(), int64(limit))
	info, err = os.Stat(path + ".data")
	require.NoError(t, err)
	require.Equal(t, int64(alignment+1200), info.Size())

	require.NoError(t, writeFile(path, second, limit))
	requireModel(second, "m.onnx", "m.onnx.2.data")
	require.NoError(t, WriteFile(path, small))
	requireModel(small, "m.onnx")

	// A file of somebody else is not replaced, and neither is a model that cannot be written.
	require.NoError(t, os.WriteFile(path+".data", []byte("mine"), 0o600))
	require.NoError(t, writeFile(path, first, limit))
	requireModel(first, "m.onnx", "m.onnx.2.data", "m.onnx.data")
	require.ErrorContains(t, writeFile(path, second, 100), "bytes without its tensors, but an ONNX file cannot have more than 100")
	requireModel(first, "m.onnx", "m.onnx.2.data", "m.onnx.data")
	require.Error(t, writeFile(filepath.Join(folder, "missing", "m.onnx"), first, limit))
	require.Error(t, writeFile(folder, first, limit))
	requireModel(first, "m.onnx", "m.onnx.2.data", "m.onnx.data")
}

func TestWriteFile_KeepsDataOfOtherPrograms(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "m.onnx")
	m, err := Unmarshal(t.Context(), large(t, 1))
	require.NoError(t, err)
	m.MetadataProps = nil
	foreign, err := Marshal(m)
	require.NoError(t, err)
	require.NoError(t, writeFile(path, foreign, 2000))
	require.NoError(t, WriteFile(path, large(t, 2)))
	require.Equal(t, []string{"m.onnx", "m.onnx.data"}, names(t, folder))
}
