package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// tensor is the type of a tensor. A size of -2 is a dimension without a size or a name, and -3
// is the dimension "batch".
func tensor(dtype ops.DType, sizes ...int64) *onnxpb.TypeProto {
	shape := &onnxpb.TensorShapeProto{}
	for _, n := range sizes {
		d := &onnxpb.TensorShapeProto_Dimension{}
		switch n {
		case -2:
		case -3:
			d.Value = &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: "batch"}
		default:
			d.Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: n}
		}
		shape.Dim = append(shape.Dim, d)
	}
	return &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: &onnxpb.TypeProto_Tensor{ElemType: int32(dtype), Shape: shape}}}
}

// foreign returns a model as other programs write it: with subgraphs, a function, types of all
// kinds and operators that do not exist.
func foreign(t *testing.T) string {
	t.Helper()
	branch := func(name, operator, out string, more ...*onnxpb.AttributeProto) *onnxpb.AttributeProto {
		return &onnxpb.AttributeProto{Name: name, Type: onnxpb.AttributeProto_GRAPH, G: &onnxpb.GraphProto{
			Name: name, Output: []*onnxpb.ValueInfoProto{{Name: out, Type: tensor(ops.Float32, -3, 3)}},
			Node: []*onnxpb.NodeProto{{OpType: operator, Domain: "com.example", Input: []string{"x"}, Output: []string{out}, Attribute: more}},
		}}
	}
	withoutRank := tensor(ops.Float16)
	withoutRank.GetTensorType().Shape = nil
	sequence := &onnxpb.TypeProto{Value: &onnxpb.TypeProto_SequenceType{SequenceType: &onnxpb.TypeProto_Sequence{ElemType: tensor(ops.Int64, -2)}}}
	number := func(name string, i int64) *onnxpb.AttributeProto {
		return &onnxpb.AttributeProto{Name: name, Type: onnxpb.AttributeProto_INT, I: &i}
	}
	m := &onnxpb.ModelProto{
		IrVersion: 8, ProducerName: "somebody", ProducerVersion: "1", OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: 17}, {Domain: "com.example", Version: 2}},
		Functions: []*onnxpb.FunctionProto{{
			Domain: "com.example", Name: "Twice", Input: []string{"p"}, Output: []string{"q"}, OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: 17}, {Domain: "com.example", Version: 2}},
			Node: []*onnxpb.NodeProto{{OpType: "Fancy", Domain: "com.example", Input: []string{"p"}, Output: []string{"q"}}},
		}},
		Graph: &onnxpb.GraphProto{
			Input: []*onnxpb.ValueInfoProto{
				{Name: "w", Type: tensor(ops.Float32, 3)}, {Name: "x", Type: tensor(ops.Float32, -3, -2, -1, 0, 3)}, {Name: "cond", Type: tensor(ops.Bool)},
				{Name: "sparse", Type: tensor(ops.Float32, 2)},
			},
			Output: []*onnxpb.ValueInfoProto{
				{Name: "y", Type: withoutRank}, {Name: "z", Type: sequence}, {Name: "s"},
			},
			Initializer: []*onnxpb.TensorProto{onnx.Float32Tensor("w", []int{3}, []float32{1, 2, 3})},
			SparseInitializer: []*onnxpb.SparseTensorProto{
				{Values: onnx.Float32Tensor("sparse", []int{1}, []float32{1}), Indices: onnx.Int64Tensor("", 1), Dims: []int64{2}},
			},
			Node: []*onnxpb.NodeProto{
				{OpType: "If", Name: "choice", Input: []string{"cond"}, Output: []string{"y"}, Attribute: []*onnxpb.AttributeProto{
					branch("then_branch", "Fancy", "a", branch("inner", "Deep", "b")), branch("else_branch", "Fancy", "c"),
				}},
				{OpType: "Softmax", Name: "soft", Input: []string{"x"}, Output: []string{"s"}, Attribute: []*onnxpb.AttributeProto{number("axs", 1)}},
				{OpType: "Not", Name: "not", Input: []string{"x"}, Output: []string{"n"}},
				{OpType: "Twice", Name: "call", Domain: "com.example", Input: []string{"x"}, Output: []string{"z"}},
			},
		},
	}
	data, err := onnx.Marshal(m)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "foreign.onnx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

func TestInfo_ShowsSubgraphsAndTypes(t *testing.T) {
	out, _, err := command(t, "--info", foreign(t))
	require.NoError(t, err)
	_, out, _ = strings.Cut(out, "\n")
	require.Equal(t, `produced by: somebody 1
operators: ai.onnx version 17
operators: com.example version 2
input: x float32(batch, ?, ?, 0, 3)
input: cond bool()
input with a default value: w float32(3)
input with a default value: sparse float32(2)
output: y float16 of unknown rank
output: z sequence(int64(?))
output: s of unknown type
initializers: 2
4 nodes, 3 more in subgraphs:
  If 1
  Not 1
  Softmax 1
  com.example.Twice 1
  then_branch of If "choice", 1 node:
    output: a float32(batch, 3)
    com.example.Fancy 1
    inner of com.example.Fancy "a", 1 node:
      output: b float32(batch, 3)
      com.example.Deep 1
  else_branch of If "choice", 1 node:
    output: c float32(batch, 3)
    com.example.Fancy 1
function com.example.Twice (p) -> (q), 1 node:
  com.example.Fancy 1
`, out)
}

func TestCheck_ListsAllThatIsMissing(t *testing.T) {
	path := foreign(t)
	m, _, err := onnx.ReadFile(t.Context(), path)
	require.NoError(t, err)
	m.Graph.Input[1].Type = tensor(ops.Float32, -3, 3) // valid sizes
	m.Graph.Output[0].Type, m.Graph.Output[1].Type = nil, nil
	data, err := onnx.Marshal(m)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, data, 0o600))
	out, _, err := command(t, "--check", path)
	require.ErrorIs(t, err, errCannotRun)
	require.EqualError(t, err, path+": the model cannot run here")
	_, out, _ = strings.Cut(out, "foreign.onnx: ")
	require.Equal(t, `cannot run (4 nodes, 3 more in subgraphs)

missing operators:
  Fancy (com.example version 2)
    nodes: a, c, call/q
  Deep (com.example version 2)
    node: b

unsupported attributes:
  Softmax (ai.onnx version 17): bad attribute: unknown axs (known: axis)
    node: soft

unsupported element types:
  Not (ai.onnx version 17): unsupported element type: X is float32(batch, 3), want bool
    node: not
`, out)
}

func TestCheck_AcceptsAModelThatRuns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.onnx")
	_, _, err := command(t, weights, path)
	require.NoError(t, err)
	out, errOut, err := command(t, "--check", path)
	require.NoError(t, err)
	require.Empty(t, errOut)
	require.Regexp(t, `/model\.onnx: can run \([0-9]+ nodes\)\n$`, filepath.ToSlash(out))
	for want, args := range map[string][]string{
		"--check takes one model: sbs-convert --check MODEL.onnx": {"--check"},
		"--check checks all stages":                               {"--check", path, "--stage", "1"},
		"--info, --dot and --check cannot be combined":            {"--check", "--info", path},
		"--force applies only when converting":                    {"--check", path, "--force"},
	} {
		_, _, err := command(t, args...)
		require.ErrorContains(t, err, want)
	}
	_, _, err = command(t, "--check", filepath.Join(weights, "Weight_L0_S0.npy"))
	require.ErrorContains(t, err, "not a valid ONNX model")
}

// full fails to write, as a full disk does.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestDescriptions_ReportAFullOutput(t *testing.T) {
	path := foreign(t)
	for _, flag := range []string{"--info", "--check", "--dot"} {
		require.ErrorContains(t, cli.Run(t.Context(), newCommand(nil), []string{flag, path}, full{}, io.Discard), "no space left", flag)
	}
}
