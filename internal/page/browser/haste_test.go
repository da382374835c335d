package main

import (
	"image"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
)

// delays makes a server slow.
type delays struct {
	mu   sync.Mutex
	list map[string]time.Duration // by a part of the address
	half bool                     // send a part of the next answers only, until the client leaves
}

func (d *delays) set(part string, delay time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list[part] = delay
}

func (d *delays) sendHalf(yes bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.half = yes
}

func (d *delays) wait(w http.ResponseWriter, r *http.Request) bool {
	d.mu.Lock()
	half := d.half && r.URL.Path == "/page/run"
	var delay time.Duration
	for part, v := range d.list {
		if strings.Contains(r.URL.String(), part) {
			delay = v
		}
	}
	d.mu.Unlock()
	if half {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"pixels": "`))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return false
	}
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
	}
	return true
}

// TestHaste does things while an answer is on its way. The page must show what was asked for last.
func TestHaste(t *testing.T) {
	slow := &delays{list: map[string]time.Duration{}}
	url := serveThrough(t, slow.wait, "mnist-fast", "fashion-fast", "mnist-nnmf")
	p := openURL(t, desktop, url, "")
	r := rand.New(rand.NewPCG(2, 0))
	click := func(selector string) { p.do(chromedp.Click(chromedp.CSS(selector))) }
	change := func(id, text string) {
		value[bool](p, `(() => { const e = document.getElementById('`+id+`'); e.value = '`+text+`'; return e.dispatchEvent(new Event('change')); })()`)
	}
	fine := func(class string) {
		t.Helper()
		time.Sleep(700 * time.Millisecond) // longer than all delays
		p.do(wait())
		require.Equal(t, class, p.answers()[0].Class)
		require.True(t, value[bool](p, `document.getElementById('message').hidden`), p.text("#message"))
	}
	zero, seven := "#tests button:nth-child(1)", "#tests button:nth-child(22)"

	// A test picture and a new drawing after a stroke, before the page has asked about it.
	stroke := func() {
		box := value[map[string]float64](p, `document.getElementById('ink').getBoundingClientRect().toJSON()`)
		x, y := box["left"]+box["width"]/2, box["top"]+box["height"]/4
		p.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMousePressed, x, y, chromedp.ButtonLeft))
		p.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, x, y+box["height"]/2, chromedp.ButtonLeft))
		p.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseReleased, x, y+box["height"]/2, chromedp.ButtonLeft))
	}
	stroke()
	click(zero)
	fine("0")
	stroke()
	click("#clear")
	fine("0")
	require.False(t, value[bool](p, `document.getElementById('ink').classList.contains('faded')`), "the new drawing was covered")

	// A setting after a stroke is for the drawing.
	stroke()
	change("seed", "4")
	fine("1")
	change("seed", "0")
	p.do(wait())

	// A slow upload, and another picture.
	slow.set("/page/picture?", 400*time.Millisecond)
	seventh, err := filepath.Abs(models + "mnist/images/7/00000.png")
	require.NoError(t, err)
	p.do(chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{seventh}))
	click(zero)
	fine("0")
	p.do(chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{seventh}))
	fine("7")
	p.do(chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{seventh}))
	click("#clear")
	p.draw("1", r)
	fine("1")

	// A slow answer, and another picture.
	slow.set("/page/run", 300*time.Millisecond)
	click(seven)
	time.Sleep(100 * time.Millisecond)
	click(zero)
	fine("0")
	slow.set("/page/run", 0)
	slow.sendHalf(true)
	click(seven)
	time.Sleep(200 * time.Millisecond)
	slow.sendHalf(false)
	click(zero)
	fine("0")

	// A neuron, and another one.
	slow.set("neuron=5", 400*time.Millisecond)
	change("neuron-0", "5")
	time.Sleep(50 * time.Millisecond)
	change("neuron-0", "6")
	fine("0")
	require.Contains(t, p.text(".neuron > span"), "neuron 6 looks for")

	// Two models with slow pictures. Meanwhile, those of another model cannot be chosen.
	slow.set("/page/pictures?model=fashion", 500*time.Millisecond)
	change("model", "fashion-fast")
	time.Sleep(50 * time.Millisecond)
	require.Empty(t, value[string](p, `document.querySelector('#tests').textContent + (document.querySelector('main').inert ? '' : 'main is not inert')`))
	change("model", "mnist-nnmf")
	fine("3")
	require.Equal(t, "Test picture 1: 0", value[string](p, `document.querySelector('#tests button').getAttribute('aria-label')`))
	require.False(t, value[bool](p, `document.querySelector('main').inert`))
	change("model", "fashion-fast")
	time.Sleep(600 * time.Millisecond)
	fine("Dress")
}

// TestErrors checks what the page says about requests that fail, and that it works afterwards.
func TestErrors(t *testing.T) {
	var mu sync.Mutex
	failing := ""
	fail := func(part string) {
		mu.Lock()
		defer mu.Unlock()
		failing = part
	}
	url := serveThrough(t, func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if failing != "" && strings.Contains(r.URL.String(), failing) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"error": "the server is busy"}`))
			return false
		}
		return true
	}, "mnist-fast", "fashion-fast")
	p := openURL(t, screen{width: 360, height: 740, scale: 1}, url, "")
	p.mayFail = "503"
	says := func(want string) {
		t.Helper()
		require.Eventually(t, func() bool { return p.text("#message") == want }, 5*time.Second, 50*time.Millisecond, p.text("#message"))
		p.do(wait()) // it is not dimmed for ever
	}
	fail("/page/run")
	value[bool](p, `(document.getElementById('seed').scrollIntoView(), true)`)
	p.set("seed", "5")
	says("the server is busy")
	require.True(t, value[bool](p, `(() => { const r = document.getElementById('message').getBoundingClientRect(); return r.top >= 0 && r.bottom <= innerHeight; })()`),
		"the message is not on the screen")
	fail("")
	p.set("seed", "6")
	require.True(t, value[bool](p, `document.getElementById('message').hidden`))

	fail("/page/pictures")
	p.set("model", "fashion-fast")
	says("the server is busy")
	require.Contains(t, p.text("#lanes"), "Draw something, or upload a picture. The network tells these apart: T-shirt/top, ")
	require.Zero(t, value[int](p, `document.querySelectorAll('#tests button').length`), "the pictures of the other model")
	fail("")
	p.do(chromedp.Focus(chromedp.CSS("#ink")))
	p.keys(" " + strings.Repeat(kb.ArrowDown, 5) + " ")
	p.do(wait())
	require.Len(t, p.answers(), 1)

	large := filepath.Join(t.TempDir(), "large.png")
	require.NoError(t, os.WriteFile(large, make([]byte, 11<<20), 0o600))
	p.do(chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{large}))
	says("This file is too large: a picture may have 10 MB.")
	small := filepath.Join(t.TempDir(), "small.png")
	writePNG(t, small, image.NewGray(image.Rect(0, 0, 3, 3)))
	p.do(chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{small}))
	require.Eventually(t, func() bool { return value[bool](p, `document.getElementById('message').hidden`) }, 5*time.Second, 50*time.Millisecond)
	p.do(wait())
}

// TestLifting leaves the drawing area while the pen is down.
func TestLifting(t *testing.T) {
	p := openPage(t, desktop, "", "mnist-fast")
	p.do(chromedp.Click(chromedp.CSS("#clear")))
	p.keys(strings.Repeat(kb.ArrowUp, 10) + " " + strings.Repeat(kb.ArrowDown, 20) + kb.Tab)
	p.do(wait())
	require.Equal(t, "1", p.answers()[0].Class)
}

// TestShape draws for a network whose pictures are wider than high: a plus stays a plus.
func TestShape(t *testing.T) {
	n := converttest.Digits()
	n.Input.Width = 24
	n.Layers = []convert.Layer{n.Layers[0], n.Layers[1], converttest.New(9).SbS(convert.Window{
		Kernel: [2]int{3, 9}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1},
	}, 5, 3, 40)}
	n.Classes = nil
	path := filepath.Join(t.TempDir(), "wide", "model.onnx")
	require.NoError(t, os.Mkdir(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, modeltest.Write(t, n, convert.Options{}), 0o600))
	url, end, err := serve(t.Context(), path)
	require.NoError(t, err)
	t.Cleanup(end)
	p := openURL(t, desktop, url, "")
	box := value[map[string]float64](p, `document.getElementById('ink').getBoundingClientRect().toJSON()`)
	require.InDelta(t, 2, box["width"]/box["height"], 0.02)
	x, y := box["left"]+box["width"]/2, box["top"]+box["height"]/2
	const arm = 40
	for _, line := range [][4]float64{{x - arm, y, x + arm, y}, {x, y - arm, x, y + arm}} {
		p.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMousePressed, line[0], line[1], chromedp.ButtonLeft))
		p.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, line[2], line[3], chromedp.ButtonLeft))
		p.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseReleased, line[2], line[3], chromedp.ButtonLeft))
	}
	p.do(wait())
	_, pixels := p.link()
	require.Len(t, pixels, 12*24)
	low, high := image.Pt(24, 12), image.Pt(0, 0)
	for i, v := range pixels {
		if v > 20 {
			at := image.Pt(i%24, i/24)
			low, high = image.Pt(min(low.X, at.X), min(low.Y, at.Y)), image.Pt(max(high.X, at.X), max(high.Y, at.Y))
		}
	}
	require.Equal(t, image.Pt(11, 11), high.Sub(low))
	p.shoot("wide")
}
