package runtime_test

import (
	"os"
	goruntime "runtime"
	"testing"
)

// TestMain allows at least 4 workers, also on machines with fewer cores.
func TestMain(m *testing.M) {
	goruntime.GOMAXPROCS(max(4, goruntime.NumCPU()))
	os.Exit(m.Run())
}
