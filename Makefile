# Earshot: one binary from src/, out-of-tree under BUILD.
#   make                      build/earshot
#   make unit                 build and run the unit tests (no root needed)
#   make fuzz                 run every fuzz target over its seeds
#   make tests                build both, run none
#   make lint                 the include rule, the form of the code and the docs checks
#   make man                  put the options of sinks into the manual pages
#   make bench                what is measured (root)
#   make soak                 thousands of cycles of patching; traces for long; ./demo and the unit tests on each Debian release
#   make SAN=address,undefined BUILD=build-san unit fuzz
#   make WERROR=-Werror       as ./check does: a compiler of tomorrow may warn of more, and users' builds go on
BUILD   ?= build
ifeq ($(strip $(BUILD)),)
$(error BUILD is empty: it names the folder to build in)
endif
CC      ?= gcc
SAN     ?=
WERROR  ?=
PREFIX  ?= /usr/local
VERSION := 0.1.0

PKGS    := libbpf libelf libdw libcurl libprotobuf-c yaml-0.1 zlib tree-sitter jansson
CFLAGS  ?= -O2 -g
override CFLAGS += -std=gnu17 -Wall -Wextra $(WERROR) -Wno-unused-parameter -Wmissing-prototypes \
           -Wstrict-prototypes -Wshadow -fno-strict-aliasing
CPPFLAGS += -Isrc -I$(BUILD)/gen -D_GNU_SOURCE -DEARSHOT_VERSION='"$(VERSION)"' \
           $(shell pkg-config --cflags $(PKGS))
LDLIBS  += $(shell pkg-config --libs $(PKGS)) -lZydis -lpthread -lm
ifneq ($(SAN),)
override CFLAGS += -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all
LDFLAGS += -fsanitize=$(SAN)
endif

SRCS    := $(wildcard src/*.c src/*/*.c src/*/*/*.c)
MAIN    := src/main.c
PROTOS  := $(wildcard src/sink/proto/*.proto)
GENC    := $(PROTOS:src/sink/proto/%.proto=$(BUILD)/gen/%.pb-c.c)
PACKS   := $(wildcard packs/*.yaml)
PACKC   := $(BUILD)/gen/packs_builtin.c
# tree-sitter's parser of Go: fetched, or lying in GRAMMAR already.
GRAMMAR ?= $(BUILD)/gen/tree-sitter-go
GRAMMARO := $(BUILD)/gen/tree-sitter-go.o
RECORDER  := $(wildcard src/weave/recorder/*)
RECORDERC := $(BUILD)/gen/recorder.c
LIBOBJS := $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(MAIN),$(SRCS))) $(GENC:.c=.o) $(PACKC:.c=.o) $(RECORDERC:.c=.o) \
           $(GRAMMARO)
MAINOBJ := $(MAIN:%.c=$(BUILD)/%.o)
UNITS   := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/*_test.c))
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/%,$(wildcard tests/fuzz/*_fuzz.c))

# `make V=1` shows the whole commands.
Q := $(if $(V),,@)
say = $(if $(V),,@echo "  $(1)	$(2)")

all: $(BUILD)/earshot

# The go command's cache tells woven packages apart by the build ID (cmd/weaving.c), which not every linker makes unasked.
$(BUILD)/earshot: $(MAINOBJ) $(BUILD)/libearshot.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -Wl,--build-id -o $@ $^ $(LDLIBS)

$(BUILD)/libearshot.a: $(LIBOBJS)
	@rm -f $@
	$(call say,AR,$@)
	$(Q)$(AR) rcs $@ $^

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/gen/%.o: $(BUILD)/gen/%.c
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-missing-prototypes -MMD -MP -c -o $@ $<

$(BUILD)/gen/%.pb-c.c $(BUILD)/gen/%.pb-c.h: src/sink/proto/%.proto
	@mkdir -p $(@D)
	$(Q)protoc-c --c_out=$(BUILD)/gen -Isrc/sink/proto $<
$(LIBOBJS): | $(GENC:.c=.h)

# The packs are embedded, so that the one binary needs no files beside it.
$(PACKC): $(PACKS) tools/embed-packs.sh
	@mkdir -p $(@D)
	$(Q)sh tools/embed-packs.sh $(PACKS) > $@

# It goes with its own parser.h: Debian's lacks a type.
$(BUILD)/gen/tree-sitter-go/parser.c: tools/fetch-grammar.sh
	$(call say,FETCH,the grammar of Go)
	$(Q)sh tools/fetch-grammar.sh $(@D)
	@touch $@
$(GRAMMARO): $(GRAMMAR)/parser.c
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS) -I$(GRAMMAR) -Wno-missing-prototypes -c -o $@ $<

# So is what is put into the Go runtime of woven programs.
$(RECORDERC): $(RECORDER) tools/embed-recorder.sh
	@mkdir -p $(@D)
	$(Q)sh tools/embed-recorder.sh src/weave/recorder > $@

# Unit tests: each tests/unit/NAME_test.c is one cmocka program.
$(BUILD)/tests/unit/%: tests/unit/%.c $(BUILD)/libearshot.a
	@mkdir -p $(@D)
	$(call say,TEST,$<)
	$(Q)$(CC) $(CPPFLAGS) -Itests $(CFLAGS) $(LDFLAGS) -MMD -MP -MF $@.d -o $@ $< $(BUILD)/libearshot.a $(LDLIBS) -lcmocka
unit: $(UNITS)
	@sh tests/run-units.sh $(UNITS)

# Fuzz targets define LLVMFuzzerTestOneInput; tests/fuzz/replay.h runs them over files with any compiler.
$(BUILD)/tests/fuzz/%: tests/fuzz/%.c tests/fuzz/replay.h $(BUILD)/libearshot.a
	@mkdir -p $(@D)
	$(call say,TEST,$<)
	$(Q)$(CC) $(CPPFLAGS) -Itests $(CFLAGS) $(LDFLAGS) -DFUZZ_REPLAY -MMD -MP -MF $@.d -o $@ $< $(BUILD)/libearshot.a $(LDLIBS)
tests: $(UNITS) $(FUZZERS) $(BUILD)/tools/manual-outputs $(BUILD)/tools/go-functions $(BUILD)/tools/woven-dump \
       $(BUILD)/tools/gotrace-dump
fuzz: $(FUZZERS)
	@sh tests/run-fuzz.sh $(FUZZERS)

lint: all $(BUILD)/tools/manual-outputs
	sh tests/check-includes.sh

$(BUILD)/tools/%: tools/%.c $(BUILD)/libearshot.a
	@mkdir -p $(@D)
	$(call say,TOOL,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -MMD -MP -MF $@.d -o $@ $< $(BUILD)/libearshot.a $(LDLIBS)
man: $(BUILD)/tools/manual-outputs
	$< --write docs/man/*.1

# What takes longer than ./check may. The patch planter on programs that count their own calls: SOAK is the number of
# cycles for each, PROGRAMS which (all there are: some 40). Three services at work for a minute each, and for
# TRACE_SOAK seconds each while Earshots come and go; they are woven, too. 10 million goroutines of a woven program.
# 100,000 requests of each kind with --propagate. 50 deaths of each kind with each planter under a flight recorder. 1,000
# damaged execution traces of each kind. The USDT probes of Debian's programs. Every Go version and every way to build
# with `earshot build`. Then ./demo and the unit tests on each Debian release.
SOAK ?= 1000
TRACE_SOAK ?= 600
soak: soak-patch soak-traces soak-woven soak-propagate soak-record soak-cycles soak-convert soak-usdt soak-usdt-cycles \
      soak-weave soak-releases
soak-patch: $(BUILD)/tests/unit/patch_sequence_test
	bash tests/soak.sh $< $(SOAK) $(PROGRAMS)
soak-traces: all
	EARSHOT_ONE_TRACE_SECONDS=60 EARSHOT_TRACE_SOAK=$(TRACE_SOAK) tests/e2e/run.py one_trace woven_traces trace_trouble
soak-woven: $(BUILD)/tests/unit/woven_test
	EARSHOT_GOROUTINES=10000000 $<
soak-propagate: all
	EARSHOT_PROPAGATE=100000 EARSHOT_PROPAGATE_MEANWHILE=100000 tests/e2e/run.py propagate propagate_messages \
		'woven_traces/propagate*' 'woven_traces/tracestate*' 'woven_traces/messages*'
soak-record: all
	EARSHOT_DEATHS=50 tests/e2e/run.py 'record/panic*' 'record/crash*' 'record/kill*' 'record/oom*'
soak-cycles: all
	EARSHOT_CYCLES=200 EARSHOT_PROGRAMS=120 EARSHOT_VANISHING=120 EARSHOT_PATCH_LARGE=4 EARSHOT_PATCH_FAULT_KILLS=50 EARSHOT_KILLS=100 \
		EARSHOT_LONG_RUN=12 EARSHOT_TRACE_CYCLES=500 \
		tests/e2e/run.py attach_cycles trace_cycles failures patch_sequence patch_faults
soak-convert: all $(BUILD)/tools/gotrace-dump
	EARSHOT_DAMAGED=1000 tests/e2e/run.py gotrace
soak-usdt-cycles: all
	EARSHOT_USDT_CYCLES=1000 tests/e2e/run.py weave_usdt/cycles
soak-usdt: all
	EARSHOT_USDT_DEBIAN=1 tests/e2e/run.py usdt_debian
soak-weave: all
	EARSHOT_WEAVE_BUILDS=1 tests/e2e/run.py weave_builds weave_suites weave_programs
soak-releases:
	bash tests/releases.sh

# make bench trace: only that part, or those.
BENCH_PARTS := hit patch chain aggregates request load agent record start questions trace service weave usdt
ifneq ($(filter bench,$(MAKECMDGOALS)),)
parts := $(filter $(BENCH_PARTS),$(MAKECMDGOALS))
.PHONY: $(parts)
$(parts): bench ;
endif
bench: all
	sh bench/run.sh $(parts)

install: all
	install -D -m 755 $(BUILD)/earshot $(DESTDIR)$(PREFIX)/bin/earshot
	ln -sf earshot $(DESTDIR)$(PREFIX)/bin/earshot-toolexec
	for m in docs/man/*.1; do install -D -m 644 $$m $(DESTDIR)$(PREFIX)/share/man/man1/$$(basename $$m); done

format:
	clang-format -i $(SRCS) $(wildcard src/*/*.h src/*/*/*.h tests/unit/*.c tests/fuzz/*.c)

clean:
	rm -rf $(BUILD)

.PHONY: all tests unit fuzz lint man bench soak soak-patch soak-traces soak-woven soak-propagate soak-record soak-cycles \
	soak-convert soak-usdt soak-usdt-cycles soak-weave soak-releases install format clean
.SECONDARY:
-include $(LIBOBJS:.o=.d) $(MAINOBJ:.o=.d) $(UNITS:=.d) $(FUZZERS:=.d) $(BUILD)/tools/manual-outputs.d $(BUILD)/tools/go-functions.d $(BUILD)/tools/woven-dump.d $(BUILD)/tools/gotrace-dump.d
