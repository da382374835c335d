package runtime

// BufferBytes returns the memory of the buffers that the model keeps after a run for
// the next one.
func (m *Model) BufferBytes() int64 { return m.program.BufferBytes() }

// WithoutFusion runs every node by itself.
func WithoutFusion() Option {
	return loadOption(func(o *loadOptions) error {
		o.NoFusion = true
		return nil
	})
}
