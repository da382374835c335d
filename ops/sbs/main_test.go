package sbs_test

import (
	"flag"
	"os"
	goruntime "runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// TestMain lets the tests have more workers than a small machine has cores. Benchmarks get
// the cores that exist.
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" {
		goruntime.GOMAXPROCS(max(4, goruntime.NumCPU()))
	}
	os.Exit(m.Run())
}

// operator returns an operator of the domain by its name.
func operator(t testing.TB, name string) ops.Operator { return operatorIn(t, sbs.Operators(), name) }

// operatorIn returns the operator with a name in a list.
func operatorIn(t testing.TB, list []ops.Operator, name string) ops.Operator {
	t.Helper()
	i := slices.IndexFunc(list, func(o ops.Operator) bool { return o.Name == name })
	require.GreaterOrEqual(t, i, 0, name)
	return list[i]
}

// newOp returns an operator that is bound to the attributes of a node.
func newOp(t testing.TB, o ops.Operator, a ops.Attributes, inputs int) ops.Op {
	t.Helper()
	op, err := o.New(ops.Node{Attributes: a, Opset: 1, NumInputs: inputs})
	require.NoError(t, err)
	return op
}
