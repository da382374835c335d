package runtime_test

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// nodeGenerators returns the generators of all operators.
func nodeGenerators() map[string]generator {
	all := map[string]generator{}
	for _, m := range []map[string]generator{elementwiseNodes(), shapeNodes(), sumNodes(), windowNodes(), quantizedNodes(), mlNodes(), signalNodes(), legacyNodes()} {
		maps.Copy(all, m)
	}
	return all
}

// onnxruntimeVersion returns the version of the package in SBS_ONNXRUNTIME.
func onnxruntimeVersion(t *testing.T) (minor int) {
	data, err := os.ReadFile(filepath.Join(os.Getenv("SBS_ONNXRUNTIME"), "node_modules/onnxruntime-node/package.json"))
	require.NoError(t, err)
	var p struct{ Version string }
	require.NoError(t, json.Unmarshal(data, &p))
	_, err = fmt.Sscanf(p.Version, "1.%d.", &minor)
	require.NoError(t, err)
	return minor
}

// TestInteropNodes_MatchOnnxruntime compares random nodes of all operators with onnxruntime.
// SBS_INTEROP_NODES is the number of nodes of each operator, and SBS_INTEROP_ONLY the only operator
// to compare.
func TestInteropNodes_MatchOnnxruntime(t *testing.T) {
	o := requireOnnxruntime(t)
	count := 8
	if s := os.Getenv("SBS_INTEROP_NODES"); s != "" {
		var err error
		count, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	newest, old := 21, onnxruntimeVersion(t) < 17
	if old {
		newest = 17
	}
	generators := nodeGenerators()
	var names []string
	var models []*generated
	var runs []foreignRun
	for _, name := range slices.Sorted(maps.Keys(generators)) {
		if only := os.Getenv("SBS_INTEROP_ONLY"); only != "" && only != name {
			continue
		}
		h := fnv.New64a()
		h.Write([]byte(name))
		for i := range count {
			g := newGenerated(rand.New(rand.NewPCG(h.Sum64(), uint64(i))), newest)
			if g.IntN(3) == 0 {
				g.opset = oneOf(g, 15, 17, min(18, newest))
			}
			operator, _, _ := strings.Cut(name, "/")
			generators[name](g, operator)
			data, err := onnx.Marshal(g.model())
			require.NoError(t, err)
			names, models, runs = append(names, name), append(models, g), append(runs, foreignRun{data, g.inputs})
		}
	}
	require.NotEmpty(t, models, "SBS_INTEROP_ONLY names no operator with a generator")
	compared := map[string]int{}
	var where []int // the models that are compared
	var jobs []foreignRun
	for i, g := range models {
		if g.comparable(old) {
			where, jobs = append(where, i), append(jobs, runs[i])
			continue
		}
		_, err := g.run(t, runs[i])
		require.NoError(t, err, "%s %d\n%s", names[i], i%count, describe(g))
	}
	theirs := o.runAll(jobs, 1)
	for j, i := range where {
		ok, err := models[i].compare(t, runs[i], theirs[j])
		if err != nil {
			t.Errorf("%s %d: %v\n%s", names[i], i%count, err, describe(models[i]))
		}
		if ok {
			compared[names[i]]++
		}
	}
	total := 0
	for _, name := range slices.Compact(names) {
		total += compared[name]
		if compared[name] == 0 && !old {
			t.Errorf("%s: no node was compared", name)
		}
	}
	t.Logf("onnxruntime %s: %d of %d nodes were compared", theirs[0].Version, total, len(runs))
}

// describe returns the nodes and the types of the inputs as a text.
func describe(g *generated) string {
	var b strings.Builder
	fmt.Fprintf(&b, "opset %d", g.opset)
	for _, n := range g.graph.GetNode() {
		fmt.Fprintf(&b, ", %s(%s)", n.GetOpType(), strings.Join(n.GetInput(), ", "))
		for _, a := range n.GetAttribute() {
			fmt.Fprintf(&b, " %s", abbreviated(a))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(g.inputs)) {
		fmt.Fprintf(&b, ", %s %v%s", name, g.inputs[name], few(g.inputs[name]))
	}
	for _, c := range g.graph.GetInitializer() {
		fmt.Fprintf(&b, ", constant %s %v%s", c.GetName(), g.values[c.GetName()], few(g.values[c.GetName()]))
	}
	return b.String()
}

// few returns the elements of a tensor that has few of them.
func few(x *runtime.Tensor) string {
	if x.Len() > 12 {
		return ""
	}
	return fmt.Sprintf(" = %v", x.Elements())
}

// abbreviated returns the start of the text of an attribute.
func abbreviated(a *onnxpb.AttributeProto) string {
	s := strings.ReplaceAll(a.String(), "\u00a0", " ")
	return s[:min(len(s), 80)]
}

// notImplemented are texts of errors of onnxruntime about nodes that are valid.
var notImplemented = []string{"NOT_IMPLEMENTED", "Could not find an implementation", "data type is not supported", "Tensor type mismatch"}

// run runs a model here.
func (g *generated) run(t *testing.T, run foreignRun) (map[string]*runtime.Tensor, error) {
	m, err := runtime.New(run.model)
	if err != nil {
		return nil, err
	}
	return m.Run(t.Context(), run.inputs)
}

// compare runs a model here and compares its outputs with those of onnxruntime. It reports
// whether onnxruntime implements the node.
func (g *generated) compare(t *testing.T, run foreignRun, theirs foreign) (bool, error) {
	ours, err := g.run(t, run)
	if err != nil {
		return false, fmt.Errorf("%w (onnxruntime: %s)", err, theirs.Error)
	}
	if theirs.Error != "" {
		if slices.ContainsFunc(notImplemented, func(s string) bool { return strings.Contains(theirs.Error, s) }) {
			return false, nil
		}
		return false, fmt.Errorf("onnxruntime: %s", theirs.Error)
	}
	if len(ours) != len(theirs.values) {
		return false, fmt.Errorf("%d outputs, in onnxruntime %d", len(ours), len(theirs.values))
	}
	for name, want := range theirs.values {
		if err := g.near(ours[name], want); err != nil {
			return false, fmt.Errorf("%s: %w", name, err)
		}
	}
	return true, nil
}

// near returns an error unless two tensors have the same type and the same elements: about the
// same for floating-point numbers.
func (g *generated) near(got, want *runtime.Tensor) error {
	if err := ops.TypeOf(want).Check(got); err != nil {
		return err
	}
	tolerance := g.tolerance
	switch want.DType() {
	case ops.Float16:
		tolerance = max(tolerance, 2e-3)
	case ops.Float32:
		tolerance = max(tolerance, 1e-5)
	case ops.Float64:
		tolerance = max(tolerance, 1e-9)
	}
	a, b := elementsOf(got), elementsOf(want)
	for i := range b.Len() {
		if a.Index(i).Equal(b.Index(i)) {
			continue
		}
		if g.truncated && apart(a.Index(i), b.Index(i)) == 1 {
			continue
		}
		x, ok := floatOf(a.Index(i))
		if y, _ := floatOf(b.Index(i)); ok && (math.IsNaN(x) && math.IsNaN(y) || !math.IsInf(y, 0) && math.Abs(x-y) <= tolerance*max(1, math.Abs(y))) {
			continue
		}
		return fmt.Errorf("element %d of %v is %v, in onnxruntime %v", i, want, a.Index(i), b.Index(i))
	}
	return nil
}

// apart returns how far two integers are apart, or -1 for other elements.
func apart(a, b reflect.Value) int64 {
	switch {
	case a.CanInt():
		return max(a.Int(), b.Int()) - min(a.Int(), b.Int())
	case a.CanUint():
		return int64(max(a.Uint(), b.Uint()) - min(a.Uint(), b.Uint()))
	}
	return -1
}
