package cli

import (
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// ResumeCommand returns the command line that resumes an interrupted command: the same
// arguments and flags with --resume, as a POSIX shell reads them.
func ResumeCommand(name string, args []string, set *pflag.FlagSet) string {
	words := []string{name}
	for _, a := range args {
		if strings.HasPrefix(a, "-") {
			a = "." + string(os.PathSeparator) + a // not a flag
		}
		words = append(words, quote(a))
	}
	set.Visit(func(flag *pflag.Flag) {
		values := []string{flag.Value.String()}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		if secret, ok := flag.Value.(Secret); ok {
			values = []string{secret.WithoutSecret()}
		}
		for _, v := range values {
			switch {
			case flag.Name == "force" || flag.Name == "resume":
			case flag.NoOptDefVal == "":
				words = append(words, "--"+flag.Name, quote(v))
			case flag.NoOptDefVal == v:
				words = append(words, "--"+flag.Name)
			default:
				words = append(words, "--"+flag.Name+"="+quote(v))
			}
		}
	})
	return strings.Join(append(words, "--resume"), " ")
}

// Secret is the value of a flag that may contain a secret, such as a password.
type Secret interface {
	pflag.Value
	// WithoutSecret returns the value with a word, such as PASSWORD, instead of each secret.
	WithoutSecret() string
}

// quote returns a word as a POSIX shell reads it.
func quote(word string) string {
	special := func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r > 0x7f
		return !letter && !strings.ContainsRune("%+,-./:=@_", r)
	}
	if word != "" && !strings.ContainsFunc(word, special) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
