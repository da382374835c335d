package converttest

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
)

// Staged returns a model with three stages: Digits with few, more and most spikes. The
// first stage has its own weights in the last layer, and the second one those of the last
// stage. With random images, some leave at every stage.
func Staged() *convert.Staged {
	few, more, most := Digits(), Digits(), Digits()
	for _, s := range []struct {
		network *convert.Network
		spikes  int
	}{{few, 4}, {more, 12}} {
		for _, l := range s.network.Layers {
			if l, ok := l.(*convert.SbS); ok {
				l.Spikes = s.spikes
			}
		}
	}
	few.Name, few.Step = "few", 3
	few.Layers[2].(*convert.SbS).Weights = New(5).SbS(Window(3, 1), 5, 3, 1).Weights
	return &convert.Staged{
		Stages: []convert.Stage{{Network: few, Threshold: 0.15}, {Network: more, Threshold: 0.2}, {Network: most}},
		Calibration: &convert.Calibration{
			Images: 1000, Data: "00ff", Source: "MNIST/", MaxAccuracyLoss: 0.1, Confidence: 0.95, Seed: 7,
			Losses: []float64{0.05, 0.02}, Left: []int{600, 300},
		},
	}
}

// Damage is a change after which a model with stages is invalid.
type Damage struct {
	Change func(t testing.TB, m *onnxpb.ModelProto) // of the model that Staged describes
	Want   string                                   // part of the error
}

// DamagedStages returns changes of the model that Staged describes, by name.
func DamagedStages() map[string]Damage {
	const key = "ai.sbs.stages"
	list := func(t testing.TB, m *onnxpb.ModelProto) *onnxpb.StringStringEntryProto {
		i := slices.IndexFunc(m.GetMetadataProps(), func(p *onnxpb.StringStringEntryProto) bool { return p.GetKey() == key })
		require.GreaterOrEqual(t, i, 0)
		return m.GetMetadataProps()[i]
	}
	// replace changes the metadata.
	replace := func(old, replacement, want string) Damage {
		return Damage{func(t testing.TB, m *onnxpb.ModelProto) {
			p := list(t, m)
			require.Contains(t, p.GetValue(), old)
			p.Value = strings.Replace(p.GetValue(), old, replacement, 1)
		}, want}
	}
	// function changes the function of the first stage.
	function := func(change func(f *onnxpb.FunctionProto), want string) Damage {
		return Damage{func(_ testing.TB, m *onnxpb.ModelProto) { change(m.GetFunctions()[1]) }, want}
	}
	return map[string]Damage{
		"no JSON":              replace("{", "[", "metadata ai.sbs.stages is not a list of stages in JSON"),
		"threshold NaN":        replace("0.15", "NaN", "metadata ai.sbs.stages is not a list of stages in JSON"),
		"threshold above 2":    replace("0.15", "2.5", "stage 1: the threshold is 2.5, want 0 to 1"),
		"threshold below 0":    replace("0.15", "-1", "stage 1: the threshold is -1, want 0 to 1"),
		"huge threshold":       replace("0.15", "1e999", "metadata ai.sbs.stages is not a list of stages in JSON"),
		"no threshold":         replace("threshold", "limit", "stage 1 has no threshold"),
		"no stages":            replace("stages", "stagez", "there are 0 stages before the last one, want 1 to 15"),
		"1000 stages":          replace(`[{`, "["+strings.Repeat(`{"function":"Stage1","threshold":0},`, 1000)+"{", "there are 1002 stages before the last one, want 1 to 15"),
		"unnamed function":     replace(`"Stage1"`, `""`, "stage 1: the name of its function is missing"),
		"missing function":     replace("Stage1", "Stage9", `stage 1: function "Stage9"`),
		"same function":        replace("Stage2", "Stage1", `stages 1 and 2 have the same function "Stage1"`),
		"metadata of a stage":  replace("ai.sbs.name", "ai.sbs.stages", `stage 1: a stage cannot have the metadata "ai.sbs.stages"`),
		"calibration":          replace(`"images":1000`, `"images":-1`, "calibration: the number of images is -1"),
		"images that left":     replace("600", "1001", "calibration: 1001 images left at stage 1, but only 1000 of 1000 were still there"),
		"no such initializer":  function(func(f *onnxpb.FunctionProto) { f.Input = append(f.Input, "L9/SbS/W") }, `stage 1: function "Stage1": `),
		"no image":             function(func(f *onnxpb.FunctionProto) { f.Input = f.GetInput()[1:] }, "the first one must be the input of the model"),
		"no input":             function(func(f *onnxpb.FunctionProto) { f.Input = nil }, "the first one must be the input of the model"),
		"same input twice":     function(func(f *onnxpb.FunctionProto) { f.Input = append(f.Input, f.GetInput()[1]) }, "two of its inputs are named"),
		"another output":       function(func(f *onnxpb.FunctionProto) { f.Output = []string{"L2"} }, "its only output must have the name of the output of the model"),
		"two outputs":          function(func(f *onnxpb.FunctionProto) { f.Output = append(f.Output, "L2") }, "its only output must have the name of the output of the model"),
		"attributes":           function(func(f *onnxpb.FunctionProto) { f.Attribute = []string{"a"} }, "it has attributes, but nothing sets them"),
		"weights not an input": function(func(f *onnxpb.FunctionProto) { f.Input = slices.DeleteFunc(f.GetInput(), isFirstW) }, "L0/SbS"),
		"no nodes":             function(func(f *onnxpb.FunctionProto) { f.Node = nil }, "stage 1: "),
		"two functions":        {func(_ testing.TB, m *onnxpb.ModelProto) { m.GetFunctions()[2].Name = "Stage1" }, `are named "Stage1"`},
		"removed initializer":  {func(_ testing.TB, m *onnxpb.ModelProto) { m.GetGraph().Initializer = m.GetGraph().GetInitializer()[1:] }, "is not an initializer of the model"},
		"second input of model": {func(_ testing.TB, m *onnxpb.ModelProto) {
			m.GetGraph().Input = append(m.GetGraph().GetInput(), &onnxpb.ValueInfoProto{Name: "y"})
		}, "the model has 2 inputs and 1 outputs"},
		"metadata twice": {func(t testing.TB, m *onnxpb.ModelProto) {
			m.MetadataProps = append(m.GetMetadataProps(), list(t, m))
		}, "the metadata has the key ai.sbs.stages more than once"},
		"weights of another shape": {func(t testing.TB, m *onnxpb.ModelProto) {
			for _, n := range m.GetFunctions()[1].GetNode() {
				if n.GetName() == "L2/SbS/W" {
					n.GetAttribute()[0].T = onnx.Float32Tensor("L2/SbS/W", []int{45, 2}, make([]float32, 90))
					return
				}
			}
			require.Fail(t, "the stage has no weights of its own")
		}, "stage "},
	}
}

func isFirstW(name string) bool { return name == "L0/SbS/W" }
