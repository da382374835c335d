// Package rpc is the gRPC interface of sbs-serve: the service of the Open Inference Protocol, with
// raw contents, health and reflection.
package rpc

import (
	"context"
	"crypto/tls"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // clients may compress requests
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/serve/gate"
	"github.com/spike-by-spike/sbs/internal/serve/inference"
	"github.com/spike-by-spike/sbs/internal/serve/models"
	"github.com/spike-by-spike/sbs/internal/serve/oip"
)

// codesOf has the gRPC code of each kind of error.
var codesOf = map[inference.Kind]codes.Code{
	inference.Internal: codes.Internal, inference.Invalid: codes.InvalidArgument, inference.Unauthenticated: codes.Unauthenticated,
	inference.NotFound: codes.NotFound, inference.BadMethod: codes.Unimplemented, inference.TooLarge: codes.ResourceExhausted,
	inference.BadFormat: codes.Unimplemented, inference.Busy: codes.ResourceExhausted, inference.Unavailable: codes.Unavailable,
	inference.Timeout: codes.DeadlineExceeded, inference.Canceled: codes.Canceled,
}

// failure returns an error as gRPC has it.
func failure(err error) error {
	if err == nil {
		return nil
	}
	return status.Error(codesOf[inference.KindOf(err)], gate.Message(err))
}

// Server is a gRPC server. Its health service reports that it does not serve until SetReady.
type Server struct {
	*grpc.Server
	health *health.Server
	ending chan struct{} // closed when streams must end
}

// maxStreams is the number of calls of one connection at the same time.
const maxStreams = 1000

// New returns the server of all services. certificates is nil without TLS.
func New(g *gate.Gate, certificates *tls.Config) *Server {
	s := &Server{health: health.NewServer(), ending: make(chan struct{})}
	opts := []grpc.ServerOption{
		grpc.ForceServerCodecV2(newCodec()), grpc.MaxRecvMsgSize(int(g.MaxBody)), grpc.MaxConcurrentStreams(maxStreams), grpc.ConnectionTimeout(10 * time.Second),
		// Connections that answer no ping are dead; clients may ping, as those of Triton do.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (response any, err error) {
			defer recoverTo(g, &err)
			if err := allow(ctx, g, info.FullMethod); err != nil {
				return nil, failure(err)
			}
			return next(ctx, req)
		}),
		grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if err := allow(stream.Context(), g, info.FullMethod); err != nil {
				return failure(err)
			}
			done := make(chan error, 1)
			go func() {
				var err error
				defer func() { done <- err }()
				defer recoverTo(g, &err)
				err = next(srv, stream)
			}()
			select {
			case err := <-done:
				return err
			case <-s.ending:
				return status.Error(codes.Unavailable, "the server is ending")
			}
		}),
	}
	if certificates != nil {
		opts = append(opts, grpc.Creds(credentials.NewTLS(certificates)))
	}
	s.Server = grpc.NewServer(opts...)
	oip.RegisterGRPCInferenceServiceServer(s, &service{gate: g})
	healthpb.RegisterHealthServer(s, s.health)
	reflection.Register(s)
	s.SetReady(false)
	return s
}

// SetReady sets the status of the health service.
func (s *Server) SetReady(ready bool) {
	status := healthpb.HealthCheckResponse_NOT_SERVING
	if ready {
		status = healthpb.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus("", status)
	s.health.SetServingStatus(oip.GRPCInferenceService_ServiceDesc.ServiceName, status)
}

// Shutdown ends the server after the calls in progress, or with an error when ctx is done. Streams, those
// of the health and the reflection service, end at once: they last as long as their clients want.
func (s *Server) Shutdown(ctx context.Context) error {
	close(s.ending)
	inTime := context.AfterFunc(ctx, s.Stop)
	s.GracefulStop()
	if !inTime() {
		return ctx.Err()
	}
	return nil
}

// recoverTo sets err if a call has panicked, which would otherwise end the process.
func recoverTo(g *gate.Gate, err *error) {
	if p := recover(); p != nil {
		g.Log.Error("a call has panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		*err = status.Error(codes.Internal, "the call has failed: see the log of the server")
	}
}

// allow checks the token of a call. Probes need none.
func allow(ctx context.Context, g *gate.Gate, method string) error {
	if strings.HasPrefix(method, "/grpc.health.v1.") || method == oip.GRPCInferenceService_ServerLive_FullMethodName || method == oip.GRPCInferenceService_ServerReady_FullMethodName {
		return nil
	}
	authorization := ""
	if values := metadata.ValueFromIncomingContext(ctx, "authorization"); len(values) > 0 {
		authorization = values[0]
	}
	return g.Allow(authorization)
}

// service implements the service of the protocol.
type service struct {
	oip.UnimplementedGRPCInferenceServiceServer
	gate *gate.Gate
}

// ServerLive implements the protocol.
func (s *service) ServerLive(context.Context, *oip.ServerLiveRequest) (*oip.ServerLiveResponse, error) {
	return &oip.ServerLiveResponse{Live: true}, nil
}

// ServerReady implements the protocol.
func (s *service) ServerReady(context.Context, *oip.ServerReadyRequest) (*oip.ServerReadyResponse, error) {
	return &oip.ServerReadyResponse{Ready: s.gate.Ready()}, nil
}

// ModelReady implements the protocol.
func (s *service) ModelReady(_ context.Context, r *oip.ModelReadyRequest) (*oip.ModelReadyResponse, error) {
	err := s.gate.Models.ModelReady(r.Name, r.Version)
	if err != nil && inference.KindOf(err) != inference.Unavailable {
		return nil, failure(err)
	}
	return &oip.ModelReadyResponse{Ready: err == nil}, nil
}

// ServerMetadata implements the protocol.
func (s *service) ServerMetadata(context.Context, *oip.ServerMetadataRequest) (*oip.ServerMetadataResponse, error) {
	return &oip.ServerMetadataResponse{Name: gate.ServerName, Version: cli.Release(), Extensions: gate.Extensions()}, nil
}

// ModelMetadata implements the protocol.
func (s *service) ModelMetadata(_ context.Context, r *oip.ModelMetadataRequest) (*oip.ModelMetadataResponse, error) {
	d, err := s.gate.Models.Describe(r.Name, r.Version)
	if err != nil {
		return nil, failure(err)
	}
	list := func(tensors []models.Tensor) []*oip.ModelMetadataResponse_TensorMetadata {
		out := make([]*oip.ModelMetadataResponse_TensorMetadata, len(tensors))
		for i, t := range tensors {
			out[i] = &oip.ModelMetadataResponse_TensorMetadata{Name: t.Name, Datatype: t.Datatype, Shape: t.Shape}
		}
		return out
	}
	return &oip.ModelMetadataResponse{
		Name: d.Name, Versions: models.Versions(), Platform: gate.Platform, Inputs: list(d.Inputs), Outputs: list(d.Outputs), Properties: d.Properties,
	}, nil
}

// ModelInfer implements the protocol.
func (s *service) ModelInfer(ctx context.Context, r *oip.ModelInferRequest) (*oip.ModelInferResponse, error) {
	start := time.Now()
	response, err := s.infer(ctx, r)
	code := codes.OK
	if err != nil {
		code = codesOf[inference.KindOf(err)]
	}
	s.gate.Done(ctx, "grpc", r.ModelName, code.String(), start, err)
	return response, failure(err)
}

func (s *service) infer(ctx context.Context, r *oip.ModelInferRequest) (*oip.ModelInferResponse, error) {
	if err := s.gate.Models.ModelReady(r.ModelName, r.ModelVersion); err != nil {
		return nil, err
	}
	bytes := size(r)
	if err := s.gate.Reserve(0, bytes); err != nil {
		return nil, err
	}
	defer s.gate.Release(bytes)
	request, err := fromMessage(r)
	if err != nil {
		return nil, err
	}
	response, err := s.gate.Infer(ctx, request)
	if err != nil {
		return nil, err
	}
	return toMessage(response, len(r.RawInputContents) > 0), nil
}
