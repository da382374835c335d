package cli

import (
	"os/exec"
	"regexp"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/kernel"
)

func TestRelease_NamesVersionAndRevision(t *testing.T) {
	const revision = "abcdef1234567890abcdef1234567890abcdef12"
	for _, c := range []struct {
		name               string
		version            string
		revision, modified string
		want               string
	}{
		{"without build information", "", "", "", "devel"},
		{"in the work tree", "(devel)", revision, "false", "devel (abcdef123456)"},
		{"in a modified work tree", "(devel)", revision, "true", "devel (abcdef123456, modified)"},
		{"at a tag", "v0.1.0", revision, "false", "v0.1.0 (abcdef123456)"},
		{"by go install", "v0.1.0", "", "", "v0.1.0"},
		{"after a tag", "v0.1.1-0.20260102030405-abcdef123456", revision, "false", "v0.1.1-0.20260102030405-abcdef123456"},
		{"after a tag and modified", "v0.1.1-0.20260102030405-abcdef123456+dirty", revision, "true", "v0.1.1-0.20260102030405-abcdef123456+dirty"},
		{"with a short revision", "(devel)", "12345", "false", "devel (12345)"},
	} {
		info := &debug.BuildInfo{Main: debug.Module{Version: c.version}}
		if c.revision != "" {
			info.Settings = []debug.BuildSetting{
				{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: c.revision}, {Key: "vcs.modified", Value: c.modified},
			}
		}
		require.Equal(t, c.want, release(info), c.name)
	}
}

func TestVersion_NamesTheKernelsInUse(t *testing.T) {
	tiers := kernel.Tiers()
	for variable, want := range map[string]string{
		"":         tiers[len(tiers)-1].String() + " kernels",
		"portable": "portable kernels",
		"avx-512":  "no kernels: SBS_KERNEL is invalid",
	} {
		out, err := process(t, []string{kernel.TierVariable + "=" + variable}, "--version").Output()
		var exit *exec.ExitError
		if err != nil {
			require.ErrorAs(t, err, &exit)
			t.Fatalf("%v: %s", err, exit.Stderr)
		}
		require.Regexp(t, `^test \S+( \([^)]*\))?, `+regexp.QuoteMeta(runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH+", "+want)+`\n$`, string(out))
	}
}
