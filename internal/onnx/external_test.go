package onnx

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
)

// external returns a tensor of two float32 elements in another file. kv are alternating
// keys and values of the location.
func external(kv ...string) *onnxpb.TensorProto {
	t := &onnxpb.TensorProto{Name: "w", DataType: 1, Dims: []int64{2}, DataLocation: onnxpb.TensorProto_EXTERNAL}
	for i := 0; i < len(kv); i += 2 {
		t.ExternalData = append(t.ExternalData, &onnxpb.StringStringEntryProto{Key: kv[i], Value: kv[i+1]})
	}
	return t
}

func files() fstest.MapFS {
	return fstest.MapFS{"w.bin": {Data: []byte{0, 0, 0, 0, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40}}, "sub/w": {Data: make([]byte, 8)}}
}

func TestReadExternal_ReadsTheDataOfAllTensors(t *testing.T) {
	a, b := external("location", "./w.bin", "offset", "4", "length", "8"), external("location", "sub/w")
	m := &onnxpb.ModelProto{
		Graph: &onnxpb.GraphProto{
			Initializer: []*onnxpb.TensorProto{a, Int64Tensor("i", 1)},
			Node: []*onnxpb.NodeProto{{Attribute: []*onnxpb.AttributeProto{{G: &onnxpb.GraphProto{
				Node: []*onnxpb.NodeProto{{Attribute: []*onnxpb.AttributeProto{{T: b}}}},
			}}}}},
		},
		Functions: []*onnxpb.FunctionProto{{Node: []*onnxpb.NodeProto{{Attribute: []*onnxpb.AttributeProto{{T: external()}}}}}},
	}
	found := External(m)
	require.Len(t, found, 3)
	require.NoError(t, ReadExternal(t.Context(), found[:2], files()))
	require.Len(t, External(m), 1)
	_, data, err := TensorData(t.Context(), a)
	require.NoError(t, err)
	require.Equal(t, []float32{1, 2}, data)
	_, data, err = TensorData(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, []float32{0, 0}, data)
}

func TestReadExternal_SharesDataWithinBounds(t *testing.T) {
	same := []*onnxpb.TensorProto{external("location", "w.bin"), external("location", "w.bin", "length", "0"), external("location", "w.bin", "offset", "4")}
	require.NoError(t, ReadExternal(t.Context(), same, files()))
	require.Same(t, &same[0].RawData[0], &same[1].RawData[0])
	require.Equal(t, []byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0x40}, same[2].RawData)

	const size = 20 << 20
	var many []*onnxpb.TensorProto
	for range maxShared + 1 {
		many = append(many, external("location", "large"))
		many[len(many)-1].Dims = []int64{size / 4}
	}
	large := fstest.MapFS{"large": {Data: make([]byte, size)}}
	require.NoError(t, ReadExternal(t.Context(), many[:maxShared], large))
	many = append(many[maxShared:], many[:maxShared]...)
	for _, x := range many[1:] {
		x.DataLocation, x.ExternalData = onnxpb.TensorProto_EXTERNAL, many[0].ExternalData
	}
	require.ErrorContains(t, ReadExternal(t.Context(), many, large), "the tensors need more than 83886080 bytes, but their files have only 20971520")
}

func TestReadExternal_RefusesInvalidLocations(t *testing.T) {
	huge := external("location", "w.bin")
	huge.Dims = []int64{1 << 30}
	text := external("location", "w.bin")
	text.DataType = 8
	for _, c := range []struct {
		name    string
		tensors []*onnxpb.TensorProto
		want    string
	}{
		{"no file", []*onnxpb.TensorProto{external()}, "the file is not named"},
		{"missing", []*onnxpb.TensorProto{external("location", "v.bin")}, "file does not exist"},
		{"outside", []*onnxpb.TensorProto{external("location", "../w.bin")}, `the file "../w.bin" is not below the model's folder`},
		{"absolute", []*onnxpb.TensorProto{external("location", "/w.bin")}, "is not below the model's folder"},
		{"folder", []*onnxpb.TensorProto{external("location", "sub")}, "sub is not a regular file"},
		{"offset", []*onnxpb.TensorProto{external("location", "w.bin", "offset", "-1")}, `the offset is "-1", want a number of at least 0`},
		{"end", []*onnxpb.TensorProto{external("location", "w.bin", "offset", "5")}, "w.bin has 12 bytes, the tensor needs 8 from byte 5"},
		{"length", []*onnxpb.TensorProto{external("location", "w.bin", "length", "4")}, `the length is "4", but shape [2] needs 8 bytes`},
		{"huge", []*onnxpb.TensorProto{huge}, "w.bin has 12 bytes, the tensor needs 4294967296"},
		{"strings", []*onnxpb.TensorProto{text}, "elements of type STRING are not supported"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := ReadExternal(t.Context(), c.tensors, files())
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, `tensor "w"`)
		})
	}
}
