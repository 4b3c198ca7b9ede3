.PHONY: build check test fuzz

build: ## the binary, static and stripped
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o sett ./cmd/sett

check: ## everything CI runs
	.ci/run

test:
	go test ./...

fuzz: ## an hour over all fuzz targets; FUZZTIME=1m or 100000x for each
	FUZZTIME=$${FUZZTIME:-2m} .ci/run fuzz
