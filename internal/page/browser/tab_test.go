package main

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

const models = "../../../models/"

var desktop = screen{width: 1180, height: 860, scale: 1}

// tab is a tab of the browser.
type tab struct {
	t   *testing.T
	ctx context.Context
	url string // of the page

	mayFail string // requests that fail with this status are no complaint

	mu      sync.Mutex
	console []string // what the browser complains about
}

// paths returns the files of models of this repository.
func paths(names []string) (list []string) {
	for _, n := range names {
		list = append(list, filepath.Join(models, n, "model.onnx"))
	}
	return list
}

// openPage opens the page with models of this repository. The test fails if the browser reports an
// error or a violation of the Content-Security-Policy.
func openPage(t *testing.T, s screen, fragment string, names ...string) *tab {
	t.Helper()
	url, end, err := serve(t.Context(), paths(names)...)
	require.NoError(t, err)
	t.Cleanup(end)
	return openURL(t, s, url, fragment)
}

// serveThrough serves the page with models of this repository. before is called before every request,
// which is not answered if it returns false.
func serveThrough(t *testing.T, before func(w http.ResponseWriter, r *http.Request) bool, names ...string) string {
	t.Helper()
	inner, end, err := serve(t.Context(), paths(names)...)
	require.NoError(t, err)
	t.Cleanup(end)
	target, err := url.Parse(inner)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = log.New(io.Discard, "", 0) // of requests that the page has ended
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if before(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// openURL opens the page of a server.
func openURL(t *testing.T, s screen, url, fragment string) *tab {
	t.Helper()
	p := start(t, s)
	p.do(chromedp.Navigate(url+"/"+fragment), wait())
	p.url = url
	return p
}

// start starts the browser.
func start(t *testing.T, s screen) *tab {
	t.Helper()
	path, err := findBrowser()
	if errors.Is(err, errNoBrowser) {
		t.Skip(err) // .ci/run sets the variable, so that it is an error there
	}
	require.NoError(t, err)
	ctx, end, err := open(context.Background(), path, s)
	require.NoError(t, err)
	p := &tab{t: t, ctx: ctx}
	messages := chromedp.Console(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m, err := range messages {
			if err != nil {
				return
			}
			if p.mayFail != "" && strings.Contains(m.Text, "the server responded with a status of "+p.mayFail) {
				continue
			}
			if m.IsException() || m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleWarning || m.Source == "security" {
				p.mu.Lock()
				p.console = append(p.console, m.String())
				p.mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() {
		if t.Failed() {
			p.shoot("failed-" + strings.ReplaceAll(t.Name(), "/", "-"))
		}
		end()
		<-done
		p.mu.Lock()
		defer p.mu.Unlock()
		require.Empty(t, p.console, "the console of the browser")
	})
	return p
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	require.NoError(p.t, chromedp.Do(p.ctx, steps...))
}

// value returns the value of a JavaScript expression.
func value[T any](p *tab, expression string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	require.NoError(p.t, err, expression)
	return v
}

// text returns the text of the first element that a selector selects.
func (p *tab) text(selector string) string {
	p.t.Helper()
	quoted, _ := json.Marshal(selector)
	return strings.TrimSpace(value[string](p, "document.querySelector("+string(quoted)+").textContent"))
}

// set changes a control as people do, with the events that it sends, and waits for the answer.
func (p *tab) set(id, text string) {
	p.t.Helper()
	quoted, _ := json.Marshal(text)
	value[bool](p, `(() => {
		const e = document.getElementById('`+id+`');
		if (e.type === 'checkbox') e.checked = `+string(quoted)+` === 'true'; else e.value = `+string(quoted)+`;
		e.dispatchEvent(new Event('input', { bubbles: true }));
		e.dispatchEvent(new Event('change', { bubbles: true }));
		return true;
	})()`)
	p.do(wait())
}

// keys presses keys.
func (p *tab) keys(keys string) {
	p.t.Helper()
	p.do(chromedp.KeyEvent(keys))
}

// link returns the parts of the link of the page, and the pixels that it has.
func (p *tab) link() (url.Values, []byte) {
	p.t.Helper()
	fragment := value[string](p, "location.hash.slice(1)")
	q, err := url.ParseQuery(fragment)
	require.NoError(p.t, err)
	packed, err := base64.RawURLEncoding.DecodeString(q.Get("p"))
	require.NoError(p.t, err)
	pixels, err := io.ReadAll(flate.NewReader(bytes.NewReader(packed)))
	require.NoError(p.t, err)
	return q, pixels
}

// answer is what the page shows.
type answer struct{ Class, Percent string }

// answers returns the answers of the lanes.
func (p *tab) answers() []answer {
	p.t.Helper()
	return value[[]answer](p, `[...document.querySelectorAll('.verdict')].map((v) => ({ Class: v.children[0].textContent, Percent: v.children[1].textContent }))`)
}

// shoot writes a picture of the page into the folder SBS_SCREENSHOTS, if it is set.
func (p *tab) shoot(name string) {
	folder := os.Getenv("SBS_SCREENSHOTS")
	if folder == "" {
		return
	}
	data, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, name+".png"), data, 0o644)
	}
	if err != nil {
		p.t.Log(err)
	}
}

// writeGray writes pixels as a PNG file of 28x28 pixels.
func writeGray(t *testing.T, pixels []byte) string {
	t.Helper()
	require.Len(t, pixels, 28*28)
	path := filepath.Join(t.TempDir(), "digit.png")
	writePNG(t, path, &image.Gray{Pix: pixels, Stride: 28, Rect: image.Rect(0, 0, 28, 28)})
	return path
}

func writePNG(t *testing.T, path string, img image.Image) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, png.Encode(f, img))
	require.NoError(t, f.Close())
}

// build builds sbs-run once.
var build = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "sbs-run")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", folder+"/", "./cmd/sbs-run")
	cmd.Dir = "../../.."
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = errors.Join(err, errors.New(string(out)))
	}
	return filepath.Join(folder, "sbs-run"), err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := build(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// result is the answer of sbs-run for an image.
type result struct {
	Top []struct {
		Class       string  `json:"class"`
		Probability float64 `json:"probability"`
	} `json:"top"`
	Stage int `json:"stage"`
}

// sbsRun classifies a picture with sbs-run.
func sbsRun(t *testing.T, model, picture string, flags ...string) result {
	t.Helper()
	program, err := build()
	require.NoError(t, err)
	args := append([]string{filepath.Join(models, model, "model.onnx"), picture, "--format", "json"}, flags...)
	out, err := exec.Command(program, args...).Output()
	require.NoError(t, err, "%v", args)
	var r struct{ Results []result }
	require.NoError(t, json.Unmarshal(out, &r), "%s", out)
	require.Len(t, r.Results, 1)
	return r.Results[0]
}

// answer returns the answer as the page shows it.
func (r result) answer() answer {
	p := r.Top[0].Probability
	text := fmt.Sprintf("%.0f%%", 100*p)
	if p > 0.995 && p < 0.99995 {
		text = strings.TrimSuffix(fmt.Sprintf("%.2f", min(99.99, 100*p)), "0") + "%"
	}
	return answer{r.Top[0].Class, text}
}
