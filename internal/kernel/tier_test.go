package kernel

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSelectTier_RefusesNamesThatAreNotAvailable(t *testing.T) {
	all := []Tier{Portable, AVX2, AVX512}
	for _, c := range []struct {
		name  string
		tiers []Tier
		want  Tier
		err   string
	}{
		{name: "", tiers: all, want: AVX512},
		{name: "", tiers: all[:1], want: Portable},
		{name: "portable", tiers: all, want: Portable},
		{name: "avx2", tiers: all, want: AVX2},
		{name: "avx512", tiers: all, want: AVX512},
		{name: "avx-512", tiers: all, want: AVX512, err: `environment variable SBS_KERNEL is "avx-512", which is not available in this program on this machine: unset it, or choose one of portable, avx2, avx512`},
		{name: "AVX2", tiers: all, want: AVX512, err: `SBS_KERNEL is "AVX2"`},
		{name: " avx2", tiers: all, want: AVX512, err: `SBS_KERNEL is " avx2"`},
		{name: "avx512", tiers: all[:2], want: AVX2, err: `SBS_KERNEL is "avx512", which is not available in this program on this machine: unset it, or choose one of portable, avx2`},
		{name: "neon", tiers: []Tier{Portable, NEON}, want: NEON},
		{name: "avx2", tiers: []Tier{Portable, NEON}, want: NEON, err: `SBS_KERNEL is "avx2", which is not available in this program on this machine: unset it, or choose one of portable, neon`},
		{name: "avx2", tiers: all[:1], want: Portable, err: `SBS_KERNEL is "avx2", which is not available in this program on this machine: unset it, or choose one of portable`},
	} {
		got, err := selectTier(c.name, c.tiers)
		require.Equal(t, c.want, got, "%q of %v", c.name, c.tiers)
		if c.err == "" {
			require.NoError(t, err, "%q of %v", c.name, c.tiers)
		} else {
			require.ErrorContains(t, err, c.err)
		}
	}
}

// emulatorVariable is the environment variable that names the program that runs the tests, if
// they were built for another processor.
const emulatorVariable = "SBS_TEST_EMULATOR"

// inOwnProcess runs a test again, in a process with the given value of
// TierVariable, and reports whether this is that process.
func inOwnProcess(t *testing.T, value string) bool {
	t.Helper()
	const mark = "SBS_KERNEL_TEST_PROCESS"
	if os.Getenv(mark) == t.Name() {
		return true
	}
	program := append(strings.Fields(os.Getenv(emulatorVariable)), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd := exec.Command(program[0], program[1:]...)
	cmd.Env = append(os.Environ(), TierVariable+"="+value, mark+"="+t.Name())
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return false
}

func TestCheck_ReportsAnUnknownTier(t *testing.T) {
	if inOwnProcess(t, "avx-512") {
		require.ErrorContains(t, Check(), `environment variable SBS_KERNEL is "avx-512"`)
		require.ErrorContains(t, Check(), `SBS_KERNEL is "avx-512"`, "a second time")
		tiers := Tiers()
		require.Equal(t, tiers[len(tiers)-1], active())
		defer Use(Portable)()
		require.Equal(t, Portable, active())
	}
}

func TestCheck_AcceptsAnAvailableTier(t *testing.T) {
	if inOwnProcess(t, "portable") {
		require.NoError(t, Check())
		require.Equal(t, Portable, active())
		f, err := NewFilters(t.Context(), 1, 1, 1, []float32{1})
		require.NoError(t, err)
		f.Release()
		require.Equal(t, 4, newLayer([]float32{1}, 1, Schedule{Eps: []float32{1}}).Positions())
	}
}

func TestCheck_ReadsTheEnvironmentWhenFirstNeeded(t *testing.T) {
	if inOwnProcess(t, "avx-512") {
		require.NoError(t, os.Setenv(TierVariable, "portable"))
		require.NoError(t, Check())
	}
}

func TestUse_PanicsForATierThatIsNotAvailable(t *testing.T) {
	require.Panics(t, func() { Use(NEON + 1) })
}
