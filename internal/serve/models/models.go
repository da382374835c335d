// Package models holds the models of sbs-serve: it loads them, replaces them when their files
// change, and answers inference requests.
package models

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/serve/batch"
	"github.com/spike-by-spike/sbs/internal/serve/inference"
	"github.com/spike-by-spike/sbs/runtime"
)

// version is the version of every model. A model that replaces another one keeps it, so that paths
// with a version remain valid.
const version = "1"

// Limits are the settings of all models.
type Limits struct {
	Workers        int // CPU cores of a run; 0 means all
	MaxBatch       int // images in a batch and in a request
	MaxDelay       time.Duration
	MaxQueue       int // images that wait
	MaxSpikes      int // in the parameter spikes
	MaxPixels      int // of an encoded image
	Invert         string
	BatchAll       bool // requests for models of other programs share batches, too
	IgnoreChecksum bool
	Log            *slog.Logger

	// Loaded is called after a model was loaded from a file, also if it replaces another one, one call
	// at a time; nil for nothing. images reports whether it classifies images.
	Loaded func(ctx context.Context, name, path string, images bool)

	decoders, largeDecoder chan struct{} // limit the images that are decoded at the same time
}

// Observer is told what a model does.
type Observer interface {
	batch.Observer
	Inferred(e runtime.Effort) // of a request that has succeeded
	Loaded(err error)
}

// Set is the models of a server.
type Set struct {
	limits Limits
	models []*model // in the order of the command line
	names  map[string]*model
}

// model is a model with a name. Its file may be replaced.
type model struct {
	name, path string
	observer   Observer
	current    atomic.Pointer[loaded] // nil until it is loaded

	mu      sync.Mutex  // one load at a time
	tried   os.FileInfo // of the file that was loaded last, also if that failed
	changed os.FileInfo // of a file that has changed since; nil if it has not
}

// New returns the models of a command line, each PATH or NAME=PATH, without loading them. observe
// returns the observer of a model.
func New(args []string, l Limits, observe func(name string) Observer) (*Set, error) {
	l.decoders, l.largeDecoder = make(chan struct{}, goruntime.GOMAXPROCS(0)), make(chan struct{}, 1)
	s := &Set{limits: l, names: map[string]*model{}}
	for _, arg := range args {
		name, path, err := split(arg)
		if err != nil {
			return nil, err
		}
		if other := s.names[name]; other != nil {
			return nil, fmt.Errorf("%s and %s would both have the name %q: give one of them another name, as in %s2=%s", other.path, path, name, name, path)
		}
		m := &model{name: name, path: path, observer: observe(name)}
		s.names[name] = m
		s.models = append(s.models, m)
	}
	return s, nil
}

// split returns the name and the path of a model. The default name is that of the file or, for a
// file named model.onnx, that of its folder.
func split(arg string) (name, path string, err error) {
	// A file whose path contains "=" needs no name.
	if before, after, found := strings.Cut(arg, "="); found && !strings.ContainsAny(before, `/\`) {
		if _, err := os.Stat(arg); err != nil {
			name, arg = before, after
			if name == "" || arg == "" {
				return "", "", fmt.Errorf("%s=%s: want NAME=PATH", name, arg)
			}
		}
	}
	path = arg
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		if full, err := filepath.Abs(path); err == nil && name == "model" {
			if folder := filepath.Base(filepath.Dir(full)); folder != string(filepath.Separator) && folder != "." {
				name = folder
			}
		}
	}
	// Clients name a model in paths of URLs, and the metrics in UTF-8.
	unusable := func(r rune) bool { return !unicode.IsPrint(r) || r == '/' }
	if name == "" || name == "." || name == ".." || !utf8.ValidString(name) || strings.ContainsFunc(name, unusable) {
		return "", "", fmt.Errorf("%q cannot be the name of a model: give another one, as in digits=%s", name, path)
	}
	return name, path, nil
}

// Load loads all models. It returns the first error.
func (s *Set) Load(ctx context.Context) error {
	for _, m := range s.models {
		if err := s.load(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// load loads a model, and replaces the one that is there.
func (s *Set) load(ctx context.Context, m *model) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	start := time.Now()
	m.tried, _ = os.Stat(m.path) // before the file is read, so that a later change is noticed
	m.changed = nil
	v, err := load(ctx, m.path, &s.limits, m.observer)
	m.observer.Loaded(err)
	if err != nil {
		return err
	}
	log := s.limits.Log.With("model", m.name)
	for _, w := range v.model.Warnings() {
		log.Warn("warning about the model", "warning", w)
	}
	log.Info("the model is loaded", "path", m.path, "seconds", time.Since(start).Seconds(), "description", v.model.String(), "batches", v.batches, "images", v.classifier != nil)
	if old := m.current.Swap(v); old != nil {
		old.leave() // the requests in progress end with the old model
	}
	if s.limits.Loaded != nil {
		s.limits.Loaded(ctx, m.name, m.path, v.classifier != nil)
	}
	return nil
}

// Reload loads models again whose files have changed, or all of them. A file that has changed must
// be the same in two calls, since another program may still be writing it. A model that cannot be
// loaded stays as it was, with an error in the log.
func (s *Set) Reload(ctx context.Context, all bool) {
	for _, m := range s.models {
		if !all && !m.settled() {
			continue
		}
		if err := s.load(ctx, m); err != nil && ctx.Err() == nil {
			s.limits.Log.Error("the model cannot be loaded: the server keeps the old one", "model", m.name, "path", m.path, "error", cli.Message(err, nil))
		}
	}
}

// settled reports whether the file of a model differs from the one that was loaded, but not from
// that of the call before.
func (m *model) settled() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, err := os.Stat(m.path)
	if err != nil || same(now, m.tried) {
		m.changed = nil
		return false
	}
	settled := same(now, m.changed)
	m.changed = now
	return settled
}

func same(a, b os.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// Close closes all models. Requests in progress end with an error.
func (s *Set) Close() {
	for _, m := range s.models {
		if v := m.current.Swap(nil); v != nil {
			v.leave()
		}
	}
}

// Ready reports whether all models are loaded.
func (s *Set) Ready() bool {
	for _, m := range s.models {
		if m.current.Load() == nil {
			return false
		}
	}
	return true
}

// Has reports whether there is a model of this name.
func (s *Set) Has(name string) bool { return s.names[name] != nil }

// find returns the model with a name and a version, "" for any version.
func (s *Set) find(name, v string) (*model, error) {
	m := s.names[name]
	if m == nil {
		var list []string
		for _, m := range s.models {
			list = append(list, fmt.Sprintf("%q", m.name))
		}
		const most = 20
		if len(list) > most {
			list = append(list[:most], "...")
		}
		return nil, inference.Errorf(inference.NotFound, "there is no model %q: the models are %s", name, strings.Join(list, ", "))
	}
	if v != "" && v != version {
		return nil, inference.Errorf(inference.NotFound, "model %q has no version %q: its only version is %q", name, v, version)
	}
	return m, nil
}

// use returns a loaded model, which the caller must leave.
func (s *Set) use(name, v string) (*model, *loaded, error) {
	m, err := s.find(name, v)
	if err != nil {
		return nil, nil, err
	}
	for {
		l := m.current.Load()
		switch {
		case l == nil:
			return nil, nil, inference.Errorf(inference.Unavailable, "model %q is not loaded yet: try again later", name)
		case l.enter():
			return m, l, nil
		}
	}
}

// ModelReady returns nil if the model with a name and a version can answer requests.
func (s *Set) ModelReady(name, v string) error {
	_, l, err := s.use(name, v)
	if err == nil {
		l.leave()
	}
	return err
}

// Describe describes a model.
func (s *Set) Describe(name, v string) (Description, error) {
	_, l, err := s.use(name, v)
	if err != nil {
		return Description{}, err
	}
	defer l.leave()
	return l.describe(name), nil
}

// Versions returns the versions of every model.
func Versions() []string { return []string{version} }

// Infer answers a request.
func (s *Set) Infer(ctx context.Context, r *inference.Request) (*inference.Response, error) {
	m, l, err := s.use(r.Model, r.Version)
	if err != nil {
		return nil, err
	}
	defer l.leave()
	outputs, done, err := l.infer(ctx, r)
	if err != nil {
		return nil, err
	}
	m.observer.Inferred(done.effort())
	return &inference.Response{Model: r.Model, Version: version, ID: r.ID, Outputs: outputs}, nil
}
