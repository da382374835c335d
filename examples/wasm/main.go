// Wasm writes a web page that classifies pictures without a server: one HTML file with the runtime,
// compiled to WebAssembly, and a model in it. The page opens from the disk, too.
//
// Run it from the root of the repository:
//
//	go run ./examples/wasm page.html
//	go run ./examples/wasm page.html model.onnx folder/of/pictures
//
// The second argument is an ONNX model that classifies images, and the third a folder of PNG files
// to choose from, which may be sorted into one folder per class.
package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		log.Fatal(err)
	}
}

//go:embed page.tmpl
var page string

// contents are the parts of the page. Program and Model are gzip files in base64.
type contents struct {
	Support        template.JS // wasm_exec.js of the Go installation
	Program, Model string
	Name           string // of the file of the model
	Bytes          int    // size of the program, uncompressed
	Pictures       []template.URL
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	args = append(args, "", "", "")
	out := args[0]
	if filepath.Ext(out) != ".html" {
		return fmt.Errorf("the first argument must be the file to write, such as page.html, not %q", out)
	}
	file := cmp.Or(args[1], "models/mnist-fast/model.onnx")
	model, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	pictures, err := readPictures(cmp.Or(args[2], "models/mnist/images"))
	if err != nil {
		return err
	}
	program, support, err := compile(ctx)
	if err != nil {
		return err
	}

	parsed, err := template.New("page").Parse(page)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	err = parsed.Execute(&b, contents{
		Support:  template.JS(support), //nolint:gosec // a file of the Go installation
		Program:  pack(program),
		Model:    pack(model),
		Name:     filepath.Base(file),
		Bytes:    len(program),
		Pictures: pictures,
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(out, b.Bytes(), 0o644); err != nil { //nolint:gosec // a page for everyone
		return err
	}
	fmt.Fprintf(stdout, "%s: %.1f MB, of which the program takes %.1f MB (%.1f MB before compression)\n",
		out, mega(b.Len()), mega(len(pack(program))), mega(len(program)))
	return nil
}

// compile returns the WebAssembly program and the JavaScript file that it needs. Both must be of
// the same version of Go.
func compile(ctx context.Context) (program, support []byte, err error) {
	folder, err := os.MkdirTemp("", "wasm")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(folder) //nolint:errcheck // a temporary folder
	path := filepath.Join(folder, "app.wasm")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "github.com/spike-by-spike/sbs/examples/wasm/app") //nolint:gosec // path is ours
	build.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("compile the program: %w\n%s", err, out)
	}
	if program, err = os.ReadFile(path); err != nil { //nolint:gosec // as above
		return nil, nil, err
	}
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	support, err = os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", "wasm_exec.js"))
	return program, support, err
}

// readPictures returns the PNG files in a folder as URLs.
func readPictures(folder string) ([]template.URL, error) {
	var urls []template.URL
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".png" {
			return err
		}
		data, err := os.ReadFile(path)                                                                      //nolint:gosec // the caller has chosen the folder
		urls = append(urls, template.URL("data:image/png;base64,"+base64.StdEncoding.EncodeToString(data))) //nolint:gosec // base64
		return err
	})
	return urls, err
}

// pack compresses data for a page.
func pack(data []byte) string {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err) // memory takes everything
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

func mega(n int) float64 { return float64(n) / 1e6 }
