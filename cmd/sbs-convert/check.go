package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// errCannotRun is the error of --check about a model that cannot run. The report has the
// reasons.
var errCannotRun = errors.New("the model cannot run here")

// checkModel prints whether a model can run, or all that it would need.
func (f *flags) checkModel(ctx context.Context, out, stderr io.Writer, path string) error {
	opts := []runtime.Option{runtime.LoadContext(ctx)}
	if f.ignoreChecksum {
		opts = append(opts, runtime.IgnoreChecksum())
	}
	r, err := runtime.Check(path, opts...)
	if ctx.Err() != nil {
		return cli.ErrInterrupted
	}
	if err != nil {
		return err
	}
	cli.PrintWarnings(stderr, r.Warnings...)
	verdict := "can run"
	if len(r.Problems) > 0 {
		verdict = "cannot run"
	}
	buffer := bufio.NewWriter(out) // keeps the first error
	fmt.Fprintf(buffer, "%s: %s (%s)\n", filepath.ToSlash(path), verdict, nodeCount(r.Nodes, r.Inner))
	printProblems(buffer, r.Problems)
	if r.Unchecked > 0 {
		fmt.Fprintf(buffer, "\nnot checked for element types and shapes, which depend on %s: %d nodes\n", dependsOn(r), r.Unchecked)
	}
	if err := buffer.Flush(); err != nil {
		return err
	}
	if len(r.Problems) > 0 {
		return fmt.Errorf("%s: %w", path, errCannotRun)
	}
	return nil
}

func dependsOn(r *runtime.CheckResult) string {
	if len(r.Problems) > 0 {
		return "the nodes above or on values of a run"
	}
	return "values of a run"
}

// nodeCount returns numbers of nodes as a text.
func nodeCount(nodes, inner int) string {
	s := fmt.Sprintf("%d nodes", nodes)
	if nodes == 1 {
		s = "1 node"
	}
	if inner > 0 {
		s += fmt.Sprintf(", %d more in subgraphs", inner)
	}
	return s
}

// kinds are the kinds of problems, in the order in which they are printed.
var kinds = []struct {
	heading string
	is      error // nil for all others
}{
	{"missing operators", runtime.ErrUnknownOperator},
	{"unsupported attributes", ops.ErrAttribute},
	{"unsupported element types", ops.ErrDType},
	{"other problems", nil},
}

// printProblems prints problems by kind. Nodes with the same problem are one entry.
func printProblems(out io.Writer, problems []*runtime.Problem) {
	rest := slices.Clone(problems)
	for _, k := range kinds {
		var list []*runtime.Problem
		rest = slices.DeleteFunc(rest, func(p *runtime.Problem) bool {
			if k.is != nil && !errors.Is(p, k.is) {
				return false
			}
			list = append(list, p)
			return true
		})
		if len(list) == 0 {
			continue
		}
		fmt.Fprintf(out, "\n%s:\n", k.heading)
		for _, g := range grouped(list) {
			g.print(out)
		}
	}
}

// problemGroup is one problem of several nodes.
type problemGroup struct {
	text  string
	nodes []string
}

func grouped(list []*runtime.Problem) []*problemGroup {
	var groups []*problemGroup
	byText := map[string]*problemGroup{}
	for _, p := range list {
		text := describeProblem(p)
		g := byText[text]
		if g == nil {
			g = &problemGroup{text: text}
			groups, byText[text] = append(groups, g), g
		}
		if p.Node != "" {
			g.nodes = append(g.nodes, p.Node)
		}
	}
	return groups
}

// describeProblem describes a problem without its node.
func describeProblem(p *runtime.Problem) string {
	if p.Node == "" {
		return p.Err.Error()
	}
	version := "no version is imported"
	if p.Version > 0 {
		version = fmt.Sprintf("version %d", p.Version)
	}
	domain, name := "", p.Operator
	if i := strings.LastIndex(p.Operator, "."); i >= 0 {
		domain, name = p.Operator[:i], p.Operator[i+1:]
	}
	operator := fmt.Sprintf("%s (%s %s)", name, domainName(domain), version)
	if errors.Is(p, runtime.ErrUnknownOperator) {
		return operator
	}
	return operator + ": " + p.Err.Error()
}

// print prints the problem and all of its nodes.
func (g *problemGroup) print(out io.Writer) {
	fmt.Fprintf(out, "  %s\n", g.text)
	if len(g.nodes) == 0 {
		return
	}
	line := "    nodes:"
	if len(g.nodes) == 1 {
		line = "    node:"
	}
	const width = 100
	for i, name := range g.nodes {
		if i < len(g.nodes)-1 {
			name += ","
		}
		if len(line)+1+len(name) > width && i > 0 {
			fmt.Fprintln(out, line)
			line = "          "
		}
		line += " " + name
	}
	fmt.Fprintln(out, line)
}
