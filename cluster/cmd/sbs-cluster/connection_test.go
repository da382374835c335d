package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/cli"
)

// The command that resumes a training is printed, and may end up in a log.
func TestResumeCommand_HasNoPassword(t *testing.T) {
	for given, want := range map[string]string{
		"nats://head:4222":                          "nats://head:4222",
		"nats://me:secret@head:4222":                "nats://me:PASSWORD@head:4222",
		"me:se@cret@head,tls://secret@b:1,nats://c": "me:PASSWORD@head,tls://TOKEN@b:1,nats://c",
	} {
		cmd := trainCommand()
		require.NoError(t, cmd.ParseFlags([]string{"--nats", given}))
		require.Equal(t, given, cmd.Flags().Lookup(flagNATS).Value.String())
		require.Equal(t, "sbs-cluster train x.onnx --nats "+want+" --resume", cli.ResumeCommand("sbs-cluster train", []string{"x.onnx"}, cmd.Flags()))
	}
}
