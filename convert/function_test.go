package convert_test

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

func decode(t *testing.T, n *convert.Network, opt convert.Options) *onnxpb.ModelProto {
	t.Helper()
	data, err := convert.ToONNX(n, opt)
	require.NoError(t, err)
	m, err := onnx.Unmarshal(t.Context(), data)
	require.NoError(t, err)
	return m
}

// Runtimes require that the function declares every attribute of the nodes that call
// it, uses each name once, gets all inputs at every call, and calls no function.
func TestToONNX_WritesAValidFunction(t *testing.T) {
	all := networks()
	maps.Copy(all, converttest.Variants())
	maps.Copy(all, converttest.ImageLayers())
	for name, n := range all {
		for _, inject := range []convert.Inject{convert.InjectNothing, convert.InjectSpikes, convert.InjectUniforms} {
			m := decode(t, n, convert.Options{Inject: inject})
			functions := map[string]*onnxpb.FunctionProto{}
			for _, f := range m.GetFunctions() {
				require.Equal(t, sbs.Domain, f.GetDomain())
				require.Nil(t, functions[f.GetName()], name)
				functions[f.GetName()] = f
				checkFunction(t, name, f)
			}
			called := map[string]bool{}
			for _, node := range m.GetGraph().GetNode() {
				if node.GetDomain() != sbs.Domain {
					continue
				}
				f := functions[node.GetOpType()]
				require.NotNil(t, f, "%s: %s", name, node.GetOpType())
				called[f.GetName()] = true
				require.Len(t, node.GetInput(), len(f.GetInput()), "%s: %s", name, node.GetName())
				require.NotContains(t, node.GetInput(), "", "%s: %s", name, node.GetName())
				for _, a := range node.GetAttribute() {
					require.Contains(t, f.GetAttribute(), a.GetName())
				}
			}
			require.Len(t, called, len(functions), "%s: functions without calls", name)
			require.NotEmpty(t, called)
		}
	}
}

// checkFunction checks the names and attributes in a function.
func checkFunction(t *testing.T, name string, f *onnxpb.FunctionProto) {
	t.Helper()
	names := slices.Clone(f.GetInput())
	var visit func(nodes []*onnxpb.NodeProto)
	visit = func(nodes []*onnxpb.NodeProto) {
		for _, node := range nodes {
			require.Empty(t, node.GetDomain(), "%s: %s", name, node.GetName())
			for _, in := range node.GetInput() {
				require.True(t, in == "" || slices.Contains(names, in), "%s: %s is used before its definition", name, in)
			}
			for _, a := range node.GetAttribute() {
				if a.GetG() != nil {
					for _, in := range a.GetG().GetInput() {
						require.NotContains(t, names, in.GetName(), name)
						names = append(names, in.GetName())
					}
					visit(a.GetG().GetNode())
				}
				if a.GetRefAttrName() != "" {
					require.Contains(t, f.GetAttribute(), a.GetRefAttrName())
					require.NotZero(t, a.GetType())
				}
			}
			for _, out := range node.GetOutput() {
				require.NotContains(t, names, out, name)
				names = append(names, out)
			}
		}
	}
	visit(f.GetNode())
	require.Contains(t, names, f.GetOutput()[0])
}

func TestToONNX_WritesOnlyThePartsOfTheFunctionThatAreUsed(t *testing.T) {
	operators := func(name string) []string {
		var list []string
		for _, n := range decode(t, converttest.Variants()[name], convert.Options{}).GetFunctions()[0].GetNode() {
			list = append(list, n.GetOpType())
		}
		return list
	}
	plain := operators("plain")
	for _, op := range []string{"Mod", "ConvTranspose", "TfIdfVectorizer", "Floor"} {
		require.NotContains(t, plain, op)
	}
	require.Contains(t, operators("epsilon_xy per position and place"), "Mod")
	require.Len(t, operators("forgetting"), len(plain)+5)
	require.Contains(t, operators("low discrepancy"), "TfIdfVectorizer", "its second layer has the other sampler")
	n := converttest.Variants()["plain"]
	with, err := convert.ToONNX(n, convert.Options{})
	require.NoError(t, err)
	without, err := convert.ToONNX(n, convert.Options{Body: convert.BodyNone})
	require.NoError(t, err)
	require.Less(t, len(with)-len(without), 8000)

	cnn := converttest.Digits()
	cnn.Layers = cnn.Layers[1:2]
	m := decode(t, cnn, convert.Options{})
	require.Empty(t, m.GetFunctions(), "no SbS layer, no function")
	require.Len(t, m.GetOpsetImport(), 1)
}

// Some runtimes treat the seeds 0 and 1 alike. Every seed must be a float32 number.
func TestToONNX_GivesEveryLayerADifferentSeed(t *testing.T) {
	n := converttest.Digits()
	m := converttest.New(9)
	n.Layers = n.Layers[:1]
	for range 40 {
		n.Layers = append(n.Layers, m.SbS(converttest.Window(1, 1), 5, 5, 3))
	}
	seen := map[float32]bool{}
	for _, seed := range []int64{0, 1000} {
		for _, node := range decode(t, n, convert.Options{Seed: seed}).GetGraph().GetNode() {
			if node.GetDomain() != sbs.Domain {
				continue
			}
			attrs, err := onnx.Attributes(node)
			require.NoError(t, err)
			s := attrs[sbs.AttrFunctionSeed].(float32)
			require.Equal(t, s, float32(uint32(s)))
			require.Less(t, s, float32(1<<24))
			require.Greater(t, s, float32(1))
			require.False(t, seen[s])
			seen[s] = true
		}
	}
	require.Len(t, seen, 2*41)
}

func TestToONNX_InlineUsesOnlyStandardOperators(t *testing.T) {
	all := converttest.Variants()
	maps.Copy(all, converttest.ImageLayers())
	for name, n := range all {
		m := decode(t, n, convert.Options{Body: convert.BodyInline})
		require.Empty(t, m.GetFunctions())
		require.Len(t, m.GetOpsetImport(), 1)
		for _, node := range m.GetGraph().GetNode() {
			require.Empty(t, node.GetDomain(), name)
			require.NotEqual(t, "TfIdfVectorizer", node.GetOpType(), name)
		}
	}
}

func TestFromONNX_RefusesDamagedInlineModels(t *testing.T) {
	n := converttest.Variants()["everything"]
	data, err := convert.ToONNX(n, convert.Options{Body: convert.BodyInline})
	require.NoError(t, err)
	for _, c := range []struct{ name, old, replacement, want string }{
		{"window", "L0/SbS/patch_planes", "L0/SbS/patch_planet", `node "L0/SbS/patch_planes" is missing`},
		{"weights", "L0/SbS/W", "L0/SbS/V", `initializer "L0/SbS/W" is missing`},
		{"spikes", "L1/SbS/number_of_spikes", "L1/SbS/number_of_spiked", `initializer "L1/SbS/number_of_spikes" is missing`},
		{"epsilon_0", "L0/SbS/epsilon_0", "L0/SbS/epsilon_1", `initializer "L0/SbS/epsilon_0" is missing`},
		{"epsilon_t", "L0/SbS/epsilon_t", "L0/SbS/epsilon_s", `initializer "L0/SbS/epsilon_t" is missing`},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Contains(t, string(data), c.old)
			_, err := convert.FromONNX(bytes.ReplaceAll(data, []byte(c.old), []byte(c.replacement)), convert.IgnoreChecksum())
			require.ErrorIs(t, err, convert.ErrNotConverted)
			require.ErrorContains(t, err, c.want)
		})
	}
	m, err := onnx.Unmarshal(t.Context(), data)
	require.NoError(t, err)
	for _, c := range []struct {
		name   string
		tensor *onnxpb.TensorProto
		want   string
		as     error
	}{
		{"no spikes", onnx.Int64Tensor("L0/SbS/number_of_spikes", 0), "number_of_spikes is 0", ops.ErrAttribute},
		{"too many spikes", onnx.Int64Tensor("L0/SbS/number_of_spikes", 61), "epsilon_t has only 60 entries", ops.ErrAttribute},
		{"two numbers of spikes", onnx.Int64Tensor("L0/SbS/number_of_spikes", 1, 2), "has 2 entries, want 1", convert.ErrNotConverted},
		{"epsilon_0", onnx.Float32Tensor("L0/SbS/epsilon_0", nil, []float32{-1}), "epsilon_0 is -1", ops.ErrAttribute},
		{"another type", onnx.Int64Tensor("L0/SbS/epsilon_0", 1), "want float32", convert.ErrNotConverted},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := m.GetGraph()
			i := slices.IndexFunc(g.GetInitializer(), func(p *onnxpb.TensorProto) bool { return p.GetName() == c.tensor.GetName() })
			kept := g.GetInitializer()[i]
			defer func() { g.GetInitializer()[i] = kept }()
			g.GetInitializer()[i] = c.tensor
			b, err := onnx.MarshalStamped(m)
			require.NoError(t, err)
			_, err = convert.FromONNX(b)
			require.ErrorIs(t, err, c.as)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestToONNX_RefusesInvalidOptions(t *testing.T) {
	for _, c := range []struct {
		opt  convert.Options
		want string
	}{
		{convert.Options{Body: "soul"}, `body "soul", want function, inline or none`},
		{convert.Options{Inject: "fuel"}, `cannot inject "fuel", want spikes or uniforms`},
		{convert.Options{Seed: -1}, "seed -1, want 0 to 2147483647"},
		{convert.Options{Seed: 1 << 40}, "want 0 to 2147483647"},
	} {
		_, err := convert.ToONNX(converttest.Digits(), c.opt)
		require.ErrorContains(t, err, c.want)
	}
}

// The first layer of the network needs an epsilon_xy of ones, because the second one has
// an epsilon_xy.
func TestToONNX_LimitsTheSizeOfANeutralEpsilonXY(t *testing.T) {
	m := converttest.New(1)
	small := m.SbS(converttest.Window(1, 8200), 2, 3, 4)
	small.EpsilonXY = m.Tensor(0.1, 1, 1, 1)
	n := &convert.Network{
		Input:  convert.Size{Channels: 1, Height: 8200, Width: 8200},
		Layers: []convert.Layer{m.SbS(converttest.Window(1, 1), 1, 2, 4), small},
	}
	_, err := convert.ToONNX(n, convert.Options{})
	require.ErrorContains(t, err, "convert without a function body")
	_, err = convert.ToONNX(n, convert.Options{Body: convert.BodyNone})
	require.NoError(t, err)
}

// TestFromONNX_RefusesDamagedInlineFullLayers damages the values from which the window is read.
func TestFromONNX_RefusesDamagedInlineFullLayers(t *testing.T) {
	n := converttest.Variants()["full layer with everything"]
	m := decode(t, n, convert.Options{Body: convert.BodyInline})
	for _, c := range []struct{ step, want string }{
		{"window_kernel", `node "L0/SbS/patch_planes" is missing`},
		{"window_strides", `initializer "L0/SbS/window_strides" is missing`},
		{"window_dilations", `initializer "L0/SbS/window_dilations" is missing`},
		{"window_pads", `initializer "L0/SbS/window_pads" is missing`},
	} {
		g := m.GetGraph()
		i := slices.IndexFunc(g.GetInitializer(), func(p *onnxpb.TensorProto) bool { return p.GetName() == "L0/SbS/"+c.step })
		require.GreaterOrEqual(t, i, 0, c.step)
		kept := g.GetInitializer()[i]
		for want, damaged := range map[string]*onnxpb.TensorProto{
			c.want: onnx.Int64Tensor("L0/SbS/other", kept.GetInt64Data()...), "": onnx.Int64Tensor(kept.GetName(), 0, 0, 0, 1, 7),
		} {
			g.GetInitializer()[i] = damaged
			b, err := onnx.MarshalStamped(m)
			require.NoError(t, err)
			_, err = convert.FromONNX(b)
			require.ErrorIs(t, err, convert.ErrNotConverted, c.step)
			require.ErrorContains(t, err, want)
		}
		g.GetInitializer()[i] = kept
	}
}

// TestStagesToONNX_DefinesTheOperatorsOfAllStages has a full layer in the first stage only.
func TestStagesToONNX_DefinesTheOperatorsOfAllStages(t *testing.T) {
	s := converttest.Staged()
	s.Stages[0].Network.Layers[0].(*convert.SbS).FullLayer = true
	data, err := convert.StagesToONNX(s, convert.Options{})
	require.NoError(t, err)
	m, err := onnx.Unmarshal(t.Context(), data)
	require.NoError(t, err)
	var names []string
	for _, f := range m.GetFunctions() {
		if f.GetDomain() == sbs.Domain {
			names = append(names, f.GetName())
		}
	}
	require.ElementsMatch(t, []string{"SbS", "SbSFullLayer"}, names)
	back, err := convert.StagesFromONNX(data)
	require.NoError(t, err)
	require.Equal(t, s, back)
}
