package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/cli"
)

func TestCommand_RefusesInvalidCommandLines(t *testing.T) {
	images(t, 3)
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "expected run, sweep, train, trials, worker or jobs"},
		{[]string{"running"}, `the first word must be run, sweep, train, trials, worker or jobs, not "running"`},
		{[]string{"run"}, "expected a model and at least one image: sbs-cluster run MODEL.onnx IMAGES..."},
		{[]string{"run", "sbs.onnx", "-"}, "shards cannot read - (the standard input)"},
		{[]string{"run", "sbs.onnx", "bars", "--shard", "1/2"}, "unknown flag --shard"},
		{[]string{"run", "sbs.onnx", "bars", "--shards", "10001"}, "--shards 10001: want at most 10000"},
		{[]string{"run", "sbs.onnx", "bars", "--shared"}, "--shared has no effect without --nats"},
		{[]string{"run", "sbs.onnx", "bars", "--creds", "x"}, "--creds is about a NATS server: give it with --nats or --context"},
		{[]string{"run", "sbs.onnx", "bars", "--nats", "x", "--local-workers", "2"}, "--local-workers has no effect with --nats or --context"},
		{[]string{"run", "sbs.onnx", "bars", "--nats", "x", "--workers", "2"}, "--workers has no effect with --nats or --context"},
		{[]string{"run", "sbs.onnx", "bars", "--nats", "x", "--context", "y"}, "--nats and --context cannot be combined"},
		{[]string{"run", "sbs.onnx", "bars", "--nats", "x", "--replicas", "7"}, "--replicas 7: want 1 to 5"},
		{[]string{"run", "sbs.onnx", "bars", "--nats", "x", "--lifetime", "1s"}, "--lifetime 1s: want at least a minute"},
		{[]string{"run", "sbs.onnx", "bars", "--nats", "x", "--tlscert", "y"}, "--tlscert and --tlskey need each other"},
		{[]string{"sweep", "sbs.onnx", "--data", "bars"}, "the folder for the results is missing"},
		{[]string{"sweep", "sbs.onnx", "--data", "bars", "-o", "x", "--resume"}, "unknown flag --resume"},
		{[]string{"train", "--data", "bars"}, "expected one model or configuration, got 0 arguments: sbs-cluster train MODEL.onnx --data PATH"},
		{[]string{"train", "sbs.onnx"}, "the training images are missing"},
		{[]string{"train", "sbs.onnx", "--data", "bars", "--store", "x"}, "unknown flag --store"},
		{[]string{"train", "sbs.onnx", "--data", "bars", "--shared"}, "--shared has no effect without --nats"},
		{[]string{"train", "sbs.onnx", "--data", "bars", "--nats", "x", "--local-workers", "2"}, "--local-workers has no effect with --nats"},
		{[]string{"worker"}, "the NATS server is missing"},
		{[]string{"worker", "--nats", "x", "y"}, `unexpected argument "y"`},
		{[]string{"worker", "--nats", "x", "--lost-after", "5ms"}, "--lost-after 5ms: want at least a second"},
		{[]string{"jobs"}, "the NATS server is missing"},
		{[]string{"jobs", "--nats", "x", "y"}, `unexpected argument "y"`},
	} {
		_, _, err := call(t, newCommand, c.args...)
		var usage *cli.UsageError
		require.ErrorAs(t, err, &usage, "%v", c.args)
		require.ErrorContains(t, err, c.want)
	}
}

func TestHelp_FitsATerminal(t *testing.T) {
	for _, word := range []string{"run", "sweep", "train", "trials", "worker", "jobs"} {
		out, _, err := call(t, newCommand, word, "--help")
		require.NoError(t, err)
		require.Contains(t, out, "Usage:\n  sbs-cluster "+word+" [flags]")
		require.Contains(t, out, "--creds file")
		require.NotContains(t, out, "(default )")
	}
	out, _, err := call(t, newCommand, "--help")
	require.NoError(t, err)
	require.Contains(t, out, "\n  sbs-cluster worker --nats URL\n")
	for _, text := range []string{long, runLong, sweepLong, trainLong, trialsLong, workerLong, jobsLong} {
		for line := range strings.Lines(text) {
			require.LessOrEqual(t, len(line), 83, line)
		}
	}
}

// certificate writes a certificate for 127.0.0.1 and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), 0o600))
	return "cert.pem", "key.pem"
}

func TestConnect_SaysWhatToDo(t *testing.T) {
	images(t, 3)
	cert, key := certificate(t)
	_, without := startServer(t, func(o *server.Options) { o.JetStream = false })
	_, users := startServer(t, func(o *server.Options) { o.Username, o.Password = "u", "secret" })
	_, secure := startServer(t, func(o *server.Options) {
		pair, err := tls.LoadX509KeyPair(cert, key)
		require.NoError(t, err)
		o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}}
	})
	withUser := strings.Replace(users, "nats://", "nats://u:secret@", 1)
	require.NoError(t, os.WriteFile("empty.nk", []byte("x"), 0o600))
	for _, c := range []struct {
		flags []string
		want  string
	}{
		{[]string{"--nats", "nats://u:secret@127.0.0.1:1"}, "cannot reach the NATS server nats://127.0.0.1:1: start it with nats-server -js, or correct the address"},
		{[]string{"--nats", without}, "has no JetStream: start it with nats-server -js"},
		{[]string{"--nats", users}, "refuses the credentials: give those of a user of the server, with --creds"},
		{[]string{"--nats", strings.Replace(users, "nats://", "nats://u:wrong@", 1)}, "refuses the credentials"},
		{[]string{"--nats", withUser, "--creds", "missing.creds"}, "missing.creds: no such file"},
		{[]string{"--nats", withUser, "--nkey", "empty.nk"}, "empty.nk is not the seed of an NKey"},
		{[]string{"--nats", secure}, "no secure connection to the NATS server"},
		{[]string{"--context", "missing"}, `unknown context "missing"`},
	} {
		for _, command := range [][]string{{"run", "sbs.onnx", "bars"}, {"worker"}, {"jobs"}} {
			args := slices.Concat(command, c.flags)
			_, _, err := call(t, newCommand, args...)
			require.Error(t, err, "%v", args)
			text := cli.Message(err, args)
			require.Contains(t, text, c.want)
			require.NotContains(t, text, "secret")
		}
	}

	// The right ones.
	require.NoError(t, os.WriteFile("context.json", []byte(`{"url": "`+users+`", "user": "u", "password": "secret"}`), 0o600))
	for _, flags := range [][]string{{"--nats", withUser}, {"--context", "context.json"}, {"--nats", secure, "--tlsca", cert}} {
		out, _, err := call(t, newCommand, append([]string{"jobs"}, flags...)...)
		require.NoError(t, err)
		require.Equal(t, "there are no jobs\n", out)
	}
}

// With --shared, a worker may see other files than the client.
func TestWorker_RefusesOtherFiles(t *testing.T) {
	for name, change := range map[string]func(t *testing.T){
		"the SHA-256 of the model": func(t *testing.T) {
			data := []byte(read(t, "sbs.onnx"))
			require.NoError(t, os.WriteFile("sbs.onnx", append(data, 0x1a, 0), 0o600)) // an empty field
		},
		"the fingerprint of the images": func(t *testing.T) {
			require.NoError(t, os.WriteFile("bars/TestLabelStorage.npy", []byte(strings.Replace(read(t, "bars/TestLabelStorage.npy"), "\x02", "\x01", 1)), 0o600))
		},
		"bars: no such file": func(t *testing.T) { require.NoError(t, os.Rename("bars", "other")) },
	} {
		t.Run(name, func(t *testing.T) {
			images(t, 30)
			_, url := startServer(t, nil)
			cmd, stderr := process(t, "run", "--nats", url, "--shared", "sbs.onnx", "bars", "--ignore-checksum")
			require.NoError(t, cmd.Start())
			e := connected(t, url)
			require.Eventually(t, func() bool {
				list, err := e.Jobs(t.Context())
				require.NoError(t, err)
				return len(list) == 1 && list[0].Waiting > 0
			}, 10*time.Second, 10*time.Millisecond)
			change(t)
			startWorkers(t, url, 1)
			require.Error(t, cmd.Wait())
			require.Regexp(t, `sbs-cluster: worker .* \(process [0-9]+\): `, stderr.String())
			require.Contains(t, stderr.String(), name)
			list, err := e.Jobs(t.Context())
			require.NoError(t, err)
			require.Empty(t, list, "a job that failed is removed")
		})
	}
}

// The documentation lists these subjects.
func TestUser_NeedsTheDocumentedPermissions(t *testing.T) {
	document, err := os.ReadFile("../../../docs/clusters.md")
	require.NoError(t, err)
	images(t, 30)
	allowed := &server.SubjectPermission{Allow: []string{"$JS.API.>", "$JS.ACK.>", "$JS.FC.>", "$KV.>", "$O.>", "sbs.>", "_INBOX.>"}}
	for _, subject := range allowed.Allow {
		require.Contains(t, string(document), "`"+subject+"`")
	}
	_, url := startServer(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "u", Password: "p", Permissions: &server.Permissions{Publish: allowed, Subscribe: allowed}}}
	})
	url = strings.Replace(url, "nats://", "nats://u:p@", 1)
	startWorkers(t, url, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(t, cli.Run(ctx, newCommand([]string{"run"}), []string{"run", "--nats", url, "sbs.onnx", "bars"}, io.Discard, io.Discard))
}
