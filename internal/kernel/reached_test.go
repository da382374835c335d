//go:build linux

package kernel

import (
	"bufio"
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// reachedVariable is the environment variable that names the emulator of arm64 for
// TestNEON_EveryInstructionIsReached.
const reachedVariable = "SBS_KERNEL_REACHED"

// TestNEON_EveryInstructionIsReached runs the tests of the package, built for arm64, in qemu-user, which
// logs the instructions that it translates because they are reached. All instructions of the
// assembly have to be among them.
func TestNEON_EveryInstructionIsReached(t *testing.T) {
	emulator := os.Getenv(reachedVariable)
	if emulator == "" {
		t.Skip(reachedVariable + " is not set: make emulated sets it")
	}
	program, log := filepath.Join(t.TempDir(), "kernel.test"), filepath.Join(t.TempDir(), "log")
	build := exec.Command("go", "test", "-c", "-o", program)
	build.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	run := exec.Command(emulator, "-d", "in_asm", "-D", log, program, "-test.short", "-test.skip=^TestScratchRun_StopsSoon$")
	run.Env = append(os.Environ(), reachedVariable+"=", emulatorVariable+"="+emulator)
	out, err = run.CombinedOutput()
	require.NoError(t, err, "%s", out)

	reached := reachedAddresses(t, log)
	stubs, err := os.ReadFile("stubs_arm64.go")
	require.NoError(t, err)
	functions := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^func (\w+)\(`).FindAllSubmatch(stubs, -1) {
		functions[string(m[1])] = true
	}
	file, err := elf.Open(program)
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	symbols, err := file.Symbols()
	require.NoError(t, err)
	for _, s := range symbols {
		name, ok := strings.CutPrefix(strings.TrimSuffix(s.Name, ".abi0"), "github.com/spike-by-spike/sbs/internal/kernel.")
		if !ok || !functions[name] {
			continue
		}
		delete(functions, name)
		code := make([]byte, s.Size)
		_, err := file.Sections[s.Section].ReadAt(code, int64(s.Value-file.Sections[s.Section].Addr))
		require.NoError(t, err)
		for at := uint64(0); at < s.Size; at += 4 {
			if padding := binary.LittleEndian.Uint32(code[at:]) == 0; !padding && !reached[s.Value+at] {
				t.Errorf("%s: no test reaches the instruction at %#x of %#x", name, at, s.Size)
				break
			}
		}
	}
	require.Empty(t, functions, "functions that the linker has removed")
}

// reachedAddresses returns the addresses in a log of qemu.
func reachedAddresses(t *testing.T, log string) map[uint64]bool {
	t.Helper()
	f, err := os.Open(log)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	reached := map[uint64]bool{}
	for s := bufio.NewScanner(f); s.Scan(); {
		if address, _, ok := strings.Cut(s.Text(), ":"); ok && strings.HasPrefix(address, "0x") {
			at, err := strconv.ParseUint(address, 0, 64)
			require.NoError(t, err)
			reached[at] = true
		}
	}
	return reached
}
