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

// TestNodes_MatchTable runs the tests of single operators that are part of ONNX, in the
// folder SBS_ONNX_NODES (from Debian's package libonnx-testdata), and compares the result
// of each with a table. New must refuse a model that it does not support, with an error that
// names the unsupported feature.
func TestNodes_MatchTable(t *testing.T) {
	dir := os.Getenv("SBS_ONNX_NODES")
	if dir == "" {
		t.Skip("SBS_ONNX_NODES is not set")
	}
	folders, err := filepath.Glob(filepath.Join(dir, "test_*"))
	require.NoError(t, err)
	require.NotEmpty(t, folders, "there are no tests in %s", dir)
	slices.Sort(folders)
	var lines []string
	counts := map[string]int{}
	for _, f := range folders {
		status, detail := runNode(t, f)
		counts[status]++
		line := strings.TrimPrefix(filepath.Base(f), "test_") + " " + status
		if detail != "" {
			line += ": " + detail
		}
		lines = append(lines, line)
		if status == failed {
			t.Errorf("%s", line)
		}
	}
	head := fmt.Sprintf("# ONNX's tests of single operators: %d pass, %d are random (only types are compared), %d are not supported, %d fail.\n"+
		"# Written by go test ./runtime -run TestNodes -update-nodes\n", counts[passed], counts[random], counts[unsupported], counts[failed])
	table := head + strings.Join(lines, "\n") + "\n"
	if *updateNodes {
		require.NoError(t, os.WriteFile(nodesTable, []byte(table), 0o644))
	}
	want, err := os.ReadFile(nodesTable)
	require.NoError(t, err)
	require.Equal(t, strings.Split(string(want), "\n"), strings.Split(table, "\n"), "to accept the changes: go test ./runtime -run TestNodes -update-nodes")
}

const (
	passed      = "passes"
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
