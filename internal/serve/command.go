// Package serve runs models as a network service. It is the code of sbs-serve.
package serve

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/serve/models"
)

const name = "sbs-serve"

const long = `Serves ONNX models with the Open Inference Protocol, version 2, over HTTP (REST)
and gRPC. Clients of KServe, Triton and MLServer can use them.

MODEL is the path of a model that sbs-convert or sbs-train wrote, or of another
ONNX model. The name of the model in requests is that of its file or, for a file
named model.onnx, that of its folder. NAME=PATH gives it another name.

A model that classifies images also takes pictures:

  curl --data-binary @7.png -H 'Content-Type: image/png' \
      http://localhost:8080/v2/models/mnist-fast/infer

Requests for the same model are computed in batches as they come. The answer to
a request does not depend on its batch. Its random numbers depend on the
parameter seed of the request or, without one, on the values of each image.
Further parameters are spikes, sampler, epsilon_schedule and top.

Without --listen and --grpc-listen, only programs on this computer reach the
server. A model is replaced when its file changes, and all are on SIGHUP;
requests in progress end with the old model. After SIGTERM or Ctrl-C the server
answers the requests that it has accepted, and ends with exit code 0.

The page at / shows how a network decides about a picture, spike by spike. Its
requests use one CPU core, one after the other.

/metrics has measurements for Prometheus. docs/serving.md has examples of
clients, a Dockerfile, and a configuration for Kubernetes.`

const example = `  sbs-serve model.onnx
  sbs-serve models/mnist-fast/model.onnx clothes=models/fashion-fast/model.onnx
  sbs-serve model.onnx --listen :8443 --grpc-listen :8444 --tls-cert tls.crt --tls-key tls.key \
      --token-file token`

// config holds the values of the command line.
type config struct {
	listen, grpcListen string
	tlsCert, tlsKey    string
	tokenFile          string
	limits             models.Limits
	workers            cli.OptionalInt
	maxBatch, maxQueue cli.OptionalInt
	maxSpikes          cli.OptionalInt
	maxBody, maxMemory cli.OptionalInt // MiB
	timeout            time.Duration
	readTimeout        time.Duration
	reload             time.Duration
	drain, shutdown    time.Duration
	noPage             bool
	pictures           []string
	logFormat          string
	logLevel           string

	models *models.Set
}

// The defaults and limits of flags.
const (
	defaultMaxBatch  = 128
	defaultMaxQueue  = 4096
	defaultMaxSpikes = 10000
	defaultMaxBody   = 64
	defaultMaxMemory = 1024
	mostMemory       = 1 << 30    // MiB
	maxPixels        = 25_000_000 // of a picture
)

// Command returns the command sbs-serve.
func Command([]string) *cobra.Command {
	var c config
	var paths []string
	cmd := &cobra.Command{
		Use:     name + " [flags] MODEL.onnx...",
		Short:   "Serves models with the Open Inference Protocol",
		Long:    long,
		Example: example,
		Args: func(_ *cobra.Command, args []string) error {
			paths = args
			return c.check(args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.run(cmd.Context(), paths, cmd.ErrOrStderr())
		},
	}
	c.register(cmd.Flags())
	return cmd
}

func (c *config) register(s *pflag.FlagSet) {
	s.StringVar(&c.listen, "listen", "localhost:8080", "`address` for HTTP: host:port, or :port for all networks")
	s.StringVar(&c.grpcListen, "grpc-listen", "localhost:8081", "`address` for gRPC; \"\" for no gRPC")
	cli.IntVar(s, &c.workers, "workers", 0, "`number` of CPU cores of a run (default: all)")
	cli.InvertVar(s, &c.limits.Invert)
	cli.ChecksumVar(s, &c.limits.IgnoreChecksum)
	s.DurationVar(&c.reload, "reload-interval", 2*time.Second, "`time` between looks at the files of the models, the certificate and the token; 0 reads them again only on SIGHUP")

	cli.IntVar(s, &c.maxBatch, "max-batch", 1, fmt.Sprintf("`number` of images in a batch, and in a request (default: %d)", defaultMaxBatch))
	s.DurationVar(&c.limits.MaxDelay, "max-delay", 0, "`time` for which the first request of a batch waits for others; without it, a batch has the requests that have come during the run before")
	s.BoolVar(&c.limits.BatchAll, "batch-all", false, "let requests for models of other programs share batches, too. This is right only for models that compute every entry of the first dimension by itself")

	cli.IntVar(s, &c.maxQueue, "max-queue", 1, fmt.Sprintf("`number` of images of a model that may wait; further requests are refused (default: %d)", defaultMaxQueue))
	cli.IntVar(s, &c.maxSpikes, "max-spikes", 1, fmt.Sprintf("largest `number` for the parameter spikes (default: %d)", defaultMaxSpikes))
	cli.IntVar(s, &c.maxBody, "max-body", 1, fmt.Sprintf("size of a request in `MiB`, decompressed (default: %d)", defaultMaxBody))
	cli.IntVar(s, &c.maxMemory, "max-memory", 1, fmt.Sprintf("memory of all requests in progress in `MiB` (default: %d)", defaultMaxMemory))
	s.DurationVar(&c.timeout, "timeout", time.Minute, "`time` for a request, waiting included")
	s.DurationVar(&c.readTimeout, "read-timeout", time.Minute, "`time` in which a request must arrive")

	s.StringVar(&c.tlsCert, "tls-cert", "", "`file` with the certificate for TLS, in PEM format")
	s.StringVar(&c.tlsKey, "tls-key", "", "`file` with the private key of the certificate")
	s.StringVar(&c.tokenFile, "token-file", "", "`file` with a token that requests must send as \"Authorization: Bearer TOKEN\"; probes need none")

	s.DurationVar(&c.drain, "drain", time.Second, "`time` after SIGTERM in which the server still accepts requests but is no longer ready, so that clients go elsewhere")
	s.DurationVar(&c.shutdown, "shutdown-timeout", time.Minute, "`time` after that in which requests must end")
	s.BoolVar(&c.noPage, "no-page", false, "serve no page for browsers, which keeps a copy of every model that classifies images")
	s.StringArrayVar(&c.pictures, "pictures", nil, "`images` that the page offers, a file or a folder as sbs-run takes them; NAME=PATH is for one model. Repeat the flag for others (default: test pictures of MNIST and Fashion-MNIST)")
	c.logFormat = "text"
	cli.ChoiceVar(s, &c.logFormat, "log-format", []string{"text", "json"}, "`format` of the log, on the standard error output: text or json")
	c.logLevel = "info"
	cli.ChoiceVar(s, &c.logLevel, "log-level", []string{"debug", "info", "warn", "error"}, "least important `level` to log: debug, which has every request, info, warn or error")

	cli.Group(s, "Batches", "max-batch", "max-delay", "batch-all")
	cli.Group(s, "Limits", "max-queue", "max-spikes", "max-body", "max-memory", "timeout", "read-timeout")
	cli.Group(s, "Security", "tls-cert", "tls-key", "token-file")
	cli.Group(s, "Page", "no-page", "pictures")
	cli.Group(s, "Operation", "drain", "shutdown-timeout", "log-format", "log-level")
}

// check checks the arguments and flags.
func (c *config) check(args []string) error {
	for _, d := range []struct {
		flag  string
		value time.Duration
		least time.Duration
	}{
		{"max-delay", c.limits.MaxDelay, 0}, {"timeout", c.timeout, time.Millisecond}, {"read-timeout", c.readTimeout, time.Millisecond},
		{"reload-interval", c.reload, 0}, {"drain", c.drain, 0}, {"shutdown-timeout", c.shutdown, 0},
	} {
		if d.value < d.least {
			return fmt.Errorf("--%s %v: want at least %v", d.flag, d.value, d.least)
		}
	}
	switch {
	case len(args) == 0:
		return errors.New("expected at least one model: sbs-serve MODEL.onnx (see --help)")
	case (c.tlsCert == "") != (c.tlsKey == ""):
		return errors.New("--tls-cert and --tls-key must be given together")
	case c.noPage && c.pictures != nil:
		return errors.New("--pictures are for the page: leave out --no-page or --pictures")
	case c.maxBody.Or(defaultMaxBody) > 2000:
		return errors.New("--max-body: want at most 2000 MiB")
	case c.maxMemory.Or(defaultMaxMemory) > mostMemory:
		return fmt.Errorf("--max-memory: want at most %d MiB", mostMemory)
	}
	c.limits.Workers = c.workers.Value
	c.limits.MaxBatch = c.maxBatch.Or(defaultMaxBatch)
	c.limits.MaxQueue = c.maxQueue.Or(defaultMaxQueue)
	c.limits.MaxSpikes = c.maxSpikes.Or(defaultMaxSpikes)
	c.limits.MaxPixels = maxPixels
	return nil
}

// levels are the values of --log-level.
var levels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
