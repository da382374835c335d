package serve

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/page"
	"github.com/spike-by-spike/sbs/runtime"
)

// showcase holds the models that the page shows: a copy of each model that classifies images. The
// page runs it on one CPU core and with other numbers of spikes than the protocol does.
type showcase struct {
	page     *page.Handler
	log      *slog.Logger
	options  []runtime.Option
	pictures map[string][]string // paths by the name of the model, "" for all

	mu     sync.Mutex
	models []*page.Model // in the order in which they were first loaded
}

// newShowcase returns a showcase without models. Its pictures are those of the flag --pictures, where
// names are the names of the models.
func (c *config) newShowcase(log *slog.Logger) (*showcase, error) {
	s := &showcase{
		page: page.New(page.Limits{Spikes: c.limits.MaxSpikes}), log: log, pictures: map[string][]string{},
		options: []runtime.Option{runtime.MemoryLimit(1 << 30)},
	}
	if c.limits.IgnoreChecksum {
		s.options = append(s.options, runtime.IgnoreChecksum())
	}
	for _, arg := range c.pictures {
		name, path, found := strings.Cut(arg, "=")
		if _, err := os.Stat(arg); err == nil || !found {
			name, path = "", arg
		}
		if _, err := os.Stat(path); err != nil {
			return nil, cli.Usage(fmt.Errorf("--pictures %s: %w", arg, err))
		}
		s.pictures[name] = append(s.pictures[name], path)
	}
	return s, nil
}

// check returns an error if the flag --pictures names a model that does not exist.
func (s *showcase) check(has func(name string) bool) error {
	for name := range s.pictures {
		if name != "" && !has(name) {
			return cli.Usage(fmt.Errorf("--pictures %s=%s: there is no model %q", name, s.pictures[name][0], name))
		}
	}
	return nil
}

// loaded shows a model that was loaded from a file, in place of an older one with its name. A model
// that the page cannot show is left out, with a line in the log: the protocol serves it nevertheless.
func (s *showcase) loaded(ctx context.Context, name, path string, images bool) {
	var m *page.Model
	if images {
		var err error
		if m, err = s.load(ctx, name, path); err != nil {
			m = nil
			s.log.Warn("the page does not show the model", "model", name, "reason", cli.Message(err, nil))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.Clone(s.models)
	at := slices.IndexFunc(list, func(o *page.Model) bool { return o.Name() == name })
	switch {
	case m != nil && at >= 0:
		list[at] = m
	case m != nil:
		list = append(list, m)
	case at >= 0:
		list = slices.Delete(list, at, at+1)
	}
	s.models = list
	s.page.SetModels(list)
}

func (s *showcase) load(ctx context.Context, name, path string) (*page.Model, error) {
	_, data, err := onnx.ReadFile(ctx, path)
	if err != nil {
		return nil, err
	}
	m, err := page.Load(ctx, name, data, s.options...)
	if err != nil {
		return nil, err
	}
	if paths := slices.Concat(s.pictures[name], s.pictures[""]); paths != nil {
		if err := m.UsePictures(ctx, paths...); err != nil {
			s.log.Warn("the page cannot use the pictures of --pictures: NAME=PATH gives each model its own", "model", name, "error", cli.Message(err, nil))
		}
	}
	return m, nil
}
