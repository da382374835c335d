// Package layering tests that packages import only those that they may import, and
// that files are short.
package layering

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/spike-by-spike/sbs/"

// allowed lists, for every package, the packages of this module that its code outside
// of tests may import. A new package must be added here.
var allowed = map[string][]string{
	"internal/atomicfile":          nil,
	"internal/clitest":             {"internal/npy"},
	"internal/fourier":             {"internal/portmath"},
	"internal/imagefile":           {"internal/sniff"},
	"internal/kernel":              {"internal/portmath"},
	"internal/layering":            nil,
	"internal/lock":                nil,
	"internal/minifloat":           nil,
	"internal/metadata":            nil,
	"internal/pickle":              nil,
	"internal/sniff":               nil,
	"internal/npy":                 {"internal/minifloat", "internal/sniff"},
	"internal/onnx/onnxpb":         nil,
	"internal/parallel":            nil,
	"internal/portmath":            nil,
	"internal/poisson":             {"internal/kernel", "internal/portmath"},
	"internal/noise":               {"internal/kernel", "internal/poisson", "internal/portmath"},
	"internal/onnx":                {"internal/atomicfile", "internal/metadata", "internal/onnx/onnxpb", "internal/sniff", "ops"},
	"internal/chart":               {"internal/atomicfile"},
	"internal/tfevents":            {"internal/atomicfile"},
	"internal/trainlog":            {"internal/chart", "internal/atomicfile"},
	"internal/calibrate":           nil,
	"internal/measure":             {"classify", "runtime", "internal/dataset", "internal/noise", "internal/parallel"},
	"internal/dataset":             {"internal/imagefile", "internal/metadata", "internal/npy", "internal/parallel", "internal/pickle", "internal/sniff"},
	"ops":                          {"internal/minifloat", "internal/parallel"},
	"ops/std":                      {"ops", "internal/fourier", "internal/imagefile", "internal/kernel", "internal/minifloat", "internal/parallel", "internal/portmath"},
	"ops/ml":                       {"ops", "internal/kernel", "internal/portmath"},
	"ops/sbs":                      {"ops", "ops/std", "internal/kernel", "internal/parallel", "internal/poisson", "internal/portmath"},
	"ops/preview":                  {"ops", "internal/portmath"},
	"ops/opstest":                  {"ops", "internal/npy"},
	"internal/graph":               {"internal/metadata", "ops", "ops/ml", "ops/preview", "ops/std", "ops/sbs", "internal/kernel", "internal/onnx", "internal/onnx/onnxpb", "internal/parallel"},
	"runtime":                      {"ops", "ops/sbs", "internal/graph", "internal/metadata", "internal/onnx", "internal/onnx/onnxpb"},
	"runtime/onnxgo":               {"runtime", "ops", "ops/sbs", "internal/onnx", "internal/onnx/onnxpb"},
	"convert":                      {"ops", "ops/sbs", "internal/metadata", "internal/onnx", "internal/onnx/onnxpb"},
	"internal/c99":                 {"convert", "internal/onnx", "ops", "ops/sbs"},
	"importers/pytorch":            {"convert", "internal/atomicfile", "internal/npy", "internal/sniff", "ops", "ops/sbs"},
	"classify":                     {"internal/dataset", "internal/imagefile", "internal/metadata", "internal/noise", "internal/parallel", "internal/portmath", "ops", "runtime"},
	"train":                        {"runtime", "ops", "ops/sbs", "internal/atomicfile", "internal/graph", "internal/metadata", "internal/noise", "internal/onnx", "internal/onnx/onnxpb", "internal/portmath"},
	"internal/cli":                 {"convert", "ops/sbs", "runtime", "internal/kernel", "internal/lock", "internal/noise", "internal/onnx", "internal/onnx/onnxpb"},
	"internal/converttest":         {"convert", "ops", "ops/sbs", "internal/onnx", "internal/onnx/onnxpb"},
	"internal/modeltest":           {"convert", "importers/pytorch", "ops", "ops/opstest", "internal/converttest"},
	"internal/tools/clustermodel":  {"internal/chart"},
	"internal/tools/cycles":        {"internal/atomicfile"},
	"internal/tools/picture":       {"classify", "convert", "importers/pytorch", "runtime"},
	"internal/tools/operators":     {"internal/atomicfile", "internal/graph", "ops", "ops/sbs", "ops/std"},
	"internal/tools/operatorspeed": {"internal/onnx", "internal/onnx/onnxpb", "ops", "runtime"},
	"internal/tools/stamp":         {"internal/atomicfile", "internal/onnx"},
	"internal/tools/prototypes":    {"internal/atomicfile", "internal/dataset", "internal/npy"},
	"cmd/sbs-convert":              {"convert", "importers/pytorch", "ops", "ops/sbs", "internal/atomicfile", "internal/c99", "internal/cli", "internal/onnx", "internal/onnx/onnxpb", "internal/sniff", "runtime"},
	"internal/tensors":             {"internal/atomicfile", "internal/cli", "internal/minifloat", "internal/npy", "ops", "runtime"},
	"internal/classification":      {"classify", "internal/atomicfile", "internal/cli", "internal/onnx", "internal/tensors", "runtime"},
	"cmd/sbs-run":                  {"internal/classification", "internal/cli"},
	"internal/training":            {"convert", "importers/pytorch", "internal/atomicfile", "internal/cli", "internal/dataset", "internal/lock", "internal/metadata", "internal/noise", "internal/onnx", "internal/tfevents", "internal/trainlog", "ops", "ops/sbs", "runtime", "train"},
	"cmd/sbs-train":                {"internal/cli", "internal/training"},
	"internal/sweep":               {"classify", "internal/atomicfile", "internal/chart", "internal/cli", "internal/dataset", "internal/measure", "internal/metadata", "internal/noise", "internal/onnx", "internal/onnx/onnxpb", "internal/trainlog", "ops/sbs", "runtime"},
	"internal/trials":              {"internal/atomicfile", "internal/chart", "internal/cli", "internal/lock", "internal/measure", "internal/training", "internal/trainlog"},
	"internal/page":                {"classify", "convert", "internal/cli", "internal/dataset", "internal/metadata", "internal/noise", "models", "ops", "runtime"},
	"models":                       nil,
	"cmd/sbs-sweep":                {"internal/cli", "internal/sweep"},
	"internal/serve/oip":           nil,
	"internal/serve/inference":     {"ops"},
	"internal/serve/batch":         {"internal/serve/inference", "ops", "runtime"},
	"internal/serve/models":        {"classify", "internal/cli", "internal/imagefile", "internal/metadata", "internal/serve/batch", "internal/serve/inference", "ops", "ops/sbs", "runtime"},
	"internal/serve/metrics":       {"internal/cli", "runtime"},
	"internal/serve/gate":          {"internal/cli", "internal/serve/inference", "internal/serve/metrics", "internal/serve/models"},
	"internal/serve/rest":          {"internal/cli", "internal/serve/gate", "internal/serve/inference", "internal/serve/models", "ops"},
	"internal/serve/rpc":           {"internal/cli", "internal/serve/gate", "internal/serve/inference", "internal/serve/models", "internal/serve/oip", "ops"},
	"internal/serve":               {"internal/cli", "internal/onnx", "internal/page", "internal/serve/gate", "internal/serve/metrics", "internal/serve/models", "internal/serve/rest", "internal/serve/rpc", "runtime"},
	"cmd/sbs-serve":                {"internal/cli", "internal/serve"},
	"cmd/sbs-optimize":             {"convert", "internal/atomicfile", "internal/calibrate", "internal/chart", "internal/cli", "internal/dataset", "internal/lock", "internal/measure", "internal/metadata", "internal/noise", "internal/onnx", "internal/training", "ops/sbs", "runtime"},
	"examples":                     nil,
	"examples/classify-folder":     {"classify", "convert", "importers/pytorch", "runtime"},
	"examples/fine-tune":           {"classify", "convert", "importers/pytorch", "ops/sbs", "runtime", "train"},
	"examples/http-service":        {"classify", "convert", "importers/pytorch", "runtime"},
	"examples/spikes-over-time":    {"classify", "convert", "importers/pytorch", "runtime"},
	"examples/wasm":                {"classify"},
}

func TestPackages_ImportOnlyAllowedPackages(t *testing.T) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = "../.."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	seen := 0
	for d := json.NewDecoder(bytes.NewReader(out)); ; seen++ {
		var p struct {
			ImportPath string
			Imports    []string
		}
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		name := strings.TrimPrefix(p.ImportPath, module)
		may, known := allowed[name]
		require.True(t, known, "package %s is not in the table of allowed imports", name)
		for _, i := range p.Imports {
			if imported, ok := strings.CutPrefix(i, module); ok {
				require.Contains(t, may, imported, "%s must not import %s", name, imported)
			}
		}
	}
	require.Equal(t, len(allowed), seen, "the table of allowed imports has packages that do not exist")
}

// TestGorgonia_IsLinkedByOnnxgoOnly checks that only runtime/onnxgo depends on gorgonia
// and onnx-go, which add 17 MB to a program.
func TestGorgonia_IsLinkedByOnnxgoOnly(t *testing.T) {
	links := func(packages ...string) bool {
		cmd := exec.Command("go", append([]string{"list", "-deps"}, packages...)...)
		cmd.Dir = "../.."
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		require.NoError(t, err)
		return bytes.Contains(out, []byte("gorgonia.org/")) || bytes.Contains(out, []byte("onnx-go"))
	}
	require.False(t, links("./cmd/...", "./runtime", "./classify", "./convert", "./importers/...", "./train"))
	require.True(t, links("./runtime/onnxgo"), "this test does not find dependencies")
}

// maxLines is the largest number of lines of a file that is not generated.
const maxLines = 500

func TestFiles_AreShort(t *testing.T) {
	checked := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, ".pb.go") || d.Name() == "stubs_amd64.go" || d.Name() == "stubs_arm64.go" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		checked++
		if n := bytes.Count(b, []byte("\n")); n > maxLines {
			t.Errorf("%s has %d lines, want at most %d", path, n, maxLines)
		}
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, checked, 50)
}

// TestFiles_AreNoPrograms checks that no program that go build has left in a folder is in the
// repository.
func TestFiles_AreNoPrograms(t *testing.T) {
	cmd := exec.Command("git", "ls-files", "-z")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Skip("this is not a clone of the repository:", err)
	}
	names := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	require.Greater(t, len(names), 50)
	for _, name := range names {
		f, err := os.Open(filepath.Join("../..", name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, but not committed
		}
		require.NoError(t, err)
		start := make([]byte, 4)
		n, _ := io.ReadFull(f, start) // a file may be shorter
		require.NoError(t, f.Close())
		for _, magic := range []string{"\x7fELF", "\xcf\xfa\xed\xfe", "MZ"} { // Linux, macOS, Windows
			require.False(t, strings.HasPrefix(string(start[:n]), magic), "%s is a program: remove it", name)
		}
	}
}

func TestAllowedImports_AreConsistent(t *testing.T) {
	for name, may := range allowed {
		require.False(t, slices.Contains(may, name), name)
		for _, m := range may {
			require.Contains(t, allowed, m, "%s may import %s, which is not in the table", name, m)
		}
	}
	require.NotContains(t, allowed["runtime"], "convert")
	require.NotContains(t, allowed["convert"], "runtime")
}
