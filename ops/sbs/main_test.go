package sbs_test

import (
	"flag"
	"os"
	goruntime "runtime"
	"testing"
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
