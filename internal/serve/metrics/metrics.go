// Package metrics measures sbs-serve for Prometheus.
package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/runtime"
)

// Metrics are the measurements of a server.
type Metrics struct {
	registry *prometheus.Registry

	requests *prometheus.CounterVec   // model, protocol, code
	latency  *prometheus.HistogramVec // model, protocol
	page     *prometheus.CounterVec   // code
	shown    *prometheus.HistogramVec // without labels
	bodies   prometheus.Gauge
	waiting  *prometheus.GaugeVec // model, as all that follow
	waited   *prometheus.HistogramVec
	batches  *prometheus.HistogramVec
	runs     *prometheus.HistogramVec
	images   *prometheus.CounterVec
	updates  *prometheus.CounterVec
	stages   *prometheus.CounterVec // and stage
	loads    *prometheus.CounterVec // and result
	loaded   *prometheus.GaugeVec
}

// seconds are the buckets of times: from 0.1 ms to 52 s.
var seconds = prometheus.ExponentialBuckets(1e-4, 2, 20)

// New returns the metrics of a server.
func New() *Metrics {
	name := func(name, help string) prometheus.Opts { return prometheus.Opts{Name: "sbs_" + name, Help: help} }
	counter := func(n, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts(name(n, help)), labels)
	}
	gauge := func(n, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts(name(n, help)), labels)
	}
	histogram := func(n, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "sbs_" + n, Help: help, Buckets: buckets}, labels)
	}
	const model = "model"
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: counter("requests_total", "Inference requests by status: an HTTP status code or the name of a gRPC code.", model, "protocol", "code"),
		latency:  histogram("request_duration_seconds", "Time from the start of an inference request to its answer.", seconds, model, "protocol"),
		page:     counter("page_requests_total", "Requests of the page by HTTP status code, without those for its files.", "code"),
		shown:    histogram("page_request_duration_seconds", "Time of a request of the page.", seconds),
		bodies:   prometheus.NewGauge(prometheus.GaugeOpts(name("request_bytes", "Bytes of memory of the requests in progress: their bodies, also decoded."))),
		waiting:  gauge("queue_images", "Images that wait for a batch.", model),
		waited:   histogram("queue_duration_seconds", "Time of a request in the queue.", seconds, model),
		batches:  histogram("batch_images", "Images in a batch.", prometheus.ExponentialBuckets(1, 2, 11), model),
		runs:     histogram("run_duration_seconds", "Time of a run of the model.", seconds, model),
		images:   counter("images_total", "Images in requests that have succeeded.", model),
		updates:  counter("spike_updates_total", "Spike updates for these images.", model),
		stages:   counter("stage_images_total", "Images by the stage at which they have left, for models with stages.", model, "stage"),
		loads:    counter("model_loads_total", "Loads of a model, the first one included.", model, "result"),
		loaded:   gauge("model_loaded_timestamp_seconds", "Time of the last load that has succeeded, since 1970.", model),
	}
	build := gauge("build_info", "The version of the server, always 1.", "version")
	build.WithLabelValues(cli.Release()).Set(1)
	m.registry.MustRegister(m.requests, m.latency, m.page, m.shown, m.bodies, m.waiting, m.waited, m.batches, m.runs, m.images, m.updates, m.stages, m.loads, m.loaded, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler returns the handler of /metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Request counts an inference request. model is "" if there is no such model.
func (m *Metrics) Request(model, protocol, code string, d time.Duration) {
	m.requests.WithLabelValues(model, protocol, code).Inc()
	m.latency.WithLabelValues(model, protocol).Observe(d.Seconds())
}

// Page returns a handler that measures h, which answers the requests of the page.
func (m *Metrics) Page(h http.Handler) http.Handler {
	return promhttp.InstrumentHandlerCounter(m.page, promhttp.InstrumentHandlerDuration(m.shown, h))
}

// Bytes changes the number of bytes of memory of requests in progress.
func (m *Metrics) Bytes(change int64) { m.bodies.Add(float64(change)) }

// Model returns the measurements of one model.
func (m *Metrics) Model(name string) *Model {
	return &Model{
		all: m, name: name,
		waiting: m.waiting.WithLabelValues(name), waited: m.waited.WithLabelValues(name),
		batches: m.batches.WithLabelValues(name), runs: m.runs.WithLabelValues(name),
		images: m.images.WithLabelValues(name), updates: m.updates.WithLabelValues(name),
	}
}

// Model measures one model. It implements models.Observer.
type Model struct {
	all             *Metrics
	name            string
	waiting         prometheus.Gauge
	waited          prometheus.Observer
	batches, runs   prometheus.Observer
	images, updates prometheus.Counter
}

// Waiting implements batch.Observer.
func (m *Model) Waiting(images int) { m.waiting.Add(float64(images)) }

// Waited implements batch.Observer.
func (m *Model) Waited(d time.Duration) { m.waited.Observe(d.Seconds()) }

// Ran implements batch.Observer.
func (m *Model) Ran(images int, d time.Duration) {
	m.batches.Observe(float64(images))
	m.runs.Observe(d.Seconds())
}

// Inferred implements models.Observer.
func (m *Model) Inferred(e runtime.Effort) {
	m.images.Add(float64(len(e.Updates)))
	var updates int64
	for _, n := range e.Updates {
		updates += n
	}
	m.updates.Add(float64(updates))
	left := map[int]int{}
	for _, s := range e.Stages {
		left[s]++
	}
	for s, n := range left {
		m.all.stages.WithLabelValues(m.name, strconv.Itoa(s)).Add(float64(n))
	}
}

// Loaded implements models.Observer.
func (m *Model) Loaded(err error) {
	result := "success"
	if err != nil {
		result = "failure"
	} else {
		m.all.loaded.WithLabelValues(m.name).SetToCurrentTime()
	}
	m.all.loads.WithLabelValues(m.name, result).Inc()
}
