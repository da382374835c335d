package kernel

//go:generate go -C _asm run . -out ../kernel_amd64.s -stubs ../stubs_amd64.go -pkg kernel
//go:generate go -C _asm run ./arm64 -out ../kernel_arm64.s -stubs ../stubs_arm64.go
