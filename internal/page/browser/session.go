package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// pathVariable is the environment variable with the path of the browser: Chromium or Chrome.
const pathVariable = "SBS_BROWSER"

// errNoBrowser says that no browser was found where one may be missing.
var errNoBrowser = errors.New("there is no Chromium or Chrome: install one, or set " + pathVariable + " to its path")

// findBrowser returns the path of the browser.
func findBrowser() (string, error) {
	if path := os.Getenv(pathVariable); path != "" {
		found, err := exec.LookPath(path)
		if err != nil {
			return "", fmt.Errorf("%s: %w", pathVariable, err)
		}
		return found, nil
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errNoBrowser
}

// screen describes what the page is shown on.
type screen struct {
	width, height int
	scale         float64 // pixels of the screen per pixel of CSS
	phone         bool    // with a touch screen
	dark          bool
	animated      bool // without it, the page is asked to reduce motion
}

// open starts the browser with an empty page. The function that it returns ends the browser.
func open(ctx context.Context, path string, s screen) (context.Context, func(), error) {
	ctx, stop := context.WithTimeout(ctx, 2*time.Minute)
	ctx, endAllocator := chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path))...)
	ctx, endBrowser := chromedp.NewContext(ctx)
	end := func() {
		endBrowser()
		endAllocator()
		stop()
	}
	color, motion := "light", "reduce"
	if s.dark {
		color = "dark"
	}
	if s.animated {
		motion = "no-preference"
	}
	_, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: int64(s.width), Height: int64(s.height), DeviceScaleFactor: s.scale, Mobile: s.phone,
	})
	if err == nil {
		_, err = chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: color}, {Name: "prefers-reduced-motion", Value: motion},
		}})
	}
	if err == nil && s.phone {
		_, err = chromedp.Call(ctx, emulation.SetTouchEmulationEnabled, emulation.SetTouchEmulationEnabledParams{Enabled: true})
	}
	if err != nil {
		end()
		return nil, nil, fmt.Errorf("the browser %s does not start: %w", path, err)
	}
	return ctx, end, nil
}

// idle is an expression that holds when the page shows the answer to what was asked last, and does
// not play.
const idle = `document.getElementById('lanes').getAttribute('aria-busy') === 'false' && document.getElementById('play-text').textContent === 'Play'`

// wait waits until the page is idle.
func wait() chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Run(ctx, chromedp.Poll[bool](idle, chromedp.WithPollingInterval(50*time.Millisecond)))
		return err
	})
}
