package cli

import (
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

func TestShardVar_TakesPartsOfAJob(t *testing.T) {
	var s Shard
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	ShardVar(set, &s, "a part `i/n`")
	require.Empty(t, set.Lookup("shard").Value.String())
	for text, want := range map[string]Shard{"1/1": {1, 1}, "2/8": {2, 8}, "10000/10000": {MaxShards, MaxShards}} {
		require.NoError(t, set.Parse([]string{"--shard", text}))
		require.Equal(t, want, s)
		require.Equal(t, text, s.String())
		require.Equal(t, text, set.Lookup("shard").Value.String())
	}
	for text, want := range map[string]string{
		"": "want i/n", "2": "want i/n", "/": "want i/n", "2/": "want i/n", "/2": "want i/n", "1/2/3": "want i/n", "a/b": "want i/n", "1.0/2": "want i/n",
		"0/3": "the parts of 3 are 1/3 to 3/3", "5/3": "the parts of 3 are 1/3 to 3/3", "-1/3": "the parts of 3 are 1/3 to 3/3",
		"1/0": "want 1 to 10000 parts", "1/-1": "want 1 to 10000 parts", "1/10001": "want 1 to 10000 parts", "99999999999999999999/3": "want i/n",
	} {
		err := flagError(set, set.Parse([]string{"--shard", text}))
		require.ErrorContains(t, err, "--shard "+text+": "+want)
	}
}
