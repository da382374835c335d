package jobs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spike-by-spike/sbs/cluster/engine"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/onnx"
)

// argument is a file or folder that the user has given. Paths may be no UTF-8, so that they are bytes.
type argument struct {
	Shown  []byte `json:"shown"`            // what the user has given
	Path   []byte `json:"path"`             // the absolute path, with slashes
	Member []byte `json:"member,omitempty"` // what follows the path, for an array in an .npz file
	Shared bool   `json:"shared,omitempty"` // workers read it under this path
	Files  []file `json:"files,omitempty"`  // the files in it, or it and the files of its labels
}

// file is a file that travels with the job.
type file struct {
	Path   []byte `json:"path"`             // absolute, with slashes
	Blob   string `json:"blob,omitempty"`   // SHA-256
	Broken bool   `json:"broken,omitempty"` // a link to nothing
}

// pack is an object with files, one after the other.
type pack struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
	Blobs  []blob `json:"blobs"`
}

// blob is the contents of a file.
type blob struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`

	path string // shown to the user
	open func() (io.ReadCloser, error)
}

// packSize is the number of bytes from which on a pack gets no more files.
const packSize = 8 << 20

// packer collects the files of a job.
type packer struct {
	shared bool
	packs  []pack
	sum    interface { // of the last pack
		io.Writer
		Sum([]byte) []byte
	}
	known map[string]bool // blobs
}

// data returns the argument of images or labels.
func (p *packer) data(ctx context.Context, path string, withLabels bool) (argument, error) {
	name := dataset.Split(path)
	a, err := p.argument(path, name)
	if err != nil || p.shared {
		return a, err
	}
	files := []string{name}
	if withLabels {
		if files, err = dataset.Files(name); err != nil {
			return a, err
		}
	}
	err = p.files(ctx, &a, files, true)
	return a, err
}

// files adds files to an argument. A file that does not exist is an error, or marked if broken is true.
func (p *packer) files(ctx context.Context, a *argument, paths []string, broken bool) error {
	for _, f := range paths {
		if err := ctx.Err(); err != nil {
			return err
		}
		at, err := absolute(f)
		if err != nil {
			return err
		}
		entry := file{Path: []byte(at)}
		info, err := os.Stat(f)
		switch {
		case broken && errors.Is(err, fs.ErrNotExist):
			entry.Broken = true
		case err != nil:
			return err
		default:
			if entry.Blob, err = p.add(f, info.Size(), func() (io.ReadCloser, error) { return os.Open(f) }); err != nil {
				return fmt.Errorf("%s: %w", f, err)
			}
		}
		a.Files = append(a.Files, entry)
	}
	return nil
}

// model returns the argument of a model. A model with external data travels as one file.
func (p *packer) model(ctx context.Context, path string) (argument, error) {
	a, err := p.argument(path, path)
	if err != nil || p.shared {
		return a, err
	}
	read := func() ([]byte, error) {
		_, data, err := onnx.ReadFile(ctx, path)
		return data, err
	}
	data, err := read()
	if err != nil {
		return a, err
	}
	sum, err := p.add(path, int64(len(data)), func() (io.ReadCloser, error) {
		data, err := read()
		return io.NopCloser(bytes.NewReader(data)), err
	})
	a.Files = []file{{Path: a.Path, Blob: sum}}
	return a, err
}

// configuration returns the argument of a configuration and of the files that it names.
func (p *packer) configuration(ctx context.Context, path string, files []string) (argument, error) {
	a, err := p.argument(path, path)
	if err != nil || p.shared {
		return a, err
	}
	err = p.files(ctx, &a, files, false)
	return a, err
}

// argument returns an argument without files.
func (p *packer) argument(shown, path string) (argument, error) {
	at, err := absolute(path)
	return argument{Shown: []byte(shown), Path: []byte(at), Member: []byte(strings.TrimPrefix(shown, path)), Shared: p.shared}, err
}

// absolute returns the absolute path of a file, with slashes.
func absolute(path string) (string, error) {
	abs, err := filepath.Abs(path)
	return filepath.ToSlash(abs), err
}

// add adds the contents of the file at a path, unless they are there already, and returns their SHA-256.
func (p *packer) add(path string, size int64, open func() (io.ReadCloser, error)) (sum string, err error) {
	r, err := open()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	h := sha256.New()
	// Small files are read once; the pack gets them after it is known that they are new.
	var buffer bytes.Buffer
	to := io.Writer(h)
	if size <= packSize {
		to = io.MultiWriter(h, &buffer)
	}
	if size, err = io.Copy(to, r); err != nil {
		return "", err
	}
	sum = hex.EncodeToString(h.Sum(nil))
	if p.known[sum] {
		return sum, nil
	}
	if p.known == nil {
		p.known = map[string]bool{}
	}
	p.known[sum] = true
	b := blob{SHA256: sum, Size: size, path: path, open: open}
	if size != int64(buffer.Len()) {
		p.packs = append(p.packs, pack{SHA256: sum, Size: size, Blobs: []blob{b}})
		p.sum = nil
		return sum, nil
	}
	if p.sum == nil || p.packs[len(p.packs)-1].Size >= packSize {
		p.packs, p.sum = append(p.packs, pack{}), sha256.New()
	}
	last := &p.packs[len(p.packs)-1]
	_, _ = p.sum.Write(buffer.Bytes()) // a hash returns no errors
	last.SHA256, last.Size, last.Blobs = hex.EncodeToString(p.sum.Sum(nil)), last.Size+size, append(last.Blobs, b)
	return sum, nil
}

// send sends a pack.
func (p *pack) send(ctx context.Context, job *engine.Job) error {
	err := job.Put(ctx, p.SHA256, p.Size, func() (io.ReadCloser, error) { return &packReader{blobs: p.Blobs}, nil })
	if errors.Is(err, engine.ErrChanged) {
		for _, b := range p.Blobs {
			if b.changed() {
				return fmt.Errorf("%s has changed since the command has begun: give the images in a folder of their own, and run the command again", b.path)
			}
		}
	}
	return err
}

// changed reports whether a file is not what it was.
func (b *blob) changed() bool {
	r, err := b.open()
	if err != nil {
		return true
	}
	h := sha256.New()
	_, err = io.Copy(h, r)
	return errors.Join(err, r.Close()) != nil || hex.EncodeToString(h.Sum(nil)) != b.SHA256
}

// packReader reads the blobs of a pack. It opens them one after the other.
type packReader struct {
	blobs []blob
	r     io.ReadCloser
}

// Read implements io.Reader.
func (p *packReader) Read(b []byte) (n int, err error) {
	for {
		if p.r == nil {
			if len(p.blobs) == 0 {
				return 0, io.EOF
			}
			if p.r, err = p.blobs[0].open(); err != nil {
				return 0, err
			}
			p.blobs = p.blobs[1:]
		}
		n, err = p.r.Read(b)
		if errors.Is(err, io.EOF) {
			err = p.Close()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Close implements io.Closer.
func (p *packReader) Close() error {
	if p.r == nil {
		return nil
	}
	r := p.r
	p.r = nil
	return r.Close()
}

// names returns the names of arguments whose paths on the worker are given.
func names(args []argument, paths []string) []cli.Name {
	list := make([]cli.Name, len(args))
	for i, a := range args {
		list[i] = cli.Name{Path: strings.TrimSuffix(paths[i], string(a.Member)), Shown: strings.TrimSuffix(string(a.Shown), string(a.Member))}
	}
	return list
}
