package serve

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"
)

// certificates are the certificate and the key for TLS. The files may be replaced.
type certificates struct {
	cert, key string // paths
	current   atomic.Pointer[tls.Certificate]
}

func newCertificates(cert, key string) (*certificates, error) {
	c := &certificates{cert: cert, key: key}
	return c, c.read()
}

// read reads the files. After an error, the old certificate stays.
func (c *certificates) read() error {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("--tls-cert %s, --tls-key %s: %w", c.cert, c.key, err)
	}
	c.current.Store(&pair)
	return nil
}

// config returns the settings of a server.
func (c *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	}
}
