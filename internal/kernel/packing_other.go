//go:build !amd64 || purego

package kernel

// loads is only used on amd64.
type loads struct{}

func (*loads) bytes() int64 { return 0 }
