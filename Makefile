# Thin over the scripts in build/: each target is one sentence there.
SHELL := /bin/bash
ARCA_HOME ?=
HOME_FLAG := $(if $(ARCA_HOME),--home $(ARCA_HOME))
UP_FLAGS ?=

.PHONY: help
help: ## Tell the targets.
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: up down images install
up: build ## Install what is missing, build, start everything, wait until ready and tell how to use it.
	@bin/arca up $(HOME_FLAG) $(UP_FLAGS)
down: ## Stop the containers and the daemons.
	@bin/arca down $(HOME_FLAG)
images: build ## Make busybox, hello-world and nginx from Debian packages and load them into the running Arca.
	@build/images.sh $(HOME_FLAG)
install: build ## Install the binaries below /usr/local and the systemd unit.
	@build/install.sh

.PHONY: build helper-image proto clean prerequisites
prerequisites:
	@build/prerequisites.sh
.PHONY: test-prerequisites pkg
test-prerequisites:
	@build/prerequisites.sh --tests
.PHONY: guest
guest: prerequisites ## Make the kernel and the initramfs of virtual machines, for this processor (GUEST_ARCH: for others).
	@build/guest.sh $(GUEST_ARCH)
pkg: prerequisites ## Make the package for macOS (on Linux: what can be checked of it).
	@build/pkg.sh
build: prerequisites ## Build all binaries into bin/.
	@build/build.sh
helper-image: build ## Make the image of the networks' helper, which build makes, too.
	@build/helper-image.sh
proto: ## Generate the Go code of the .proto files.
	@build/go.sh run ./proto/gen
clean: ## Remove what was built; the caches of images and tools stay in out/cache.
	@rm -rf bin out/integration

.PHONY: test lint vet check-generated check-darwin test-unit test-integration test-dockerode test-compose test-testcontainers fuzz-short
test: vet check-generated check-darwin lint test-unit test-integration test-dockerode test-compose test-testcontainers soak-short fuzz-short ## Run everything that CI runs.
lint: prerequisites ## Run gofmt and the linters.
	@build/lint.sh
vet: prerequisites ## Run go vet.
	@build/go.sh vet ./...
check-generated: prerequisites ## Fail if generated code is not up to date.
	@build/check-generated.sh
check-darwin: prerequisites ## Build and vet what must run on macOS.
	@build/check-darwin.sh
test-unit: test-prerequisites ## Run the unit tests with the race detector.
	@build/test-unit.sh
test-integration: build ## Run the real docker CLI against an instance of its own.
	@build/test-integration.sh
test-dockerode: build ## Run a JavaScript client against an instance of its own.
	@build/test-dockerode.sh
test-compose: build ## Bring up real stacks with Docker Compose 2 and 5.
	@build/test-compose.sh
test-testcontainers: build ## Run a client of testcontainers-go against an instance of its own.
	@build/test-testcontainers.sh
fuzz-short: prerequisites ## Run each fuzz target for a few seconds.
	@build/fuzz.sh

.PHONY: bench soak soak-short compare
bench: build ## Measure Arca beside dockerd in the same run.
	@build/bench.sh
compare: build ## Run the same command lines on Debian's dockerd and on Arca and show what differs.
	@build/compare.sh
soak: build ## Run the storms and the faults whole.
	@ARCA_SOAK=1 build/soak.sh
soak-short: build ## Run a tenth of the storms and the faults.
	@ARCA_SOAK=0.1 build/soak.sh
