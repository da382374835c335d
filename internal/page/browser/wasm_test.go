package main

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// TestWebAssembly opens the page of examples/wasm from the disk. It classifies a picture, whose answer is
// that of sbs-run, and a drawing.
func TestWebAssembly(t *testing.T) {
	p := start(t, desktop)
	path := filepath.Join(t.TempDir(), "page.html")
	cmd := exec.CommandContext(t.Context(), "go", "run", "./examples/wasm", path)
	cmd.Dir = "../../.."
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	p.do(chromedp.Navigate("file://" + path))
	status := func() string { return p.text("#status") }
	require.Eventually(t, func() bool { return status() == "Ready." }, 30*time.Second, 50*time.Millisecond)

	const picture = 21 // the first 7
	p.do(chromedp.Click(chromedp.CSS("#pictures button:nth-child(22)")))
	require.Eventually(t, func() bool { return status() != "Ready." }, 10*time.Second, 50*time.Millisecond)
	pictures, err := filepath.Glob(models + "mnist/images/*/*.png")
	require.NoError(t, err)
	require.Regexp(t, `^7 at stage 1, after 2,770 spike updates in \d+ ms\.$`, status())
	want := sbsRun(t, "mnist-fast", pictures[picture]).Top[0]
	require.Equal(t, fmt.Sprintf("%s %.2f%%", want.Class, 100*want.Probability), p.text("#bars span")+" "+p.text("#bars b"))
	p.shoot("wasm-picture")

	p.do(chromedp.Click(chromedp.CSS("#clear")))
	require.Equal(t, "Ready.", status())
	p.trace("0", rand.New(rand.NewPCG(1, 2)))
	require.Eventually(t, func() bool { return status() != "Ready." }, 10*time.Second, 50*time.Millisecond)
	require.Regexp(t, `^0 at stage \d, `, status())
	p.shoot("wasm-drawing")
}
