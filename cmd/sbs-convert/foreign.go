package main

import (
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// describeForeign describes a model that sbs-convert did not write. size is the size of
// the file in bytes.
func describeForeign(out io.Writer, path string, m *onnxpb.ModelProto, size int) {
	g := m.GetGraph()
	fmt.Fprintf(out, "%s: an ONNX model that sbs-convert did not write, %s\n", filepath.ToSlash(path), byteCount(size))
	if producer := strings.TrimSpace(m.GetProducerName() + " " + m.GetProducerVersion()); producer != "" {
		fmt.Fprintf(out, "produced by: %s\n", producer)
	}
	for _, o := range m.GetOpsetImport() {
		fmt.Fprintf(out, "operators: %s version %d\n", domainName(o.GetDomain()), o.GetVersion())
	}
	initial := map[string]bool{}
	for _, t := range g.GetInitializer() {
		initial[t.GetName()] = true
	}
	for _, t := range g.GetSparseInitializer() {
		initial[t.GetValues().GetName()] = true
	}
	for _, v := range g.GetInput() {
		if !initial[v.GetName()] {
			fmt.Fprintf(out, "input: %s\n", valueName(v))
		}
	}
	for _, v := range g.GetInput() {
		if initial[v.GetName()] && m.GetIrVersion() > 3 { // earlier files list all initializers
			fmt.Fprintf(out, "input with a default value: %s\n", valueName(v))
		}
	}
	for _, v := range g.GetOutput() {
		fmt.Fprintf(out, "output: %s\n", valueName(v))
	}
	if n := len(g.GetInitializer()) + len(g.GetSparseInitializer()); n > 0 {
		fmt.Fprintf(out, "initializers: %d\n", n)
	}
	inner := 0
	for depth := range onnx.AllNodes(g.GetNode()) {
		inner += min(depth, 1)
	}
	fmt.Fprintf(out, "%s:\n", nodeCount(len(g.GetNode()), inner))
	printOperators(out, g.GetNode(), "  ")
	printSubgraphs(out, g.GetNode(), "  ")
	for _, f := range m.GetFunctions() {
		inputs, outputs := strings.Join(f.GetInput(), ", "), strings.Join(f.GetOutput(), ", ")
		fmt.Fprintf(out, "function %s (%s) -> (%s), %s:\n", operatorName(f.GetDomain(), f.GetName()), inputs, outputs, nodeCount(len(f.GetNode()), 0))
		printOperators(out, f.GetNode(), "  ")
		printSubgraphs(out, f.GetNode(), "  ")
	}
}

// printOperators prints how many of the nodes have each operator.
func printOperators(out io.Writer, nodes []*onnxpb.NodeProto, indent string) {
	operators := map[string]int{}
	for _, n := range nodes {
		operators[operatorName(n.GetDomain(), n.GetOpType())]++
	}
	for _, name := range slices.Sorted(maps.Keys(operators)) {
		fmt.Fprintf(out, "%s%s %d\n", indent, name, operators[name])
	}
}

// printSubgraphs prints the subgraphs of nodes, with those inside them.
func printSubgraphs(out io.Writer, nodes []*onnxpb.NodeProto, indent string) {
	for _, n := range nodes {
		for name, g := range onnx.Subgraphs(n) {
			label := n.GetName()
			if label == "" {
				label = strings.Join(n.GetOutput(), ", ")
			}
			fmt.Fprintf(out, "%s%s of %s %q, %s:\n", indent, name, operatorName(n.GetDomain(), n.GetOpType()), label, nodeCount(len(g.GetNode()), 0))
			for _, v := range g.GetInput() {
				fmt.Fprintf(out, "%s  input: %s\n", indent, valueName(v))
			}
			for _, v := range g.GetOutput() {
				fmt.Fprintf(out, "%s  output: %s\n", indent, valueName(v))
			}
			printOperators(out, g.GetNode(), indent+"  ")
			printSubgraphs(out, g.GetNode(), indent+"  ")
		}
	}
}

// operatorName returns the name of an operator, with its domain unless that is the default.
func operatorName(domain, name string) string {
	if domainName(domain) == domainName("") {
		return name
	}
	return domain + "." + name
}

// domainName returns the name of an operator domain. The default domain has two names.
func domainName(d string) string {
	if d == "" {
		return "ai.onnx"
	}
	return d
}

// valueName returns the name and the type of a value.
func valueName(v *onnxpb.ValueInfoProto) string {
	return v.GetName() + " " + typeName(v.GetType())
}

// typeName returns a type, such as float32(batch, ?) or sequence(int64).
func typeName(t *onnxpb.TypeProto) string {
	switch v := t.GetValue().(type) {
	case *onnxpb.TypeProto_TensorType:
		name := ops.DType(v.TensorType.GetElemType()).String()
		if v.TensorType.GetElemType() == 0 {
			name = "of unknown type"
		}
		if v.TensorType.GetShape() == nil {
			return name + " of unknown rank"
		}
		return fmt.Sprintf("%s(%s)", name, strings.Join(dimensions(v.TensorType.GetShape()), ", "))
	case *onnxpb.TypeProto_SequenceType:
		return fmt.Sprintf("sequence(%s)", typeName(v.SequenceType.GetElemType()))
	case *onnxpb.TypeProto_OptionalType:
		return fmt.Sprintf("optional(%s)", typeName(v.OptionalType.GetElemType()))
	case *onnxpb.TypeProto_MapType:
		return fmt.Sprintf("map(%v, %s)", ops.DType(v.MapType.GetKeyType()), typeName(v.MapType.GetValueType()))
	case *onnxpb.TypeProto_SparseTensorType:
		return fmt.Sprintf("sparse %v(%s)", ops.DType(v.SparseTensorType.GetElemType()), strings.Join(dimensions(v.SparseTensorType.GetShape()), ", "))
	}
	return "of unknown type"
}

// dimensions returns the sizes or symbols of dimensions, and ? for those without either.
func dimensions(shape *onnxpb.TensorShapeProto) []string {
	var dims []string
	for _, d := range shape.GetDim() {
		text := "?"
		switch v := d.GetValue().(type) {
		case *onnxpb.TensorShapeProto_Dimension_DimValue:
			if v.DimValue >= 0 { // some exporters write -1 for an unknown size
				text = fmt.Sprint(v.DimValue)
			}
		case *onnxpb.TensorShapeProto_Dimension_DimParam:
			if v.DimParam != "" {
				text = v.DimParam
			}
		}
		dims = append(dims, text)
	}
	return dims
}
