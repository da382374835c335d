package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const folder = "../../models/"

// load loads a model of this repository.
func load(t testing.TB, name string) *Model {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, name, "model.onnx"))
	require.NoError(t, err)
	m, err := Load(t.Context(), name, data)
	require.NoError(t, err)
	return m
}

// newHandler returns a Handler with models.
func newHandler(l Limits, models ...*Model) *Handler {
	h := New(l)
	h.SetModels(models)
	return h
}

// send sends a request to a Handler and returns the status and the body of the answer.
func send(h http.Handler, method, path string, body []byte, header ...string) (int, []byte, http.Header) {
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.Bytes(), w.Header()
}

// get returns the answer to a GET request, which must succeed.
func get[T any](t testing.TB, h http.Handler, path string) (v T) {
	t.Helper()
	status, body, _ := send(h, http.MethodGet, path, nil)
	require.Equal(t, http.StatusOK, status, "%s: %s", path, body)
	require.NoError(t, json.Unmarshal(body, &v))
	return v
}

// run returns the answer to a Request, which must succeed.
func run(t testing.TB, h http.Handler, q Request) *Response {
	t.Helper()
	body, err := json.Marshal(q)
	require.NoError(t, err)
	status, body, _ := send(h, http.MethodPost, "/page/run", body)
	require.Equal(t, http.StatusOK, status, "%s", body)
	a := new(Response)
	require.NoError(t, json.Unmarshal(body, a))
	return a
}

func TestFiles_AreSmallAndHaveNoInlineCode(t *testing.T) {
	total := 0
	inline := regexp.MustCompile(`(?i)<script(>|[^>]*>\s*\S)|<style|\sstyle=|\son[a-z]+=|https?:`)
	require.NoError(t, fs.WalkDir(static, ".", func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		if d.IsDir() {
			return nil
		}
		data, err := static.ReadFile(path)
		require.NoError(t, err)
		total += len(data)
		require.Contains(t, contentTypes, filepath.Ext(path), path)
		if strings.HasSuffix(path, ".html") {
			code := regexp.MustCompile(`<script type="module" src="[a-z/.]+"></script>`).ReplaceAllString(string(data), "")
			require.Empty(t, inline.FindAllString(code, -1), path)
		}
		return nil
	}))
	require.Less(t, total, 150_000)
	require.Greater(t, total, 10_000)
}

func TestServeHTTP_ServesThePage(t *testing.T) {
	h := newHandler(Limits{})
	status, body, header := send(h, http.MethodGet, "/", nil)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "text/html; charset=utf-8", header.Get("Content-Type"))
	require.Equal(t, policy, header.Get("Content-Security-Policy"))
	require.NotContains(t, policy, "unsafe")
	require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))

	links := regexp.MustCompile(`(?:src|href)="(page[^"#]+)"`).FindAllStringSubmatch(string(body), -1)
	require.Len(t, links, 3)
	for _, l := range links {
		status, body, header := send(h, http.MethodGet, "/"+l[1], nil)
		require.Equal(t, http.StatusOK, status, l[1])
		require.NotEmpty(t, body)
		require.Equal(t, contentTypes[filepath.Ext(l[1])], header.Get("Content-Type"))
		status, body, _ = send(h, http.MethodGet, "/"+l[1], nil, "If-None-Match", header.Get("ETag"))
		require.Equal(t, http.StatusNotModified, status)
		require.Empty(t, body)
	}

	for _, path := range []string{"/page/static/none.js", "/page/static/", "/page/static/../page.go", "/page/", "/other"} {
		status, _, _ := send(h, http.MethodGet, path, nil)
		require.Contains(t, []int{http.StatusNotFound, http.StatusTemporaryRedirect, http.StatusMovedPermanently}, status, path)
	}
	status, _, _ = send(h, http.MethodPost, "/", nil)
	require.Equal(t, http.StatusMethodNotAllowed, status)
}

func TestServeHTTP_CompressesForClientsThatAcceptIt(t *testing.T) {
	s := httptest.NewServer(newHandler(Limits{}))
	defer s.Close()
	for encoding, want := range map[string]string{"gzip": "gzip", "br, gzip;q=0.5": "gzip", "gzip;q=0": "", "identity": "", "x-gzip-not": ""} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
		require.NoError(t, err)
		r.Header.Set("Accept-Encoding", encoding)
		resp, err := http.DefaultTransport.RoundTrip(r)
		require.NoError(t, err)
		require.Equal(t, want, resp.Header.Get("Content-Encoding"), encoding)
		require.NoError(t, resp.Body.Close())
	}
	resp, err := http.Get(s.URL) //nolint:noctx // decompresses
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	require.True(t, resp.Uncompressed)
	got, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	want, err := static.ReadFile("static/index.html")
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}

func TestServeHTTP_RefusesOtherSites(t *testing.T) {
	h := newHandler(Limits{}, load(t, "mnist-nnmf"))
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://elsewhere.example"}} {
		status, _, _ := send(h, http.MethodPost, "/page/run", []byte("{}"), header...)
		require.Equal(t, http.StatusForbidden, status)
	}
}

func TestOverview_DescribesTheModels(t *testing.T) {
	require.Equal(t, overview{Models: []description{}, Spikes: defaultSpikes, File: maxUpload}, get[overview](t, newHandler(Limits{}), "/page/models"))

	h := newHandler(Limits{Spikes: 500}, load(t, "mnist-fast"), load(t, "cifar10-fast"))
	o := get[overview](t, h, "/page/models")
	require.Equal(t, 500, o.Spikes)
	require.Len(t, o.Models, 2)
	digits, photos := o.Models[0], o.Models[1]
	require.True(t, digits.Digits)
	require.False(t, digits.Light)
	require.Equal(t, 30, digits.Pictures)
	require.Contains(t, digits.Source, "MNIST (")
	require.Len(t, digits.Stages, 2)
	require.Equal(t, 0.763, digits.Stages[0].Threshold)
	require.Equal(t, layerText{"L3/SbS", 196, "low_discrepancy"}, digits.Stages[0].Layers[2])
	require.Equal(t, []int{3, 32, 32}, []int{photos.Channels, photos.Height, photos.Width})
	require.False(t, photos.Digits)
	require.Zero(t, photos.Pictures)
	require.Empty(t, photos.Source)
	for _, m := range o.Models {
		for _, n := range m.Noise { // the ends of the slider are possible
			require.Less(t, n.Least, n.Most)
			for _, level := range []float64{n.Least, n.Most} {
				q := Request{Model: m.Name, Pixels: make([]byte, m.Channels*m.Height*m.Width), Samplers: []string{"iid"}, Spikes: 1, Noise: fmt.Sprintf("%s=%v", n.Name, level)}
				run(t, h, q)
			}
		}
	}
}

func TestPictures_AreThoseOfTheModel(t *testing.T) {
	h := newHandler(Limits{}, load(t, "mnist-fast"), load(t, "fashion-fast"), load(t, "cifar10-fast"))
	digits := get[[]Picture](t, h, "/page/pictures?model=mnist-fast")
	require.Len(t, digits, 30)
	require.Equal(t, "0", digits[0].Label)
	require.Equal(t, "9", digits[29].Label)
	clothes := get[[]Picture](t, h, "/page/pictures?model=fashion-fast")
	require.Len(t, clothes, 30)
	require.Equal(t, "Dress", clothes[9].Label)
	require.Empty(t, get[[]Picture](t, h, "/page/pictures?model=cifar10-fast"))
	status, body, _ := send(h, http.MethodGet, "/page/pictures?model="+url.QueryEscape("mnist/../x"), nil)
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, string(body), `there is no model \"mnist/../x\"`)
}

func TestUsePictures_TakesPicturesOfAnySize(t *testing.T) {
	m := load(t, "mnist-fast")
	require.NoError(t, m.UsePictures(t.Context(), folder+"mnist/images"))
	require.Len(t, m.pictures, maxPictures)
	embedded := load(t, "mnist-fast").pictures
	require.Equal(t, embedded, m.pictures, "the folder has the pictures that are embedded")
	require.Empty(t, m.source, "the page does not know where the pictures are from")

	photos := load(t, "cifar10-fast")
	require.NoError(t, photos.UsePictures(t.Context(), folder+"mnist/images/3/00018.png"))
	require.Len(t, photos.pictures, 1)
	require.Len(t, photos.pictures[0].Pixels, 3*32*32)
	require.Empty(t, photos.pictures[0].Label)

	require.ErrorContains(t, m.UsePictures(t.Context(), "none"), "page: mnist-fast: ")
}
