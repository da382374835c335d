package parallel

import (
	"fmt"
	"runtime/debug"
)

// Panic is the value with which Do and For panic when the body of a loop has
// panicked. The body may have run in a helper, whose stack a plain panic in the
// calling goroutine would not show.
type Panic struct {
	Value any    // the value of the panic in the body
	Stack []byte // the stack of the goroutine that panicked, as debug.Stack prints it
}

// Error returns a message with the value and the stack.
func (p *Panic) Error() string {
	return fmt.Sprintf("panic in a parallel loop: %v\n\n%s", p.Value, p.Stack)
}

// Unwrap returns the value of the panic if it is an error.
func (p *Panic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// panicOf makes a Panic of a value that has just been recovered. A Panic from a
// loop within the loop is passed on: its stack shows where it arose.
func panicOf(v any) *Panic {
	if p, ok := v.(*Panic); ok {
		return p
	}
	return &Panic{Value: v, Stack: debug.Stack()}
}
