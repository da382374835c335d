package main

import (
	"image"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
)

type point struct{ x, y float64 }

// strokes has digits as lines, in a square of side 1.
var strokes = map[string][][]point{
	"0": {{{.5, .1}, {.25, .3}, {.22, .65}, {.45, .9}, {.72, .7}, {.75, .35}, {.5, .1}}},
	"1": {{{.5, .1}, {.48, .5}, {.46, .9}}},
	"2": {{{.25, .3}, {.45, .12}, {.7, .25}, {.6, .5}, {.25, .85}, {.8, .85}}},
	"3": {{{.28, .15}, {.65, .15}, {.7, .35}, {.45, .48}, {.72, .62}, {.65, .85}, {.28, .86}}},
	"4": {{{.35, .1}, {.25, .55}, {.75, .55}}, {{.65, .15}, {.6, .9}}},
	"6": {{{.6, .1}, {.35, .4}, {.28, .7}, {.5, .9}, {.7, .7}, {.5, .55}, {.32, .7}}},
	"7": {{{.25, .15}, {.75, .15}, {.5, .55}, {.42, .9}}},
}

// draw draws a digit with the mouse, moved a little at random, and waits for the answer.
func (p *tab) draw(digit string, r *rand.Rand) {
	p.t.Helper()
	p.trace(digit, r)
	p.do(wait())
}

// trace is draw without waiting.
func (p *tab) trace(digit string, r *rand.Rand) {
	p.t.Helper()
	box := value[map[string]float64](p, `document.getElementById('ink').getBoundingClientRect().toJSON()`)
	dx, dy := r.Float64()*0.1-0.05, r.Float64()*0.1-0.05
	at := func(q point) (x, y float64) {
		return box["left"] + (q.x+dx+r.Float64()*0.02)*box["width"], box["top"] + (q.y+dy+r.Float64()*0.02)*box["height"]
	}
	for _, line := range strokes[digit] {
		x, y := at(line[0])
		p.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMousePressed, x, y, chromedp.ButtonLeft))
		for i := 1; i < len(line); i++ {
			for _, f := range []float64{0.33, 0.67, 1} {
				x, y := at(point{line[i-1].x + f*(line[i].x-line[i-1].x), line[i-1].y + f*(line[i].y-line[i-1].y)})
				p.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, x, y, chromedp.ButtonLeft))
			}
		}
		p.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseReleased, x, y, chromedp.ButtonLeft))
	}
}

// TestDraw draws digits and compares the answers with those of sbs-run for the same pixels.
func TestDraw(t *testing.T) {
	p := openPage(t, desktop, "", "mnist-fast")
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	right := 0
	for digit := range strokes {
		p.do(chromedp.Click(chromedp.CSS("#clear")))
		p.draw(digit, r)
		_, pixels := p.link()
		got := p.answers()
		require.Len(t, got, 1)
		file := writeGray(t, pixels)
		require.Equal(t, sbsRun(t, "mnist-fast", file).answer(), got[0], "digit %s", digit)
		if got[0].Class == digit {
			right++
		}
		p.shoot("draw-" + digit)

		// As in MNIST, the ink is in a box of 20x20 pixels whose center of mass is that of the picture.
		var mass, my, mx float64
		low, high := 28, 0
		for i, v := range pixels {
			mass, my, mx = mass+float64(v), my+float64(v)*(float64(i/28)+0.5), mx+float64(v)*(float64(i%28)+0.5)
			if v > 0 {
				low, high = min(low, i/28), max(high, i/28)
			}
		}
		require.InDelta(t, 14, my/mass, 0.2)
		require.InDelta(t, 14, mx/mass, 0.2)
		require.InDelta(t, 20, high-low+1, 2)
	}
	require.GreaterOrEqual(t, right, len(strokes)-2, "the network recognizes too few of the drawings")
	p.do(chromedp.Click(chromedp.CSS("#clear")))
	require.Equal(t, "Draw here", p.text("#hint"))
}

// TestSlider goes through the spikes with the keys, and compares an answer with that of sbs-run.
func TestSlider(t *testing.T) {
	p := openPage(t, desktop, "", "mnist-fast")
	p.set("stage", "2")
	require.Equal(t, "400", p.text("#count"))
	_, pixels := p.link()
	file := writeGray(t, pixels)
	p.do(chromedp.Focus(chromedp.CSS("#slider")))
	p.keys(kb.Home)
	require.Equal(t, "1", p.text("#count"))
	require.Equal(t, "spike", p.text("#unit"))
	for range 8 {
		p.keys(kb.ArrowRight)
	}
	require.Equal(t, "10", p.text("#count"))
	flags := []string{"--stage", "2", "--spikes", "10", "--epsilon-schedule"}
	require.Equal(t, sbsRun(t, "mnist-fast", file, append(flags, "auto")...).answer(), p.answers()[0])
	require.Contains(t, value[string](p, `document.getElementById('slider').getAttribute('aria-valuetext')`), "10 spikes per position: ")
	require.Eventually(t, func() bool { return strings.HasPrefix(p.text("#status"), "After 10 spikes per position: ") }, 5*time.Second, 50*time.Millisecond)
	require.Eventually(t, func() bool { q, _ := p.link(); return q.Get("t") == "10" }, 5*time.Second, 50*time.Millisecond)

	p.set("fit", "false")
	require.Equal(t, "10", p.text("#count"))
	require.Equal(t, sbsRun(t, "mnist-fast", file, flags[:4]...).answer(), p.answers()[0])

	box := value[map[string]float64](p, `document.querySelector('.chart canvas').getBoundingClientRect().toJSON()`)
	p.do(chromedp.MouseClickXY(box["left"]+box["width"]-15, box["top"]+50))
	require.Equal(t, "400", p.text("#count"), "a click on the chart goes there")
}

func TestPlay(t *testing.T) {
	moving := desktop
	moving.animated = true
	p := openPage(t, moving, "", "mnist-fast") // wait ends when the page has played by itself
	require.Equal(t, "196", p.text("#count"))
	p.do(chromedp.Click(chromedp.CSS("#play")))
	require.Equal(t, "Pause", p.text("#play-text"))
	count := func() int {
		n, err := strconv.Atoi(p.text("#count"))
		require.NoError(t, err)
		return n
	}
	require.Eventually(t, func() bool { return count() >= 5 }, 10*time.Second, 20*time.Millisecond)
	p.do(chromedp.Click(chromedp.CSS("#play")))
	require.Equal(t, "Play", p.text("#play-text"))
	paused := count()
	require.Less(t, paused, 196)
	time.Sleep(400 * time.Millisecond)
	require.Equal(t, paused, count())
	p.do(chromedp.Click(chromedp.CSS("#play")), wait())
	require.Equal(t, 196, count())
}

// TestReducedMotion checks that the page does not play for people who do not want motion.
func TestReducedMotion(t *testing.T) {
	p := openPage(t, desktop, "", "mnist-fast")
	p.do(chromedp.Click(chromedp.CSS("#tests button:nth-child(5)")))
	require.Equal(t, "Play", p.text("#play-text"))
	p.do(wait())
	require.Equal(t, "196", p.text("#count"))
}

// TestSettings compares the answers with other settings with those of sbs-run.
func TestSettings(t *testing.T) {
	p := openPage(t, desktop, "", "mnist-fast", "fashion-fast", "mnist-nnmf", "cifar10-fast")
	_, pixels := p.link()
	file := writeGray(t, pixels)

	p.set("stage", "1")
	p.set("sampler", "both")
	p.set("spikes", "100")
	p.set("seed", "12")
	p.set("noise", "gaussian")
	p.set("level", "0.35")
	flags := []string{"--stage", "1", "--spikes", "100", "--seed", "12", "--noise", "gaussian=0.35", "--epsilon-schedule", "auto", "--sampler"}
	want := []answer{
		sbsRun(t, "mnist-fast", file, append(flags, "low-discrepancy")...).answer(),
		sbsRun(t, "mnist-fast", file, append(flags, "iid")...).answer(),
	}
	require.Equal(t, want, p.answers())
	p.shoot("both")

	// The link shows the same in another browser.
	link := value[string](p, "location.hash")
	other := openURL(t, desktop, p.url, link)
	require.Equal(t, want, other.answers())
	for id, v := range map[string]string{"stage": "1", "sampler": "both", "spikes": "100", "seed": "12", "noise": "gaussian", "level": "0.35", "model": "mnist-fast"} {
		require.Equal(t, v, value[string](other, "document.getElementById('"+id+"').value"), id)
	}
	_, same := other.link()
	require.Equal(t, pixels, same)

	p.do(chromedp.Click(chromedp.CSS("#dice")), wait())
	require.Equal(t, "13", value[string](p, "document.getElementById('seed').value"))
	require.NotEqual(t, want, p.answers())

	p.set("model", "fashion-fast")
	require.NotEmpty(t, p.answers()[0].Class)
	require.Equal(t, "", value[string](p, "document.getElementById('noise').value"))
	p.shoot("fashion")

	p.set("model", "mnist-nnmf") // without spikes there is nothing to play
	require.True(t, value[bool](p, `document.querySelector('.time').hidden && document.getElementById('sampler').closest('.field').hidden`))
	require.True(t, value[bool](p, `document.getElementById('lead').hidden && document.getElementById('lead-plain').checkVisibility()`), "it does not speak of spikes")
	require.Len(t, p.answers(), 1)
	value[bool](p, `(scrollTo(0, 0), true)`)
	p.shoot("nnmf")

	p.set("sampler", "low_discrepancy")
	p.set("model", "cifar10-fast") // without test pictures, the page asks for one
	require.Contains(t, p.text("#lanes"), "Upload a photo. The network tells these apart: airplane, ")
	require.Contains(t, p.text("#lanes"), "start the server with --pictures FOLDER.")
	require.True(t, value[bool](p, `document.getElementById('source').hidden`))
	require.Empty(t, p.answers())
	photo := filepath.Join(t.TempDir(), "photo.png")
	img := image.NewNRGBA(image.Rect(0, 0, 32, 32))
	for i := range img.Pix {
		img.Pix[i] = byte(i * i / 50)
		if i%4 == 3 {
			img.Pix[i] = 255
		}
	}
	writePNG(t, photo, img)
	p.do(chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{photo}))
	require.Eventually(t, func() bool { return len(p.answers()) == 1 }, 10*time.Second, 50*time.Millisecond)
	p.do(wait())
	require.Equal(t, sbsRun(t, "cifar10-fast", photo, "--seed", "13").answer(), p.answers()[0])
	p.shoot("cifar")
}

// TestKeyboard does everything with the keys: it reaches every control, chooses a picture, draws and
// chooses a neuron.
func TestKeyboard(t *testing.T) {
	p := openPage(t, desktop, "", "mnist-fast")
	focused := func() string {
		return value[string](p, `(() => { const e = document.activeElement; return e.id || e.getAttribute('aria-label') || e.textContent; })()`)
	}
	var reached []string
	value[bool](p, `(document.activeElement.blur(), true)`)
	for range 60 {
		p.keys(kb.Tab)
		name := focused()
		if strings.HasPrefix(name, "Test picture") {
			name = "test"
		}
		reached = append(reached, name)
		require.True(t, value[bool](p, `getComputedStyle(document.activeElement).outlineStyle !== 'none' || document.activeElement === document.body`), "the focus on %s is not visible", name)
	}
	for _, id := range []string{
		"Skip to the decision", "model", "ink", "clear", "open", "test", "play", "slider", "sampler", "noise", "spikes", "fit", "stage", "seed", "dice", "copy", "neuron-0", "neuron-2",
	} {
		require.Contains(t, reached, id)
	}
	require.NotContains(t, reached, "file", "the button stands for it")

	link := value[string](p, "location.hash")
	p.do(chromedp.Focus(chromedp.CSS(".skip")))
	p.keys(kb.Enter)
	require.Equal(t, "lanes", focused())
	require.Equal(t, link, value[string](p, "location.hash"), "the link of the page stays")
	require.True(t, value[bool](p, `document.getElementById('message').hidden`))

	p.do(chromedp.Focus(chromedp.CSS("#tests button:nth-child(1)")))
	p.keys(kb.Enter)
	p.do(wait())
	require.Equal(t, "0", p.answers()[0].Class)

	p.do(chromedp.Focus(chromedp.CSS("#clear")))
	p.keys(" ")
	require.Equal(t, "ink", focused(), "after New drawing, the keys draw")
	require.True(t, value[bool](p, `document.getElementById('pen').checkVisibility()`), "the pen is not visible")
	for range 12 {
		p.keys(kb.ArrowUp)
	}
	p.keys(" ")
	for range 24 {
		p.keys(kb.ArrowDown)
	}
	p.keys(" ")
	p.do(wait())
	require.Equal(t, "1", p.answers()[0].Class)

	before := value[string](p, `document.getElementById('neuron-0').value`)
	p.do(chromedp.Focus(chromedp.CSS(".layer canvas")))
	p.keys(kb.ArrowRight)
	p.keys(kb.ArrowRight)
	p.keys(kb.ArrowLeft)
	n, err := strconv.Atoi(before)
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(n+1), value[string](p, `document.getElementById('neuron-0').value`))
	require.Eventually(t, func() bool {
		return strings.Contains(p.text(".neuron > span"), "neuron "+strconv.Itoa(n+1)+" looks for in 8 × 8 pixels")
	}, 5*time.Second, 50*time.Millisecond)
}

// TestScreenReader checks that every control and picture has a name.
func TestScreenReader(t *testing.T) {
	p := openPage(t, desktop, "", "mnist-fast")
	p.set("sampler", "both")
	_, err := chromedp.Call(p.ctx, accessibility.Enable, cdp.Empty{})
	require.NoError(t, err)
	tree, err := chromedp.Call(p.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	require.NoError(t, err)
	count := map[string]int{}
	for _, n := range tree.Nodes {
		if n.Ignored || n.Role == nil {
			continue
		}
		role := strings.Trim(string(n.Role.Value), `"`)
		count[role]++
		if slices.Contains([]string{"button", "combobox", "slider", "checkbox", "spinbutton", "image", "img", "application", "link", "heading", "region"}, role) {
			require.NotNil(t, n.Name, role)
			require.NotEqual(t, `""`, string(n.Name.Value), "%s without a name", role)
		}
	}
	require.GreaterOrEqual(t, count["button"], 35, "%v", count)
	require.GreaterOrEqual(t, count["combobox"], 5)
	require.Equal(t, 2, count["slider"]+count["disabled slider"], "%v", count)
	require.NotEmpty(t, count["status"])
	require.Contains(t, p.text("#status"), "After 196 spikes per position: 3, ")
	require.Contains(t, value[string](p, `document.querySelector('.chart canvas').getAttribute('aria-label')`), "In the end: 3 ")
}

// contrast is a function of JavaScript that returns the texts whose contrast is below 4.5.
const contrast = `(() => {
	const parse = (c) => { const v = c.match(/[\d.]+/g).map(Number); return { rgb: v.slice(0, 3), alpha: v.length > 3 ? v[3] : 1 }; };
	const light = (rgb) => rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
	const behind = (e) => {
		for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.alpha > 0.6) return c.rgb; }
		return matchMedia('(prefers-color-scheme: dark)').matches ? [0, 0, 0] : [255, 255, 255];
	};
	const bad = [];
	let seen = 0;
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let n = walk.nextNode(); n; n = walk.nextNode()) {
		const e = n.parentElement;
		if (!n.textContent.trim() || !e.checkVisibility() || ['SCRIPT', 'NOSCRIPT'].includes(e.tagName)) continue;
		seen++;
		const a = light(parse(getComputedStyle(e).color).rgb), b = light(behind(e));
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (ratio < 4.5) bad.push(n.textContent.trim() + ': ' + ratio.toFixed(2));
	}
	return seen < 60 ? ['only ' + seen + ' texts'] : bad;
})()`

func TestColors(t *testing.T) {
	for _, dark := range []bool{false, true} {
		s := desktop
		s.dark = dark
		p := openPage(t, s, "", "mnist-fast")
		require.Empty(t, value[[]string](p, contrast), "dark: %v", dark)
		back := value[string](p, `getComputedStyle(document.body).backgroundColor`)
		if dark {
			require.Equal(t, "rgb(18, 20, 23)", back)
			p.shoot("dark")
		} else {
			require.Equal(t, "rgb(246, 246, 243)", back)
			p.shoot("desktop")
		}
	}
}

// TestPhone uses the page on a narrow touch screen.
func TestPhone(t *testing.T) {
	p := openPage(t, screen{width: 360, height: 740, scale: 2, phone: true}, "", "mnist-fast", "fashion-fast")
	fits := func() {
		t.Helper()
		require.Equal(t, 360.0, value[float64](p, `document.documentElement.scrollWidth`), "the page scrolls to the side")
	}
	fits()
	p.shoot("phone")
	touch := func(kind input.DispatchTouchEventType, points ...*input.TouchPoint) {
		_, err := chromedp.Call(p.ctx, input.DispatchTouchEvent, input.DispatchTouchEventParams{Type: kind, TouchPoints: append([]*input.TouchPoint{}, points...)})
		require.NoError(t, err)
	}
	p.do(chromedp.Click(chromedp.CSS("#clear")))
	top := value[float64](p, "scrollY")
	box := value[map[string]float64](p, `document.getElementById('ink').getBoundingClientRect().toJSON()`)
	x, y, side := box["left"], box["top"], box["width"]
	touch(input.DispatchTouchEventTypeTouchStart, &input.TouchPoint{X: x + side*0.5, Y: y + side*0.15})
	for f := 0.15; f < 0.85; f += 0.05 {
		touch(input.DispatchTouchEventTypeTouchMove, &input.TouchPoint{X: x + side*0.5, Y: y + side*f})
	}
	touch(input.DispatchTouchEventTypeTouchEnd)
	p.do(wait())
	require.Equal(t, "1", p.answers()[0].Class)
	require.Equal(t, top, value[float64](p, "scrollY"), "drawing scrolls the page")
	p.set("sampler", "both")
	fits()
	value[bool](p, `(document.querySelector('.chart').scrollIntoView(), true)`)
	p.shoot("phone-chart")
	value[bool](p, `(document.querySelector('.layer').scrollIntoView(), true)`)
	p.shoot("phone-layers")
	p.set("model", "fashion-fast")
	fits()
	p.shoot("phone-fashion")
}

// TestManyClasses shows a network with more classes than there is room for.
func TestManyClasses(t *testing.T) {
	n := converttest.Digits()
	n.Layers[2] = converttest.New(9).SbS(converttest.Window(3, 1), 5, 300, 40)
	n.Classes = nil
	path := filepath.Join(t.TempDir(), "many", "model.onnx")
	require.NoError(t, os.Mkdir(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, modeltest.Write(t, n, convert.Options{}), 0o600))
	url, end, err := serve(t.Context(), path)
	require.NoError(t, err)
	t.Cleanup(end)
	p := openURL(t, desktop, url, "")
	require.Contains(t, p.text("#lanes"), "Draw something, or upload a picture. The network tells these apart: 0, 1, 2")
	require.Contains(t, p.text("#lanes"), "and 280 more")
	p.draw("7", rand.New(rand.NewPCG(1, 0)))
	require.Equal(t, 10, value[int](p, `document.querySelectorAll('.bars li').length`))
	require.Equal(t, "iid", value[string](p, `document.getElementById('sampler').value`), "the network draws its spikes independently")
	require.Equal(t, p.text("#count"), "40")
	p.shoot("many")
}

// TestToken opens the page of a server that asks for a token.
func TestToken(t *testing.T) {
	url := serveThrough(t, func(w http.ResponseWriter, r *http.Request) bool {
		open := r.URL.Path == "/" || strings.HasPrefix(r.URL.Path, "/page/static/")
		if !open && r.Header.Get("Authorization") != "Bearer secret" {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			return false
		}
		return true
	}, "mnist-fast")
	p := start(t, desktop)
	p.mayFail = "401"
	p.do(chromedp.Navigate(url))
	message := func(want string) {
		t.Helper()
		require.Eventually(t, func() bool { return p.text("#message") == want }, 5*time.Second, 50*time.Millisecond)
	}
	message("This server asks for a token.")
	require.True(t, value[bool](p, "document.querySelector('main').hidden"))
	p.shoot("token")
	p.do(chromedp.SendKeys(chromedp.CSS("#secret"), "wrong"+kb.Enter))
	message("This is not the token of the server.")
	value[string](p, "document.getElementById('secret').value = ''")
	p.do(chromedp.SendKeys(chromedp.CSS("#secret"), "secret"+kb.Enter), wait())
	require.Equal(t, "3", p.answers()[0].Class)
	require.True(t, value[bool](p, "document.getElementById('token').hidden && document.getElementById('message').hidden"))
	require.NotContains(t, value[string](p, "location.href"), "secret")
}

// TestMessages checks what the page says when something goes wrong.
func TestMessages(t *testing.T) {
	p := openPage(t, desktop, "#m=mnist-fast&p=AAAA", "mnist-fast")
	require.Equal(t, "This link is damaged: its picture cannot be read. Was it copied whole?", p.text("#message"))
	require.Equal(t, "3", p.answers()[0].Class, "the page works nevertheless")
	for fragment, want := range map[string]string{
		"#p=AAAA":                  `This link is damaged: it names no network.`,
		"#m=other&p=AAAA":          `This link is for the network "other", which this server does not have.`,
		"#m=mnist-fast&spikes=-1":  `This link is damaged: "spikes" is not a number from 0 to 10000000.`,
		"#m=mnist-fast&seed=1e400": `This link is damaged: "seed" is not a number from 0 to 9007199254740991.`,
	} {
		value[bool](p, "(location.hash = '"+fragment+"') !== ''")
		require.Eventually(t, func() bool { return p.text("#message") == want }, 5*time.Second, 50*time.Millisecond, "%s: %s", fragment, p.text("#message"))
	}
	p.do(chromedp.Click(chromedp.CSS("#tests button:nth-child(1)")), wait())
	require.True(t, value[bool](p, `document.getElementById('message').hidden`))
}
