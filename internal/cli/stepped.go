package cli

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// Stepped returns the decimal numbers FROM, FROM+STEP, ... up to TO, at most
// a number of them. They are exact: 0:0.6:0.1
// has 0.3 and not 0.30000000000000004.
func Stepped(text string, most int) ([]string, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return nil, errors.New("want FROM:TO:STEP, such as 0:0.6:0.1")
	}
	var v [3]*big.Rat
	digits := 0
	for i, p := range parts {
		p = strings.TrimSpace(p)
		if strings.Trim(p, "+-.0123456789") != "" || len(p) > 30 {
			return nil, fmt.Errorf("%q is not a decimal number: want FROM:TO:STEP, such as 0:0.6:0.1", p)
		}
		var ok bool
		if v[i], ok = new(big.Rat).SetString(p); !ok {
			return nil, fmt.Errorf("%q is not a decimal number: want FROM:TO:STEP, such as 0:0.6:0.1", p)
		}
		if _, fraction, found := strings.Cut(p, "."); found {
			digits = max(digits, len(fraction))
		}
	}
	from, to, step := v[0], v[1], v[2]
	if step.Sign() <= 0 || from.Cmp(to) > 0 {
		return nil, errors.New("want FROM:TO:STEP with a STEP above 0 and a TO of at least FROM")
	}
	var list []string
	for at := from; at.Cmp(to) <= 0; at = new(big.Rat).Add(at, step) {
		if len(list) == most {
			return nil, fmt.Errorf("there are more than %d values: give a larger STEP", most)
		}
		list = append(list, at.FloatString(digits))
	}
	return list, nil
}
