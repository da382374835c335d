package layering

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// pipeline lists the files of internal/graph from the foundation to the top. A file uses
// only files before it.
var pipeline = []string{
	"errors.go", "profile.go", "options.go", "memory.go", // shared by all phases
	"control.go", "graph.go", "variants.go", "program.go", // what the phases produce
	"decode.go", "scope.go", "opsets.go", "order.go", "dynamics.go", "problems.go", "values.go", "bind.go", "function.go", // message to graph
	"infer.go",            // types and constants
	"fuse.go",             // chains of steps
	"frame.go", "plan.go", // memory of a run
	"watch.go", "run.go", "batches.go", // runs
	"subgraph.go", "if.go", "loop.go", "scan.go", "scan8.go", "sequencemap.go", "flexattention.go", "gradient.go", // operators with subgraphs, through all phases
	"crop.go",    // what a model removes from its images
	"compile.go", // calls the phases up to inference
	"generate.go",
}

// knots lists the uses of later files. Graphs contain nodes with subgraphs, which are
// graphs: operators with subgraphs go through all phases, behind the interface control.
var knots = []string{
	"bind.go -> function.go", "bind.go -> subgraph.go",
	"order.go -> subgraph.go", "problems.go -> subgraph.go",
	"control.go -> frame.go", "control.go -> graph.go", "control.go -> infer.go",
	"subgraph.go -> flexattention.go", "subgraph.go -> gradient.go", "subgraph.go -> if.go", "subgraph.go -> loop.go", "subgraph.go -> scan.go", "subgraph.go -> sequencemap.go", "scan.go -> scan8.go",
}

// nothing is an importer of empty packages: only the names of the package itself count.
type nothing struct{}

func (nothing) Import(name string) (*types.Package, error) {
	p := types.NewPackage(name, path.Base(name))
	p.MarkComplete()
	return p, nil
}

func TestGraph_ReadsAsAPipeline(t *testing.T) {
	fset := token.NewFileSet()
	var files []*ast.File
	var names []string
	paths, err := filepath.Glob("../graph/*.go")
	require.NoError(t, err)
	for _, p := range paths {
		if strings.HasSuffix(p, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, p, nil, 0)
		require.NoError(t, err)
		files, names = append(files, f), append(names, filepath.Base(p))
	}
	require.ElementsMatch(t, pipeline, names, "every file has a place")

	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: nothing{}, Error: func(error) {}}
	pkg, _ := config.Check("graph", fset, files, info) // names of other packages are unknown
	base := func(p token.Pos) string { return filepath.Base(fset.Position(p).Filename) }
	later, resolved := map[string]bool{}, 0
	for id, o := range info.Uses {
		if o.Pkg() != pkg || !o.Pos().IsValid() {
			continue
		}
		resolved++
		from, to := base(id.Pos()), base(o.Pos())
		if slices.Index(pipeline, to) > slices.Index(pipeline, from) {
			later[from+" -> "+to] = true
		}
	}
	require.Greater(t, resolved, 2000, "names are resolved")
	var got []string
	for edge := range later {
		got = append(got, edge)
	}
	require.ElementsMatch(t, knots, got)
}
