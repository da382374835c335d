package engine

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Server is a NATS server in this process.
type Server struct {
	server *server.Server
	token  string
}

// startTimeout is the time within which a server must be ready: with many messages in its folder, it
// takes longer.
const startTimeout = time.Minute

// StartServer starts a server with JetStream that keeps its data in a folder. Only programs on this
// machine with the token of Options can reach it.
func StartServer(folder string) (*Server, error) {
	s := &Server{token: rand.Text()}
	var err error
	s.server, err = server.NewServer(&server.Options{
		ServerName: "sbs-cluster", Host: "127.0.0.1", Port: server.RANDOM_PORT, Authorization: s.token,
		JetStream: true, StoreDir: folder, NoSigs: true, NoLog: true,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot start a NATS server: %w", err)
	}
	go s.server.Start()
	if !s.server.ReadyForConnections(startTimeout) || !s.server.JetStreamEnabled() {
		s.Stop()
		return nil, errors.New("the NATS server of this process does not start: check that its folder " + folder + " can be written and that there is free space")
	}
	return s, nil
}

// Options returns options for connecting to the server.
func (s *Server) Options() Options { return Options{URL: s.server.ClientURL(), Token: s.token} }

// Stop stops the server.
func (s *Server) Stop() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
}
