# Letterbox: `make` or `make help` lists what there is to make.

GO           ?= go
VERSION      ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
BUILD_DATE   ?= $(shell git log -1 --format=%cI 2>/dev/null)
LDFLAGS      := -s -w -X main.version=$(VERSION) -X main.buildDate=$(BUILD_DATE)
# Build tags of all that is built and tested here. Leaving HTTP/2 out makes the binary 4 % smaller.
TAGS         := nethttpomithttp2
# Packages that are never in a hurry are compiled without inlining, which makes the binary 4 % smaller. HOT is in one.
COLD         := github.com/... golang.org/x/net/... golang.org/x/text/internal/... golang.org/x/text/language/... vendor/... \
	crypto/x509 encoding/asn1 encoding/json encoding/pem go/... html/template log/slog mime/... net net/http net/http/... \
	net/mail net/textproto net/url regexp/... text/template/... \
	letterbox/cmd/... letterbox/appliance letterbox/appliance/accounts letterbox/appliance/config letterbox/appliance/control \
	letterbox/appliance/imapreader letterbox/appliance/transfer letterbox/tls/... letterbox/webui
HOT          := github.com/klauspost/compress/...
GCFLAGS      := $(foreach package,$(COLD),-gcflags='$(package)=-l') $(foreach package,$(HOT),-gcflags='$(package)=')
PORT_OFFSET  ?= 10000
FUZZTIME     ?= 30s
SCREENSHOTS  ?= bin/screenshots
TOOLS        := packaging/tools
BIN          := bin

# The race detector needs cgo and a C compiler; where there is none, the tests run without it.
RACE := $(shell test "$$($(GO) env CGO_ENABLED)" = 1 && command -v "$$($(GO) env CC)" >/dev/null && echo -race)

# Every platform that `make cross` builds for: GOOS/GOARCH and, after a dash, GOARM or GOMIPS.
PLATFORMS := linux/amd64 linux/386 linux/arm-5 linux/arm-6 linux/arm-7 linux/arm64 linux/mips-softfloat linux/mipsle-softfloat linux/riscv64
# What a stripped binary may weigh, in bytes (15 MB).
MAX_BINARY := 15000000

.PHONY: help run build test check race fuzz cross interop crash screenshots bench clean
.DEFAULT_GOAL := help

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 15

run: ## try it: a fresh household in a temporary folder on loopback ports, until Ctrl-C
	@$(GO) build -tags '$(TAGS)' -o $(BIN)/letterbox -ldflags '$(LDFLAGS)' ./cmd/letterbox
	@exec $(BIN)/letterbox demo --port-offset $(PORT_OFFSET)

build: ## build bin/letterbox for this machine, static and stripped
	CGO_ENABLED=0 $(GO) build -tags '$(TAGS)' $(GCFLAGS) -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/letterbox ./cmd/letterbox

test: ## run every test that needs nothing but Go (with the race detector where there is a C compiler)
	$(GO) test -timeout 30m -tags '$(TAGS)' $(RACE) -shuffle=on ./...

check: ## formatting, go vet, staticcheck, and vet for 64-bit and 32-bit foreign processors
	@unformatted=$$(gofmt -l appliance cmd store tls webui packaging); test -z "$$unformatted" || { echo "not gofmt'ed:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags 'interop browser bench crash' ./...
	GOARCH=arm64 CGO_ENABLED=0 $(GO) vet ./...
	GOARCH=mipsle GOMIPS=softfloat CGO_ENABLED=0 $(GO) vet ./...
	cd $(TOOLS) && $(GO) build -o ../../$(BIN)/staticcheck honnef.co/go/tools/cmd/staticcheck
	$(BIN)/staticcheck -tags 'interop browser bench crash' ./...

race: ## run the tests of what runs at once five times under the race detector
	$(GO) test -race -shuffle=on -count=5 ./appliance/... ./store/...

fuzz: ## run every fuzz target for FUZZTIME (30s) each
	@for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
		done; \
	done

cross: $(addprefix cross-,$(subst /,_,$(PLATFORMS))) ## build for every platform; each binary must stay below 15 MB

cross-%:
	@set -e; platform='$*'; os=$${platform%%_*}; rest=$${platform#*_}; arch=$${rest%%-*}; variant=''; \
	case $$rest in *-*) variant=$${rest#*-};; esac; \
	out=$(BIN)/letterbox-$$os-$$rest; \
	case $$arch in arm) export GOARM=$$variant;; mips|mipsle) export GOMIPS=$$variant;; esac; \
	CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch $(GO) build -tags '$(TAGS)' $(GCFLAGS) -trimpath -ldflags '$(LDFLAGS)' -o $$out ./cmd/letterbox; \
	size=$$(wc -c <$$out); echo "$$out $$size bytes"; test $$size -le $(MAX_BINARY)

interop: build cross-linux_arm-6 ## drive a running server with other people's programs (Debian packages: see .ci/run)
	$(GO) test -count=1 -timeout 30m -tags '$(TAGS) interop browser' -run 'Interop|Browser' ./...

crash: build ## kill the server under load, hundreds of times (LETTERBOX_CRASH_ROUNDS), cut its power, break its disk: is anything lost?
	$(GO) test -count=1 -timeout 60m -tags '$(TAGS) crash' -run '^TestCrash' ./cmd/letterbox -v
	$(GO) test -count=1 -timeout 60m -tags '$(TAGS) interop crash' -run '^(TestCrash|TestInteropPowerCut|TestInteropFaults)$$' ./store -v

screenshots: ## write a picture of every page of the web UI to the folder SCREENSHOTS (needs Chromium)
	@mkdir -p $(SCREENSHOTS)
	LETTERBOX_SCREENSHOTS=$(abspath $(SCREENSHOTS)) $(GO) test -count=1 -tags '$(TAGS) browser' -run 'Browser|JavaScript' ./webui
	@ls $(SCREENSHOTS)/*.png

bench: build ## measure speed and memory beside a peer and print the figures
	$(GO) test -count=1 -timeout 90m -tags '$(TAGS) bench' -run '^TestBench' ./cmd/letterbox -v

clean: ## delete what the other targets made
	rm -rf $(BIN)
