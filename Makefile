# The targets that people type. Programs for the tests are cached outside the tree, in
# HELM_TENANT_CACHE or the user's cache folder.

VERSION := $(shell sed -n 's/^version: //p' plugin.yaml)
LDFLAGS := -s -w -X helm-tenant/wrapper.buildVersion=$(VERSION)
CACHE := $(or $(HELM_TENANT_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/helm-tenant)
PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
MODULES := . test test/cel test/tools scripts/release
export CGO_ENABLED ?= 0

.PHONY: help build install demo test soak matrix race race-api windows check fuzz bench fmt vet lint vulns shellcheck picture tidy unit cross cluster cluster-down package release clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/helm-tenant, and bin/helm-tenant-full beside it
	go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o bin/helm-tenant-full .
	go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o bin/helm-tenant ./cmd/wrapper

install: build ## install this folder as a plugin of the helm on PATH
	helm plugin install "$(CURDIR)"

demo: ## the main job on a throw-away cluster, from nothing, or on yours: make demo KUBECONFIG=FILE
ifeq ($(origin KUBECONFIG),command line)
	@bash scripts/demo.sh --kubeconfig '$(KUBECONFIG)'
else
	@bash scripts/test-prerequisites.sh cluster
	@bash scripts/demo.sh
endif

# The number of packages that are tested at once, each with its own cluster: one takes one
# to two gigabytes of memory, and its tests run in parallel. With five, 60 to 140 processes
# waited for the two cores of a slow machine, and waits ran out.
PACKAGES ?= 3
# The compiler and the tests take a tenth less processor time with it, some a fifth.
check windows fuzz test race race-api: export GOGC ?= 400
TESTS := go run ./cmd/runtests -count=1 -p $(PACKAGES)
# The packages that take longest or wait most begin first, so that none of them ends alone.
ALL_TESTS := ./e2e ./faults ./attack ./audit ./preflight ./everyday ./apitest ./...

test: ## all tests: unit, scripts, a real API server, a real node, attacks
	@bash scripts/test-prerequisites.sh
	go test -timeout 30m ./...
	cd scripts/release && go test -trimpath ./...
	cd test && go run ./cmd/testcluster build >/dev/null
	cd test/cel && go test -count=1 ./...
	cd test && $(TESTS) -timeout 90m $(ALL_TESTS)

soak: ## the same in their long forms: every kill point, 10,000 random sets, fuzzing; some hours
	@bash scripts/test-prerequisites.sh
	HELM_TENANT_SOAK=yes go test -count=1 -timeout 2h ./...
	cd test && go run ./cmd/testcluster build >/dev/null
	cd test && HELM_TENANT_SOAK=yes $(TESTS) -timeout 8h $(ALL_TESTS)
	$(MAKE) fuzz

matrix: ## a short story on API servers of several versions of Kubernetes; builds each once
	cd test && HELM_TENANT_MATRIX=all go test -count=1 -v -timeout 8h ./matrix

race: ## the unit tests with Go's race detector; needs a C compiler
	CGO_ENABLED=1 go test -race -timeout 30m -short ./...

# The tests in which several commands change the same objects.
race-api: ## several admins at once on a real API server, with Go's race detector; needs a C compiler
	cd test && go run ./cmd/testcluster build >/dev/null
	cd test && HELM_TENANT_RACE=yes $(TESTS) -timeout 30m -run 'AtOnce|ByManyAdmins|Concurrent|During|Meanwhile|WhileIt|AndWork|TestSplit$$' ./apitest

windows: ## the wrapper's tests as Windows programs, under Wine
	@bash scripts/test-windows.sh

check: fmt vet shellcheck tidy unit cross ## the quick checks, under a minute when warm

fmt:
	@out=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi

vet:
	go vet ./...
	cd test && go vet ./...
	cd scripts/release && go vet -trimpath ./...

lint: ## the linters that Helm runs (.golangci.yml)
	@mkdir -p "$(CACHE)/tools"
	cd test/tools && go build -o "$(CACHE)/tools/golangci-lint" github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	"$(CACHE)/tools/golangci-lint" run ./...
	cd test && "$(CACHE)/tools/golangci-lint" run -c ../.golangci.yml ./...

vulns: ## known vulnerabilities in what the programs call; asks vuln.go.dev
	@mkdir -p "$(CACHE)/tools"
	cd test/tools && go build -o "$(CACHE)/tools/govulncheck" golang.org/x/vuln/cmd/govulncheck
	"$(CACHE)/tools/govulncheck" ./...
	cd scripts/release && "$(CACHE)/tools/govulncheck" ./...

shellcheck:
	@if command -v shellcheck >/dev/null; then shellcheck -x $$(git ls-files '*.sh' .ci/run plugin.complete); \
	elif [ -n "$$CI" ]; then echo "missing: shellcheck"; exit 1; \
	else echo "missing: shellcheck (Debian: sudo apt-get install shellcheck); scripts are not checked"; fi

picture: ## draw the imports in docs/architecture.md
	go test . -run TestPicture -update

tidy:
	@for module in $(MODULES); do (cd $$module && go mod tidy -diff) || exit 1; done

# -trimpath: with it, scripts/package.sh has compiled most of it already.
unit:
	go test -timeout 30m ./...
	cd scripts/release && go test -trimpath ./...

cross: ## compile for every platform; `make package` links what a release has
	@for platform in $(PLATFORMS); do \
		echo "compiling for $$platform"; \
		GOOS=$${platform%/*} GOARCH=$${platform#*/} go build ./... || exit 1; \
	done

# A number of inputs, not a duration: when a duration ends while an input runs,
# Go before 1.27 can report "context deadline exceeded" as a failure
# (go.dev/issue/75804).
FUZZTIME ?= 100000x

fuzz: ## look for inputs that break the parsers, FUZZTIME inputs each
	@bash scripts/fuzz.sh $(FUZZTIME)

bench: ## measure, side by side with what a user would do instead
	@bash scripts/test-prerequisites.sh
	cd test && go run ./bench

cluster: ## start a test cluster and say how to use it
	@bash scripts/test-prerequisites.sh cluster
	cd test && go run ./cmd/testcluster up --size full --detach
	@cd test && go run ./cmd/testcluster env

cluster-down: ## end the test cluster
	cd test && go run ./cmd/testcluster down

package: ## build everything of a release into dist/
	bash scripts/package.sh

release: ## bump to VERSION, tag, build and verify a release
	@bash scripts/release.sh "$(if $(filter-out file,$(origin VERSION)),$(VERSION))"

clean: ## remove what was built in the tree
	rm -rf bin dist dist.unfinished
