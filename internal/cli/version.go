package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spike-by-spike/sbs/internal/kernel"
)

// Version describes the program: the version of its module or the revision it was built
// from, the Go version, the platform, and the instruction set of its inner loops.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return describe(info, runtime.Version(), kernelName())
}

func kernelName() string {
	if err := kernel.Check(); err != nil {
		return "unknown kernels"
	}
	tiers := kernel.Tiers()
	return tiers[len(tiers)-1].String() + " kernels"
}

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
