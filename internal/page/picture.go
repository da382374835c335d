package page

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strconv"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/metadata"
	"github.com/spike-by-spike/sbs/models"
)

// Picture is a test picture.
type Picture struct {
	Label  string `json:"label"`  // the name of its class, "" if unknown
	Pixels []byte `json:"pixels"` // as in Request
}

const (
	maxPictures   = 30
	maxUpload     = 10 << 20 // bytes of a file
	maxDimensions = 1 << 24  // pixels of a file
)

func (m *Model) imageSize() convert.Size { return convert.Size(m.size) }

// values returns the number of values of a picture.
func (m *Model) values() int { return m.size.Channels * m.size.Height * m.size.Width }

// embedded gives a model the test pictures from package models that have its classes and the size
// of its images.
func (m *Model) embedded() error {
	var folder string
	switch {
	case m.size != classify.Size{Channels: 1, Height: 28, Width: 28}:
		return nil
	case m.digits():
		folder, m.source = "mnist", "MNIST (Y. LeCun and C. Cortes, CC BY-SA 3.0)"
	case len(m.classes) == 10 && slices.Contains(m.classes, "Dress") && slices.Contains(m.classes, "Ankle boot"):
		folder, m.source = "fashion-mnist", "Fashion-MNIST (Zalando SE, MIT license)"
	default:
		return nil
	}
	files, err := fs.Glob(models.Pictures, folder+"/images/*/*.png")
	if err != nil {
		return err
	}
	for _, name := range files {
		data, err := models.Pictures.ReadFile(name)
		if err != nil {
			return err
		}
		pixels, err := m.decode(data, maxDimensions, "no")
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		class, err := strconv.Atoi(path.Base(path.Dir(name)))
		if err != nil || class >= len(m.classes) {
			return fmt.Errorf("%s: the folder is no number of a class", name)
		}
		m.pictures = append(m.pictures, Picture{m.classes[class], pixels})
	}
	return nil
}

// decode returns the pixels of a picture file, with the size of the model's images, in the form of
// Request. invert is as in classify.Invert.
func (m *Model) decode(file []byte, maxPixels int, invert string) ([]byte, error) {
	img, err := classify.DecodeImage(file, maxPixels)
	if err != nil {
		return nil, err
	}
	c, err := classify.New(m.stages[len(m.stages)-1].model, classify.Workers(1), classify.Resize(), classify.Invert(invert))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	x, err := c.Tensor(img)
	if err != nil {
		return nil, err
	}
	return toBytes(field{m.imageSize(), x.Float32s()}), nil
}

// UsePictures replaces the test pictures of a model by those in paths, which are images as sbs-run
// takes them, of any size. It takes 30 at most, an equal share of each class if they are in folders
// of classes. Call it before SetModels.
func (m *Model) UsePictures(ctx context.Context, paths ...string) (err error) {
	options := dataset.Options{
		Size: dataset.Size(m.size), Resize: true, Invert: dataset.InvertAuto, Classes: m.classes, NumClasses: len(m.classes),
	}
	if n := m.stages[len(m.stages)-1].network; n != nil {
		options.Borders = (*metadata.Borders)(n.Borders)
	}
	source, err := dataset.Open(paths, options)
	if err != nil {
		return fmt.Errorf("page: %s: %w", m.name, err)
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	limited, _ := dataset.Limit(source, maxPictures)
	var list []Picture
	for i := range limited.Len() {
		if err := ctx.Err(); err != nil {
			return err
		}
		img := limited.At(i)
		if img.Err != nil {
			return fmt.Errorf("page: %s: %w", m.name, img.Err)
		}
		p := Picture{Pixels: toBytes(field{m.imageSize(), img.Pixels})}
		if img.Label >= 0 && img.Label < len(m.classes) {
			p.Label = m.classes[img.Label]
		}
		list = append(list, p)
	}
	m.pictures, m.source = list, ""
	return nil
}

func (h *Handler) pictures(r *http.Request) ([]Picture, error) {
	m, err := h.model(r.URL.Query().Get("model"))
	if err != nil {
		return nil, err
	}
	return append([]Picture{}, m.pictures...), nil
}

// upload returns the pixels of a picture file.
func (h *Handler) upload(r *http.Request) (Picture, error) {
	m, err := h.model(r.URL.Query().Get("model"))
	if err != nil {
		return Picture{}, err
	}
	file, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxUpload))
	if err != nil {
		return Picture{}, err
	}
	var p Picture
	err = h.compute(r, func(context.Context) error {
		var err error
		if p.Pixels, err = m.decode(file, maxDimensions, "auto"); err != nil {
			return statusError{http.StatusBadRequest, err}
		}
		return nil
	})
	return p, err
}

// Weights are the weights of a neuron as a picture.
type Weights struct {
	Channels int    `json:"channels"`
	Height   int    `json:"height"`
	Width    int    `json:"width"`
	Pixels   []byte `json:"pixels"` // of shape (height, width, channels)
}

func (h *Handler) weights(r *http.Request) (w Weights, err error) {
	query := r.URL.Query()
	m, err := h.model(query.Get("model"))
	if err != nil {
		return w, err
	}
	number := func(name string) int {
		n, bad := strconv.Atoi(query.Get(name))
		if bad != nil && err == nil {
			err = refused("%s %q is not a number", name, query.Get(name))
		}
		return n
	}
	stage, layer, neuron := max(number("stage"), 1), number("layer"), number("neuron")
	if err != nil {
		return w, err
	}
	if stage > len(m.stages) {
		return w, refused("there is no stage %d: the model %s has %d", stage, m.name, len(m.stages))
	}
	s := &m.stages[stage-1]
	l := s.layerOf(layer)
	if l == nil {
		return w, refused("there is no layer %d with weights to show", layer)
	}
	if neurons := l.weights.Shape()[1]; neuron < 0 || neuron >= neurons {
		return w, refused("there is no neuron %d: layer %d has %d", neuron, layer, neurons)
	}
	err = h.compute(r, func(context.Context) error {
		f, err := s.neuron(l, neuron)
		if err != nil {
			return statusError{http.StatusBadRequest, err}
		}
		f = s.visible(f, l.number != s.front.number)
		w = Weights{f.Channels, f.Height, f.Width, toBytes(f)}
		return nil
	})
	return w, err
}
