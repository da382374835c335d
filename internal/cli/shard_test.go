package cli

import (
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

func TestShardVar(t *testing.T) {
	var s Shard
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	ShardVar(flags, &s, "")
	require.Empty(t, s.String())
	require.NoError(t, flags.Parse([]string{"--shard", "2/4"}))
	require.Equal(t, Shard{2, 4}, s)
	require.Equal(t, "2/4", flags.Lookup("shard").Value.String())
	for text, want := range map[string]string{
		"": "want i/n", "2": "want i/n", "a/b": "want i/n", "1/2/3": "want i/n", "0/2": "the parts of 2 are 1/2 to 2/2", "3/2": "the parts of 2 are 1/2 to 2/2",
		"-1/2": "the parts of 2", "1/0": "want 1 to 10000 parts", "1/10001": "want 1 to 10000 parts",
	} {
		require.ErrorContains(t, flags.Parse([]string{"--shard", text}), want, text)
	}
}
