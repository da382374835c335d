package graph

//go:generate go run ../tools/operators ../../docs/operators.md
