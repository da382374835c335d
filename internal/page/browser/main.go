// Command browser takes pictures of the page of internal/page in Chromium. The tests of this module
// use the page as people do.
//
// It is a module of its own, so that the programs of this repository do not depend on the driver of
// the browser. docs/images/page.png, the picture in README.md, is made in this folder by
//
//	go run . -at 24 -o ../../../docs/images/page.png
//	pngquant --force --ext .png 128 ../../../docs/images/page.png
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/chromedp/chromedp"

	"github.com/spike-by-spike/sbs/internal/page"
)

func main() {
	output := flag.String("o", "page.png", "the picture to write")
	model := flag.String("model", "../../../models/mnist-fast/model.onnx", "the network")
	at := flag.Int("at", 0, "the number of spikes to show; 0 means all")
	whole := flag.Bool("whole", false, "take the whole page and not only what the window shows")
	s := screen{scale: 1}
	flag.IntVar(&s.width, "width", 1180, "the width of the window")
	flag.IntVar(&s.height, "height", 880, "the height of the window")
	flag.BoolVar(&s.dark, "dark", false, "use the dark colors")
	flag.BoolVar(&s.phone, "phone", false, "use a touch screen")
	flag.Parse()
	if err := take(s, *model, *at, *output, *whole); err != nil {
		fmt.Fprintln(os.Stderr, "browser:", err)
		os.Exit(1)
	}
}

func take(s screen, model string, at int, output string, whole bool) error {
	path, err := findBrowser()
	if err != nil {
		return err
	}
	url, end, err := serve(context.Background(), model)
	if err != nil {
		return err
	}
	defer end()
	ctx, stop, err := open(context.Background(), path, s)
	if err != nil {
		return err
	}
	defer stop()
	if err := chromedp.Do(ctx, chromedp.Navigate(url), wait()); err != nil {
		return err
	}
	if at > 0 { // the link of the page, with a number of spikes
		fragment, err := chromedp.Run(ctx, chromedp.Evaluate[string]("location.hash"))
		if err != nil {
			return err
		}
		link := fmt.Sprintf("%s/%s&t=%d", url, fragment, at)
		if err := chromedp.Do(ctx, chromedp.Navigate("about:blank"), chromedp.Navigate(link), wait()); err != nil {
			return err
		}
	}
	shoot := chromedp.CaptureScreenshot()
	if whole {
		shoot = chromedp.FullScreenshot(100)
	}
	png, err := chromedp.Run(ctx, shoot)
	if err != nil {
		return err
	}
	return os.WriteFile(output, png, 0o644)
}

// serve serves the page with models, whose names are those of their folders.
func serve(ctx context.Context, paths ...string) (url string, end func(), err error) {
	h := page.New(page.Limits{})
	var models []*page.Model
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return "", nil, err
		}
		m, err := page.Load(ctx, filepath.Base(filepath.Dir(path)), data)
		if err != nil {
			return "", nil, err
		}
		models = append(models, m)
	}
	h.SetModels(models)
	s := httptest.NewServer(h)
	return s.URL, s.Close, nil
}
