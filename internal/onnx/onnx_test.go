package onnx

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

func TestTensorData_DecodesRawAndTypedData(t *testing.T) {
	raw := func(dtype onnxpb.TensorProto_DataType, b ...byte) *onnxpb.TensorProto {
		return &onnxpb.TensorProto{DataType: int32(dtype), RawData: b}
	}
	for _, c := range []struct {
		name string
		in   *onnxpb.TensorProto
		n    int64
		want any
	}{
		{"float raw", raw(onnxpb.TensorProto_FLOAT, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0), 2, []float32{1, -2}},
		{"float list", &onnxpb.TensorProto{DataType: 1, FloatData: []float32{1, -2}}, 2, []float32{1, -2}},
		{"double raw", raw(onnxpb.TensorProto_DOUBLE, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f), 1, []float64{1}},
		{"double list", &onnxpb.TensorProto{DataType: 11, DoubleData: []float64{1}}, 1, []float64{1}},
		{"int8 raw", raw(onnxpb.TensorProto_INT8, 0xff, 1), 2, []int8{-1, 1}},
		{"int8 list", &onnxpb.TensorProto{DataType: 3, Int32Data: []int32{-1, 1}}, 2, []int8{-1, 1}},
		{"uint8 raw", raw(onnxpb.TensorProto_UINT8, 0xff, 1), 2, []uint8{255, 1}},
		{"int16 raw", raw(onnxpb.TensorProto_INT16, 0xfe, 0xff), 1, []int16{-2}},
		{"uint16 raw", raw(onnxpb.TensorProto_UINT16, 0xfe, 0xff), 1, []uint16{65534}},
		{"int32 raw", raw(onnxpb.TensorProto_INT32, 0xfe, 0xff, 0xff, 0xff), 1, []int32{-2}},
		{"int32 list", &onnxpb.TensorProto{DataType: 6, Int32Data: []int32{7}}, 1, []int32{7}},
		{"uint32 list", &onnxpb.TensorProto{DataType: 12, Uint64Data: []uint64{math.MaxUint32}}, 1, []uint32{math.MaxUint32}},
		{"int64 raw", raw(onnxpb.TensorProto_INT64, 0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), 1, []int64{-3}},
		{"uint64 list", &onnxpb.TensorProto{DataType: 13, Uint64Data: []uint64{5}}, 1, []uint64{5}},
		{"bool raw", raw(onnxpb.TensorProto_BOOL, 0, 1, 2), 3, []bool{false, true, true}},
		{"bool list", &onnxpb.TensorProto{DataType: 9, Int32Data: []int32{0, 1}}, 2, []bool{false, true}},
		{"float16 raw", raw(onnxpb.TensorProto_FLOAT16, 0, 0x3c), 1, []ops.F16{0x3c00}},
		{"float16 list", &onnxpb.TensorProto{DataType: 10, Int32Data: []int32{0xc000}}, 1, []ops.F16{0xc000}},
		{"float8 raw", raw(onnxpb.TensorProto_DataType(ops.Float8E5M2), 1, 0xff), 2, []ops.F8E5M2{1, 255}},
		{"int4 raw", raw(onnxpb.TensorProto_DataType(ops.Int4), 0xf1, 0x08), 3, []ops.I4{1, -1, -8}},
		{"uint4 list", &onnxpb.TensorProto{DataType: int32(ops.Uint4), Int32Data: []int32{0xf1}}, 2, []ops.U4{1, 15}},
		{"int2 raw", raw(onnxpb.TensorProto_DataType(ops.Int2), 0b11100100), 4, []ops.I2{0, 1, -2, -1}},
		{"strings", &onnxpb.TensorProto{DataType: 8, StringData: [][]byte{[]byte("a"), {}}}, 2, []string{"a", ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.in.Dims = []int64{c.n, 1}
			shape, data, err := TensorData(t.Context(), c.in)
			require.NoError(t, err)
			require.Equal(t, []int{int(c.n), 1}, shape)
			require.Equal(t, c.want, data)
		})
	}
}

func TestTensorData_RefusesInvalidTensors(t *testing.T) {
	for _, c := range []struct {
		name string
		in   *onnxpb.TensorProto
		want string
	}{
		{"negative", &onnxpb.TensorProto{DataType: 1, Dims: []int64{-1}}, "bad shape [-1]"},
		{"overflow", &onnxpb.TensorProto{DataType: 1, Dims: []int64{1 << 20, 1 << 20}}, "bad shape"},
		{"absurd", &onnxpb.TensorProto{DataType: 1, Dims: []int64{1 << 30}}, "has 1073741824 elements, the data has 0"},
		{"short raw", &onnxpb.TensorProto{DataType: 1, Dims: []int64{2}, RawData: []byte{1, 2, 3}}, "takes 8 bytes, the data has 3"},
		{"twice", &onnxpb.TensorProto{DataType: 1, Dims: []int64{1}, RawData: make([]byte, 4), FloatData: []float32{1}}, "the data is stored twice"},
		{"strings", &onnxpb.TensorProto{DataType: 8, Dims: []int64{1}}, "has 1 strings, the data has 0"},
		{"complex", &onnxpb.TensorProto{DataType: 14, Dims: []int64{1}}, "elements of type COMPLEX64 are not supported"},
		{"external", &onnxpb.TensorProto{DataType: 1, DataLocation: 1}, "store the model in one file"},
		{"segment", &onnxpb.TensorProto{DataType: 1, Segment: &onnxpb.TensorProto_Segment{}}, "segmented"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.in.Name = "weights"
			_, _, err := TensorData(t.Context(), c.in)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, `"weights"`)
		})
	}
}

func TestAttributes_ReturnsWhatSetAttributesWrote(t *testing.T) {
	want := map[string]any{
		"f": float32(0), "i": int64(0), "s": "text", "fs": []float32{1, 2}, "is": []int64{-1, 0},
	}
	n := new(onnxpb.NodeProto)
	require.NoError(t, SetAttributes(n, want))
	m := &onnxpb.ModelProto{IrVersion: 8, Graph: &onnxpb.GraphProto{Node: []*onnxpb.NodeProto{n}}}
	b, err := Marshal(m)
	require.NoError(t, err)
	back, err := Unmarshal(t.Context(), b)
	require.NoError(t, err)
	got, err := Attributes(back.GetGraph().GetNode()[0])
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestAttributes_RefusesInvalidAttributes(t *testing.T) {
	a := &onnxpb.AttributeProto{Name: "a", Type: onnxpb.AttributeProto_INT}
	_, err := Attributes(&onnxpb.NodeProto{Attribute: []*onnxpb.AttributeProto{a, a}})
	require.ErrorContains(t, err, "is given twice")
	_, err = Attributes(&onnxpb.NodeProto{Attribute: []*onnxpb.AttributeProto{{Name: "g", Type: onnxpb.AttributeProto_GRAPHS}}})
	require.ErrorContains(t, err, "values of type GRAPHS are not supported")
	_, err = Attributes(&onnxpb.NodeProto{Attribute: []*onnxpb.AttributeProto{{Name: "g", Type: onnxpb.AttributeProto_GRAPH}}})
	require.ErrorContains(t, err, "has no graph")
	_, err = Attributes(&onnxpb.NodeProto{Attribute: []*onnxpb.AttributeProto{{Name: "t", Type: onnxpb.AttributeProto_TENSOR}}})
	require.ErrorContains(t, err, "has no tensor")
	_, err = Attributes(&onnxpb.NodeProto{Attribute: []*onnxpb.AttributeProto{{Name: "r", RefAttrName: "x"}}})
	require.ErrorContains(t, err, "refers to attribute x")
	require.Error(t, SetAttributes(new(onnxpb.NodeProto), map[string]any{"x": 1}))
}

func TestUnmarshal_RefusesOtherData(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		want string
	}{
		"empty":    {nil, "this is an empty file"},
		"text":     {[]byte("this is no model"), `this is a text ("this is no model")`},
		"LFS":      {[]byte("version https://git-lfs.github.com/spec/v1\n"), "this is a Git LFS pointer instead of the file itself: run \"git lfs pull\""},
		"cut":      {[]byte{0x08, 0x08, 0x12, 0x50, 0x70}, "is the file complete"},
		"no graph": {[]byte{0x08, 0x08}, "no graph"},
		"version":  {[]byte{0x08, 0x63, 0x3a, 0x00}, "IR version 99"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Unmarshal(t.Context(), c.in)
			require.ErrorIs(t, err, ErrFormat)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestSetAttributes_WritesReferencesAndSubgraphs(t *testing.T) {
	tensor := Int32Scalar("t", -2)
	graph := &onnxpb.GraphProto{Name: "g"}
	n := new(onnxpb.NodeProto)
	require.NoError(t, SetAttributes(n, map[string]any{
		"a": Ref{"outer", onnxpb.AttributeProto_INTS}, "g": graph, "s": []string{"x", "y"}, "t": tensor,
	}))
	require.Equal(t, "outer", n.GetAttribute()[0].GetRefAttrName())
	require.Equal(t, onnxpb.AttributeProto_INTS, n.GetAttribute()[0].GetType())
	n.Attribute = n.GetAttribute()[1:]
	got, err := Attributes(n)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"g": graph, "s": []string{"x", "y"}, "t": tensor}, got)
	shape, data, err := TensorData(t.Context(), tensor)
	require.NoError(t, err)
	require.Empty(t, shape)
	require.Equal(t, []int32{-2}, data)
}
