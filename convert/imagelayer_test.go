package convert_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

func TestCheck_RefusesNumbersOfSpikesOfImages(t *testing.T) {
	n := &convert.Network{Input: convert.Size{Channels: 1, Height: 2, Width: 2}}
	for want, l := range map[string]convert.Layer{
		"layer 0 (Poisson): number_of_spikes is 0, want 1 to 16777216":           &convert.Poisson{},
		"layer 0 (Poisson): number_of_spikes is -1, want 1 to 16777216":          &convert.Poisson{Spikes: -1},
		"layer 0 (Poisson): number_of_spikes is 16777217, want 1 to 16777216":    &convert.Poisson{Spikes: sbs.MaxSpikes + 1},
		"layer 0 (SpikeImage): number_of_spikes is -1, want 0 to 16777216":       &convert.SpikeImage{Spikes: -1},
		"layer 0 (SpikeImage): number_of_spikes is 16777217, want 0 to 16777216": &convert.SpikeImage{Spikes: sbs.MaxSpikes + 1},
		"layer 0 is nil": (*convert.Poisson)(nil),
	} {
		n.Layers = []convert.Layer{l}
		require.ErrorContains(t, n.Check(), want)
	}
	for _, l := range []convert.Layer{&convert.Poisson{Spikes: sbs.MaxSpikes}, &convert.SpikeImage{Spikes: sbs.MaxSpikes}} {
		n.Layers = []convert.Layer{l}
		_, err := convert.ToONNX(n, convert.Options{})
		require.NoError(t, err)
	}
}

func TestInjectedName_OfImageLayers(t *testing.T) {
	n := converttest.ImageLayers()["spike image before Poisson"]
	require.Equal(t, "L0/SpikeImage/spikes", convert.InjectedName(n, 0, convert.InjectSpikes))
	require.Equal(t, "L1/Poisson/uniforms", convert.InjectedName(n, 1, convert.InjectUniforms))
	require.Empty(t, convert.InjectedName(n, 0, convert.InjectNothing))
	require.Empty(t, convert.InjectedName(converttest.ImageLayers()["spike image without spikes"], 0, convert.InjectSpikes))
	require.Empty(t, convert.InjectedName(&convert.Network{Layers: []convert.Layer{(*convert.Poisson)(nil), nil}}, 0, convert.InjectSpikes))

	inputs := func(inject convert.Inject) (all []string) {
		for _, v := range decode(t, n, convert.Options{Inject: inject}).GetGraph().GetInput()[1:] {
			s := v.GetName()
			for _, d := range v.GetType().GetTensorType().GetShape().GetDim() {
				s += fmt.Sprintf(" %s%d", d.GetDimParam(), d.GetDimValue())
			}
			all = append(all, fmt.Sprintf("%s of type %d", s, v.GetType().GetTensorType().GetElemType()))
		}
		return all
	}
	require.Equal(t, []string{"L0/SpikeImage/spikes batch0 30 1 1 of type 7", "L1/Poisson/spikes batch0 2 6 5 of type 7", "L2/SbS/spikes batch0 50 1 1 of type 7"}, inputs(convert.InjectSpikes))
	for layer, what := range []string{"spikes", "counts", "spikes"} {
		in := decode(t, n, convert.Options{Inject: convert.InjectUniforms}).GetGraph().GetInput()[1+layer]
		require.Equal(t, "The uniform numbers, in [0, 1), from which the "+what+" of this layer are drawn.", in.GetDocString())
	}
	require.Equal(t, []string{"L0/SpikeImage/uniforms batch0 30 1 1 of type 1", "L1/Poisson/uniforms batch0 2 6 5 of type 1", "L2/SbS/uniforms batch0 50 1 1 of type 1"}, inputs(convert.InjectUniforms))
}

// TestOptionsOf_ReadsTheSeedOfAllLayers writes networks again with the options of the file.
func TestOptionsOf_ReadsTheSeedOfAllLayers(t *testing.T) {
	networks := converttest.ImageLayers()
	networks["Poisson and Conv"] = &convert.Network{Step: -1, Input: convert.Size{Channels: 1, Height: 2, Width: 2}, Layers: []convert.Layer{&convert.ReLU{}, &convert.Poisson{Spikes: 3}}}
	for name, n := range networks {
		for _, body := range []convert.Body{convert.BodyFunction, convert.BodyNone} {
			for _, inject := range []convert.Inject{convert.InjectNothing, convert.InjectSpikes, convert.InjectUniforms} {
				want := convert.Options{Seed: 41, Body: body, Batch: 2, Inject: inject}
				data, err := convert.ToONNX(n, want)
				require.NoError(t, err)
				opt, err := convert.OptionsOf(data)
				require.NoError(t, err)
				require.Equal(t, want, opt, name)
			}
		}
		m := decode(t, n, convert.Options{Seed: 41})
		seeds := map[float32]bool{}
		for _, node := range m.GetGraph().GetNode() {
			if node.GetDomain() != sbs.Domain {
				continue
			}
			attrs, err := onnx.Attributes(node)
			require.NoError(t, err)
			seed := attrs[sbs.AttrFunctionSeed].(float32)
			require.False(t, seeds[seed], name)
			seeds[seed] = true
		}
	}
}

func TestFromONNX_RefusesDamagedImageLayers(t *testing.T) {
	for _, l := range []convert.Layer{&convert.Poisson{Spikes: 3}, &convert.SpikeImage{Spikes: 3}} {
		n := &convert.Network{Step: -1, Input: convert.Size{Channels: 1, Height: 2, Width: 2}, Layers: []convert.Layer{l}}
		data, err := convert.ToONNX(n, convert.Options{Body: convert.BodyInline})
		require.NoError(t, err)
		old := "L0/" + l.Kind() + "/number_of_spikes"
		damaged := bytes.ReplaceAll(data, []byte(old), []byte(old[:len(old)-1]+"d"))
		_, err = convert.FromONNX(damaged, convert.IgnoreChecksum())
		require.ErrorIs(t, err, convert.ErrNotConverted)
		require.ErrorContains(t, err, fmt.Sprintf("initializer %q is missing", old))

		for _, spikes := range []int64{0, -5, sbs.MaxSpikes + 1} {
			m := decode(t, n, convert.Options{Body: convert.BodyInline})
			for i, p := range m.GetGraph().GetInitializer() {
				if p.GetName() == old {
					m.GetGraph().Initializer[i] = onnx.Int64Tensor(old, spikes)
				}
			}
			requireRefused(t, m, "is "+fmt.Sprint(spikes))
			m = decode(t, n, convert.Options{})
			for _, node := range m.GetGraph().GetNode() {
				for _, a := range node.GetAttribute() {
					if a.GetName() == sbs.AttrSpikes {
						a.I = &spikes
					}
				}
			}
			requireRefused(t, m, "number_of_spikes is "+fmt.Sprint(spikes))
		}
	}
}

func requireRefused(t *testing.T, m *onnxpb.ModelProto, want string) {
	t.Helper()
	data, err := onnx.MarshalStamped(m)
	require.NoError(t, err)
	_, err = convert.FromONNX(data)
	require.ErrorContains(t, err, want)
}
