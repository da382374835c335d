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

// Version describes the program: the version of its module and the revision that it was
// built from, the Go version, the platform, and the instruction set of the kernels.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return describe(info, runtime.Version(), kernelName())
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

// describe returns a text such as "v0.1.0 (abcdef123456), go1.26.0 linux/amd64, avx2
// kernels". The revision is left out if it is unknown or part of the version.
func describe(info *debug.BuildInfo, goVersion, kernels string) string {
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
	return fmt.Sprintf("%s, %s %s/%s, %s", version, goVersion, runtime.GOOS, runtime.GOARCH, kernels)
}
