package cli

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spike-by-spike/sbs/internal/kernel"
)

// Version describes the program: its Release, the Go version, and its Platform.
func Version() string {
	return fmt.Sprintf("%s, %s %s", Release(), runtime.Version(), Platform())
}

// Release returns the version of the module and the revision that the program was built from,
// such as "v0.1.0 (abcdef123456)". The revision is left out if it is unknown or part of the
// version.
func Release() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return release(info)
}

// Platform returns the operating system, the processor and the instruction set of the
// kernels, such as "linux/amd64, avx2 kernels".
func Platform() string {
	return fmt.Sprintf("%s/%s, %s", runtime.GOOS, runtime.GOARCH, kernelName())
}

// kernelName describes the kernels that the program uses on this machine.
func kernelName() string {
	if kernel.Check() != nil {
		return "no kernels: " + kernel.TierVariable + " is invalid"
	}
	tiers := kernel.Tiers()
	fastest := tiers[len(tiers)-1].String()
	return cmp.Or(os.Getenv(kernel.TierVariable), fastest) + " kernels"
}

// release returns the Release of a program with the given build information.
func release(info *debug.BuildInfo) string {
	version := info.Main.Version
	if version == "" || version == "(devel)" {
		version = "devel"
	}
	var revision, modified string
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value[:min(len(s.Value), 12)]
		case "vcs.modified":
			if s.Value == "true" {
				modified = ", modified"
			}
		}
	}
	if revision != "" && !strings.Contains(version, revision) {
		version += fmt.Sprintf(" (%s%s)", revision, modified)
	}
	return version
}
