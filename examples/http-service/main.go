// Http-service is an HTTP service that classifies images.
//
// Run it from the root of the repository, and send it an image:
//
//	go run ./examples/http-service -addr localhost:8080
//	curl --data-binary @models/mnist/images/7/00000.png http://localhost:8080/classify
//
// The answer is a JSON object with the most probable classes. The flag -model names an
// ONNX model or a folder of PyTorch-SbS weights. An interrupt ends the service as soon as
// it has answered the requests that it has received.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/runtime"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("http-service", flag.ContinueOnError)
	addr := flags.String("addr", "localhost:8080", "address to listen on")
	path := flags.String("model", "models/mnist/Weights", "ONNX model, or folder of PyTorch-SbS weights")
	if err := flags.Parse(args); err != nil {
		return err
	}
	model, err := load(*path)
	if err != nil {
		return err
	}
	defer model.Close()
	classifier, err := classify.New(model, classify.Resize())
	if err != nil {
		return err
	}
	defer classifier.Close()

	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "listening on http://%s/classify\n", listener.Addr())
	server := &http.Server{
		Handler:           newHandler(classifier),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	timeout, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(timeout); err != nil {
		return errors.Join(err, server.Close())
	}
	return nil
}

// load loads an ONNX model, or converts a folder of weights.
func load(path string) (*runtime.Model, error) {
	// The networks of this repository are made for low-discrepancy spikes.
	sampler := runtime.WithSampler(runtime.LowDiscrepancy)
	if filepath.Ext(path) == ".onnx" {
		return runtime.Open(path, sampler)
	}
	network, _, err := pytorch.Load(pytorch.Options{Weights: path})
	if err != nil {
		return nil, err
	}
	data, err := convert.ToONNX(network, convert.Options{})
	if err != nil {
		return nil, err
	}
	return runtime.New(data, sampler)
}
