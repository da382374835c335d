package main

import (
	"bytes"
	"flag"
	"maps"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

var update = flag.Bool("update", false, "write model.onnx")

// TestModelFile_IsUpToDate checks that model.onnx is the model that this file describes. With
// -update it writes model.onnx.
func TestModelFile_IsUpToDate(t *testing.T) {
	want := model()
	if *update {
		require.NoError(t, os.WriteFile("model.onnx", want, 0o600))
	}
	got, err := os.ReadFile("model.onnx")
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got), "model.onnx is out of date: go test -run TestModelFile_IsUpToDate -update")
}

// model returns the ONNX file. The numbers of the fields are those of onnx.proto.
func model() []byte {
	layer := sbs.Params{
		Kernel: [2]int{2, 2}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1},
		Spikes: 100, Epsilon0: 1, EpsilonT: sbs.Schedule{Power: -0.5}.EpsilonT(100), Sampler: sbs.LowDiscrepancy,
	}
	// A column per class, a row per pixel of the image.
	weights := []float32{
		.45, .45, .45,
		.45, .05, .05,
		.05, .45, .05,
		.05, .05, .45,
	}
	graph := message(nil).
		message(1, node("gate", "", "Relu", []string{"image"}, "gated", nil)).
		message(1, node("L0/SbS", sbs.Domain, "SbS", []string{"gated", "L0/SbS/W"}, "L0", layer.Attributes())).
		message(1, node("L0/Sharpen", "example.com", "Sharpen", []string{"L0"}, "sharp", ops.Attributes{"power": float32(2)})).
		message(1, node("flatten", "", "Flatten", []string{"sharp"}, "probabilities", nil)).
		text(2, "custom-operator").
		message(5, message(nil).int(1, 4).int(1, 3).int(2, int64(ops.Float32)).floats(4, weights).text(8, "L0/SbS/W")).
		message(11, value("image", 1, 2, 2)).
		message(12, value("probabilities", 3))
	return message(nil).
		int(1, 8). // ir_version
		message(7, graph).
		message(8, message(nil).text(1, "").int(2, 17)).
		message(8, message(nil).text(1, sbs.Domain).int(2, sbs.Version)).
		message(8, message(nil).text(1, "example.com").int(2, 1)).
		message(14, message(nil).text(1, "ai.sbs.classes").text(2, `["row","column","diagonal"]`))
}

func node(name, domain, operator string, inputs []string, output string, attributes ops.Attributes) message {
	var m message
	for _, input := range inputs {
		m = m.text(1, input)
	}
	m = m.text(2, output).text(3, name).text(4, operator).text(7, domain)
	for _, key := range slices.Sorted(maps.Keys(attributes)) {
		a := message(nil).text(1, key)
		switch v := attributes[key].(type) {
		case float32:
			a = protowire.AppendFixed32(protowire.AppendTag(a, 2, protowire.Fixed32Type), math.Float32bits(v))
			a = a.int(20, 1)
		case int64:
			a = a.int(3, v).int(20, 2)
		case string:
			a = a.text(4, v).int(20, 3)
		case []float32:
			a = a.floats(7, v).int(20, 6)
		case []int64:
			for _, i := range v {
				a = a.int(8, i)
			}
			a = a.int(20, 7)
		}
		m = m.message(5, a)
	}
	return m
}

// value describes a float32 value of the given sizes after the batch.
func value(name string, sizes ...int64) message {
	shape := message(nil).message(1, message(nil).text(2, "batch"))
	for _, size := range sizes {
		shape = shape.message(1, message(nil).int(1, size))
	}
	tensor := message(nil).int(1, int64(ops.Float32)).message(2, shape)
	return message(nil).text(1, name).message(2, message(nil).message(1, tensor))
}

// message is a protocol buffers message to which fields are appended.
type message []byte

func (m message) int(field protowire.Number, v int64) message {
	return protowire.AppendVarint(protowire.AppendTag(m, field, protowire.VarintType), uint64(v))
}

func (m message) text(field protowire.Number, s string) message {
	return m.message(field, message(s))
}

func (m message) message(field protowire.Number, v message) message {
	return protowire.AppendBytes(protowire.AppendTag(m, field, protowire.BytesType), v)
}

func (m message) floats(field protowire.Number, v []float32) message {
	var b message
	for _, f := range v {
		b = protowire.AppendFixed32(b, math.Float32bits(f))
	}
	return m.message(field, b)
}
