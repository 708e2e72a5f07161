# SPDX-FileCopyrightText: The knell authors
# SPDX-License-Identifier: Apache-2.0
#
# A thin face over CMake, for fresh clones and for habit. Each target installs what it needs first
# (as root; else it prints the command); with everything there that costs nothing.

ARGS ?=
BUILD ?= build
TIMES ?= 5
JOBS ?= $(shell nproc)

.PHONY: help build install deb watch bench test stress check format clean
help:
	@echo 'make build    the programs, into build/bin/'
	@echo 'make install  build, then install below PREFIX (/usr/local); DESTDIR=DIR is put in front of it'
	@echo 'make deb      the Debian packages, into build/deb/packages/'
	@echo 'make watch    build, then run knell watch; for example: make watch ARGS="-e nonzero-exit"'
	@echo 'make bench    build, install rivals, run knell-bench table and storm; ARGS="CASE ..." for another case'
	@echo 'make test     build and run every test'
	@echo 'make stress   make test TIMES (5) times beside stress-ng; ARGS="-R REGEX" for some of them'
	@echo 'make check    what takes longer: clang, sanitizers, clang-tidy, fuzzers, formatting'
	@echo 'make format   clang-format over the sources'
	@echo 'make clean    remove build/'

build:
	@tools/install-deps build
	@cmake --preset default
	@cmake --build build --target programs

install: build
	@DESTDIR='$(DESTDIR)' cmake --install $(BUILD) $(if $(PREFIX),--prefix '$(PREFIX)')

deb:
	@tools/install-deps build deb
	@tools/make-deb

watch: build
	@build/bin/knell watch $(ARGS)

# As root, on a machine that does nothing else.
bench: build
	@tools/install-deps bench
	@cmake --build build --target knell-bench
	@$(if $(ARGS),build/bin/knell-bench $(ARGS),build/bin/knell-bench table && build/bin/knell-bench storm)

test:
	@tools/install-deps build test
	@cmake --preset default -D KNELL_BUILD_TESTS=ON
	@cmake --build build
	@ctest --test-dir build --output-on-failure --parallel $(JOBS)

# Whether the tests hold on a busy machine.
stress:
	@tools/install-deps build test stress
	@cmake --preset default -D KNELL_BUILD_TESTS=ON
	@cmake --build build
	@tools/stress $(TIMES) -- $(ARGS)

check:
	@tools/install-deps build test check
	@tools/check

format:
	@tools/install-deps check
	@tools/format

clean:
	rm -rf build
