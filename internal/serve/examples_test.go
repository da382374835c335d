package serve

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// TestExamples_FitTheCommand checks the arguments, ports and probes of examples/serving.
func TestExamples_FitTheCommand(t *testing.T) {
	path, _ := digits(t)
	s := begin(t, path)
	files, err := filepath.Glob("../../examples/serving/*.yaml")
	require.NoError(t, err)
	require.Len(t, files, 2)
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		seen := 0
		for d := yaml.NewDecoder(bytes.NewReader(content)); ; {
			var document any
			err := d.Decode(&document)
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err, file)
			walk(document, func(key string, value any) {
				switch key {
				case "args":
					var args []string
					for _, a := range value.([]any) {
						args = append(args, a.(string))
					}
					checkArguments(t, args)
					seen++
				case "httpGet":
					require.Equal(t, http.StatusOK, s.do(http.MethodGet, value.(map[string]any)["path"].(string), nil, nil).status)
					seen++
				}
			})
		}
		require.Equal(t, 3, seen, file)
	}
	docker, err := os.ReadFile("../../examples/serving/Dockerfile")
	require.NoError(t, err)
	entry := regexp.MustCompile(`ENTRYPOINT \["/sbs-serve", (.*)\]`).FindSubmatch(docker)
	require.NotNil(t, entry)
	checkArguments(t, append(strings.Split(strings.ReplaceAll(string(entry[1]), `"`, ""), ", "), "model.onnx"))
}

// walk calls f with all keys and values of a document.
func walk(v any, f func(key string, value any)) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			f(key, value)
			walk(value, f)
		}
	case []any:
		for _, value := range v {
			walk(value, f)
		}
	}
}

// checkArguments requires that the command accepts arguments.
func checkArguments(t *testing.T, args []string) {
	t.Helper()
	var c config
	flags := pflag.NewFlagSet(name, pflag.ContinueOnError)
	c.register(flags)
	require.NoError(t, flags.Parse(args))
	require.NoError(t, c.check(flags.Args()))
	require.Len(t, flags.Args(), 1)
}

// TestDocs_ShowCommandsThatWork runs the commands with curl of docs/serving.md, and compares what
// they print.
func TestDocs_ShowCommandsThatWork(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil || runtime.GOOS == "windows" {
		t.Skip("this needs curl and the commands of a Unix system")
	}
	content, err := os.ReadFile("../../docs/serving.md")
	require.NoError(t, err)
	s := begin(t, "../../models/mnist-fast/model.onnx")
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```\n\n```json\n(.*?)```").FindAllSubmatch(content, -1)
	require.GreaterOrEqual(t, len(blocks), 3)
	for _, b := range blocks {
		command := strings.ReplaceAll(string(b[1]), "http://localhost:8080", s.url)
		cmd := exec.CommandContext(t.Context(), "bash", "-c", command)
		cmd.Dir = "../.."
		printed, err := cmd.Output()
		require.NoError(t, err, command)
		require.JSONEq(t, string(b[2]), string(printed), command)
	}
}
