package runtime_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

var updateNodes = flag.Bool("update-nodes", false, "update testdata/onnx-nodes.txt")

const nodesTable = "testdata/onnx-nodes.txt"

// onnxTests returns the files of one kind among the tests that are part of ONNX: node, simple,
// pytorch-operator or light. SBS_ONNX_TESTS names the folder that has a folder for each kind.
func onnxTests(t *testing.T, kind, pattern string) []string {
	t.Helper()
	dir := os.Getenv("SBS_ONNX_TESTS")
	if dir == "" {
		t.Skip("SBS_ONNX_TESTS is not set")
	}
	paths, err := filepath.Glob(filepath.Join(dir, kind, pattern))
	require.NoError(t, err)
	require.NotEmpty(t, paths, "there are no tests in %s", filepath.Join(dir, kind))
	slices.Sort(paths)
	return paths
}

// TestModels_Pass runs ONNX's tests of small models, and of operators as PyTorch exported them.
func TestModels_Pass(t *testing.T) {
	for _, kind := range []string{"simple", "pytorch-operator"} {
		for _, f := range onnxTests(t, kind, "test_*") {
			t.Run(kind+"/"+strings.TrimPrefix(filepath.Base(f), "test_"), func(t *testing.T) {
				status, detail := runNode(t, f)
				require.Equal(t, passed, status, detail)
			})
		}
	}
}

// TestModels_LightPass runs ONNX's light models: networks for images of which all weights are
// constants. The input consists of n numbers from 0 to 1-1/n.
func TestModels_LightPass(t *testing.T) {
	for _, f := range onnxTests(t, "light", "*.onnx") {
		name := strings.TrimSuffix(f, ".onnx")
		t.Run(filepath.Base(name), func(t *testing.T) {
			m, err := runtime.Open(f)
			require.NoError(t, err)
			require.Empty(t, m.Warnings())
			in, out := m.Inputs()[0], m.Outputs()[0]
			shape, known := in.Sizes()
			require.True(t, known)
			n, err := ops.Len(shape)
			require.NoError(t, err)
			pixels := make([]float32, n)
			for i := range pixels {
				pixels[i] = float32(float64(i) / float64(n))
			}
			got, err := m.Run(t.Context(), values{in.Name: f32(shape, pixels...)})
			require.NoError(t, err)
			data, err := os.ReadFile(name + "_output_0.pb")
			require.NoError(t, err)
			want, err := decodeValue(data, out.Type)
			require.NoError(t, err)
			require.NoError(t, compareNode(got[out.Name], want, false, nodeTolerance(name)))
		})
	}
}

// TestNodes_MatchTable runs ONNX's tests of single operators, and compares the result of each
// with a table. New must refuse a model that it does not support, with an error that names the
// unsupported feature.
func TestNodes_MatchTable(t *testing.T) {
	var lines []string
	counts := map[string]int{}
	for _, f := range onnxTests(t, "node", "test_*") {
		name := strings.TrimPrefix(filepath.Base(f), "test_")
		status, detail := runNode(t, f)
		if reason, ok := differing[name]; ok {
			if status != failed {
				t.Errorf("%s %s: remove it from differing", name, status)
			}
			status, detail = differs, reason
		}
		counts[status]++
		line := name + " " + status
		if detail != "" {
			line += ": " + detail
		}
		lines = append(lines, line)
		if status == failed {
			t.Errorf("%s", line)
		}
	}
	head := fmt.Sprintf("# ONNX's tests of single operators: %d pass, %d are random (only types are compared), %d differ, %d are not supported, %d fail.\n"+
		"# Written by go test ./runtime -run TestNodes -update-nodes\n", counts[passed], counts[random], counts[differs], counts[unsupported], counts[failed])
	table := head + strings.Join(lines, "\n") + "\n"
	if *updateNodes {
		require.NoError(t, os.WriteFile(nodesTable, []byte(table), 0o644))
	}
	want, err := os.ReadFile(nodesTable)
	require.NoError(t, err)
	require.Equal(t, strings.Split(string(want), "\n"), strings.Split(table, "\n"), "to accept the changes: go test ./runtime -run TestNodes -update-nodes")
}

// differing holds the tests whose results differ from the expected ones, with the reason.
var differing = map[string]string{
	"image_decoder_decode_jpeg2k_rgb":     "there is no decoder of JPEG 2000",
	"image_decoder_decode_jpeg_bgr":       lossy,
	"image_decoder_decode_jpeg_grayscale": lossy,
	"image_decoder_decode_jpeg_rgb":       lossy,
	"image_decoder_decode_pnm_rgb":        "there is no decoder of PNM",
	"image_decoder_decode_webp_rgb":       lossy,
}

const lossy = "decoders of this format differ by a few levels of brightness"

const (
	passed      = "passes"
	differs     = "differs"
	random      = "random"
	unsupported = "unsupported"
	failed      = "FAILS"
)

// runNode runs the data sets in a folder, and returns a status and the text of an error.
func runNode(t *testing.T, dir string) (status, detail string) {
	model, err := os.ReadFile(filepath.Join(dir, "model.onnx"))
	require.NoError(t, err)
	m, err := runtime.New(model)
	if err != nil {
		return statusOfError(err)
	}
	sets, err := filepath.Glob(filepath.Join(dir, "test_data_set_*"))
	require.NoError(t, err)
	require.NotEmpty(t, sets, dir)
	status = passed
	if drawsNumbers(t, model) {
		status = random
	}
	for _, set := range sets {
		inputs := map[string]*runtime.Tensor{}
		for i, v := range m.Inputs() {
			if inputs[v.Name], err = readValue(set, "input", i, v.Type); err != nil {
				return statusOfError(err)
			}
		}
		outputs, err := m.Run(t.Context(), inputs)
		if err != nil {
			return statusOfError(err)
		}
		for i, v := range m.Outputs() {
			want, err := readValue(set, "output", i, v.Type)
			if err == nil {
				err = compareNode(outputs[v.Name], want, status == random, nodeTolerance(dir))
			}
			if err != nil {
				return failed, fmt.Sprintf("output %d: %v", i, err)
			}
		}
	}
	return status, ""
}

// statusOfError returns unsupported for an error about an unsupported feature, and failed for
// other errors.
func statusOfError(err error) (status, detail string) {
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ") // some versions of protobuf write such spaces
	if errors.Is(err, runtime.ErrUnknownOperator) || errors.Is(err, ops.ErrDType) || strings.Contains(text, "not supported") {
		return unsupported, text
	}
	return failed, text
}

// drawsNumbers reports whether the outputs of a model are random: ONNX does not define
// which numbers follow from a seed.
func drawsNumbers(t *testing.T, model []byte) bool {
	m, err := onnx.Unmarshal(t.Context(), model)
	require.NoError(t, err)
	training := slices.ContainsFunc(m.GetGraph().GetInput(), func(v *onnxpb.ValueInfoProto) bool { return v.GetName() == "t" })
	ratio := slices.ContainsFunc(m.GetGraph().GetInput(), func(v *onnxpb.ValueInfoProto) bool { return v.GetName() == "r" })
	return slices.ContainsFunc(m.GetGraph().GetNode(), func(n *onnxpb.NodeProto) bool {
		switch n.GetOpType() {
		case "Bernoulli", "RandomUniformLike":
			return true
		case "Dropout":
			return training && ratio
		}
		return false
	})
}

// readValue reads the value of an input or output from a folder: a message TensorProto,
// SequenceProto or OptionalProto of ONNX, depending on the declared type.
func readValue(dir, kind string, i int, t ops.Type) (*runtime.Tensor, error) {
	data, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%s_%d.pb", kind, i)))
	if err != nil {
		return nil, err
	}
	return decodeValue(data, t)
}

// The fields of SequenceProto and OptionalProto that hold values are the same.
const (
	tensorField   = 3
	sequenceField = 5
)

func decodeValue(data []byte, t ops.Type) (*runtime.Tensor, error) {
	if !t.DType.IsContainer() {
		p := new(onnxpb.TensorProto)
		if err := proto.Unmarshal(data, p); err != nil {
			return nil, err
		}
		shape, elements, err := onnx.TensorData(context.Background(), p)
		if err != nil {
			return nil, err
		}
		return ops.FromSlice(shape, elements)
	}
	var items []*runtime.Tensor
	for len(data) > 0 {
		field, wire, n := protowire.ConsumeTag(data)
		size := protowire.ConsumeFieldValue(field, wire, data[max(n, 0):])
		if n < 0 || size < 0 {
			return nil, errors.New("a value cannot be decoded")
		}
		if field == tensorField || field == sequenceField {
			message, _ := protowire.ConsumeBytes(data[n:])
			x, err := decodeValue(message, *t.Elem)
			if err != nil {
				return nil, err
			}
			items = append(items, x)
		}
		data = data[n+size:]
	}
	if t.DType == ops.Sequence {
		return ops.NewSequence(*t.Elem, items)
	}
	if len(items) == 0 {
		return ops.NewOptional(*t.Elem, nil)
	}
	return ops.NewOptional(*t.Elem, items[0])
}

// nodeTolerance returns the relative tolerance of a test. The expected values of some tests
// have few digits, or were computed with a rounded pi.
func nodeTolerance(dir string) float64 {
	for _, rounded := range []string{"window", "gridsample", "roialign"} {
		if strings.Contains(dir, rounded) {
			return 1e-3
		}
	}
	return 1e-5
}

// compareNode returns an error if a value differs from the expected one. Floating-point
// numbers may differ slightly: the expected ones come from other implementations, in float32.
func compareNode(got, want *runtime.Tensor, typesOnly bool, tolerance float64) error {
	if err := ops.TypeOf(want).Check(got); err != nil || typesOnly {
		return err
	}
	if want.DType().IsContainer() {
		if len(got.Items()) != len(want.Items()) {
			return fmt.Errorf("%d items, want %d", len(got.Items()), len(want.Items()))
		}
		for i, x := range want.Items() {
			if err := compareNode(got.Items()[i], x, false, tolerance); err != nil {
				return fmt.Errorf("item %d: %w", i, err)
			}
		}
		return nil
	}
	switch want.DType() {
	case ops.Float16:
		tolerance = max(tolerance, 2e-3)
	case ops.BFloat16:
		tolerance = max(tolerance, 1e-2)
	}
	g, w := elementsOf(got), elementsOf(want)
	for i := range w.Len() {
		a, b := g.Index(i), w.Index(i)
		if a.Equal(b) {
			continue
		}
		x, ok := floatOf(a)
		if y, _ := floatOf(b); ok && (math.IsNaN(x) && math.IsNaN(y) || !math.IsInf(y, 0) && math.Abs(x-y) <= tolerance/10+tolerance*math.Abs(y)) {
			continue
		}
		return fmt.Errorf("element %d of %v is %v, want %v", i, ops.TypeOf(want), a, b)
	}
	return nil
}

// floatOf returns a floating-point element, and false for other elements.
func floatOf(v reflect.Value) (float64, bool) {
	if v.CanFloat() {
		return v.Float(), true
	}
	f, ok := v.Interface().(interface{ Float64() float64 })
	if !ok {
		return 0, false
	}
	return f.Float64(), true
}

func elementsOf(t *runtime.Tensor) reflect.Value { return reflect.ValueOf(t.Elements()) }
