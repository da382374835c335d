package train_test

import (
	"os"
	goruntime "runtime"
	"testing"
)

// TestMain lets the tests have more workers than a small machine has cores.
func TestMain(m *testing.M) {
	goruntime.GOMAXPROCS(max(4, goruntime.NumCPU()))
	os.Exit(m.Run())
}
