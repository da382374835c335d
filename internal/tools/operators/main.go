// Command operators writes docs/operators.md, the table of the operators that models may use.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/internal/atomicfile"
	"github.com/spike-by-spike/sbs/internal/graph"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/std"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: operators FILE.md")
		os.Exit(2)
	}
	text, err := document()
	if err == nil {
		err = atomicfile.Write(os.Args[1], text)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const intro = `# Operators

<!-- Written by go generate: do not edit. -->

%d operators of the standard operator sets %d to %d, and %d of other domains, are built in. A model
may define more, as functions, and a Go program may add some with ` + "`runtime.WithOperators`" + `.
` + "`sbs-convert --check model.onnx`" + ` says what a model needs that is missing.

- **Versions** are the versions of the operator set in which the operator was added or changed. A model gets the
  last one up to the version that it imports.
- **Inputs** and **outputs** are the numbers that a node may have; n means any number.
- **Types** are the element types of the first input. They were found by running each operator on small tensors of
  all types, in its newest version. Operators with subgraphs, and Gradient, cannot run alone; their types are those
  of their definitions. Groups of types: *float* is float16, bfloat16, float32 and float64; *int* is int8, int16,
  int32 and int64; *uint* is uint8, uint16, uint32 and uint64; *float8* is its four kinds with a sign; *small int* is
  int4, uint4, int2 and uint2; all is all of these, bool, string, float8e8m0 and float4e2m1. Most operators compute
  float16 and bfloat16 in float32.

Package ` + "`ops/sbs`" + ` documents the operators of ` + "`ai.sbs`" + `.
`

// document returns the text of the file.
func document() ([]byte, error) {
	byDomain := map[string][]ops.Operator{}
	for _, o := range graph.Operators() {
		byDomain[o.Domain] = append(byDomain[o.Domain], o)
	}
	var errs []error
	others := 0
	for domain, list := range byDomain {
		if domain != "" {
			others += len(list)
		}
	}
	var b bytes.Buffer
	first, last := graph.Opsets()
	fmt.Fprintf(&b, intro, len(byDomain[""]), first, last, others)
	for _, domain := range slices.Sorted(maps.Keys(byDomain)) {
		name := domain
		if domain == "" {
			name = "ai.onnx"
		}
		fmt.Fprintf(&b, "\n## %s\n\n| operator | versions | inputs | outputs | types |\n|---|---|---|---|---|\n", name)
		list := byDomain[domain]
		slices.SortFunc(list, func(a, b ops.Operator) int { return strings.Compare(a.Name, b.Name) })
		for _, o := range list {
			types, err := typesOf(o)
			errs = append(errs, err)
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", o.Name, numbers(o.Versions), bounds(o.MinInputs, o.MaxInputs), bounds(o.MinOutputs, o.MaxOutputs), types)
		}
		if domain == "" {
			printMissing(&b, list)
		}
	}
	return b.Bytes(), errors.Join(errs...)
}

// printMissing lists the standard operators that are not built in.
func printMissing(b *bytes.Buffer, list []ops.Operator) {
	versions := std.Versions()
	for _, o := range list {
		delete(versions, o.Name)
	}
	if len(versions) == 0 {
		return
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		names = append(names, fmt.Sprintf("%s (%s)", name, numbers(versions[name])))
	}
	fmt.Fprintf(b, "\nMissing, with their versions: %s.\n", strings.Join(names, ", "))
}

// numbers lists versions.
func numbers(versions []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(versions), " ", ", "), "[]")
}

// bounds returns the numbers of inputs or outputs.
func bounds(lo, hi int) string {
	switch hi {
	case lo:
		return fmt.Sprint(lo)
	case ops.Variadic:
		return fmt.Sprintf("%d–n", lo)
	}
	return fmt.Sprintf("%d–%d", lo, hi)
}
