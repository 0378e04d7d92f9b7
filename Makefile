# Tally. `make help` lists the targets.
#
# Everything is built into build/; nothing outside it is written but what `make run` keeps in ./data.

CC     ?= cc
MODE   ?= release
BUILD  := build
DEPS   := $(CURDIR)/$(BUILD)/deps
OUT    := $(BUILD)/$(MODE)
PREFIX ?= /usr/local
SECONDS ?= 60
KILLS   ?= 3000
SEEDS   ?=

# As many jobs as there are processors, unless -j says otherwise.
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc)
endif

SANITIZE_asan  := -fsanitize=address,undefined -fno-sanitize-recover=all
SANITIZE_tsan  := -fsanitize=thread
SANITIZE_fuzz  := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
CFLAGS_release := -O2 -g
CFLAGS_mutants := -O2 -g -DMUTANTS
CFLAGS_asan    := -O1 -g -fno-omit-frame-pointer $(SANITIZE_asan)
CFLAGS_tsan    := -O1 -g -fno-omit-frame-pointer $(SANITIZE_tsan)
CFLAGS_fuzz    := -O1 -g -fno-omit-frame-pointer $(SANITIZE_fuzz)
LDFLAGS_asan   := $(SANITIZE_asan)
LDFLAGS_tsan   := $(SANITIZE_tsan)
LDFLAGS_fuzz   := -fsanitize=fuzzer,address,undefined

WARN     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
CPPFLAGS += -I. -I$(DEPS)/include -D_GNU_SOURCE -MMD -MP
CFLAGS   += -std=c17 $(WARN) -fno-common $(CFLAGS_$(MODE))
LDFLAGS  += -L$(DEPS)/lib -Wl,-rpath,$(DEPS)/lib $(LDFLAGS_$(MODE))
# Debian 12 calls it msgpack, Debian 13 msgpack-c.
MSGPACK   = $(shell pkg-config --libs msgpack-c 2>/dev/null || pkg-config --libs msgpack 2>/dev/null || echo -lmsgpackc)
ICU       = $(shell pkg-config --libs icu-i18n icu-uc 2>/dev/null || echo -licui18n -licuuc -licudata)
LDLIBS    = -lyyjson -lllhttp $(MSGPACK) -luv -lxxhash -lzstd -lcurl $(ICU) -lpthread -lm

# The program is every .c of the product; main stands apart so that tests link the rest.
MAIN    := net/main/main.c
SOURCES := $(filter-out $(MAIN),$(sort $(wildcard engine/*/*.c wal/*.c snapshot/*.c net/*/*.c)))
OBJECTS := $(SOURCES:%.c=$(OUT)/%.o)
LIBRARY := $(OUT)/libtally.a

# A test is a program: tests/*/test_*.c, with the helpers (the other .c files) of its folder.
TESTS    := $(sort $(wildcard tests/unit/test_*.c tests/sim/test_*.c tests/api/test_*.c))
# Those of tests/crash start many servers: built like the program itself, they do it twice as fast.
CRASHES  := $(sort $(wildcard tests/crash/test_*.c))
INJECTED := $(patsubst tests/crash/inject/%.c,$(BUILD)/inject-%.so,$(wildcard tests/crash/inject/*.c))
THREADED := $(wildcard tests/unit/test_wal.c)
FUZZERS  := $(sort $(wildcard tests/fuzz/fuzz_*.c))
# What several folders of tests share: the model of the ledger, a world of shards.
MODEL    := $(OUT)/libmodel.a
# A program test_NAME with a folder NAME has helpers of its own there; of the others it takes what it needs (helpers.a).
own       = $(wildcard $(dir $(1))$(patsubst test_%,%,$(notdir $(1)))/*.c)
shared    = $(patsubst %.c,$(OUT)/%.o,$(filter-out $(1)test_%.c $(1)fuzz_%.c,$(wildcard $(1)*.c)))
# The fuzz targets of the surfaces have theirs in the simulator of commands.
home      = $(if $(filter %/fuzz_commands %/fuzz_cursor,$(1)),tests/sim/test_commands,$(1))
helpers   = $(if $(own),$(patsubst %.c,$(OUT)/%.o,$(own)) $(OUT)/$(dir $(1))helpers.a,$(call shared,$(dir $(1))))

PROGRAM := $(if $(filter release,$(MODE)),$(BUILD)/tally,$(OUT)/tally)

.PHONY: all
all: $(PROGRAM) ## build build/tally (with MODE=asan or tsan: build/MODE/tally)

$(BUILD)/tally: deps $(OUT)/tally
	@ln -sf $(MODE)/tally $@

.PHONY: deps
deps: ## install what Tally is built with
	@sh .make/deps.sh $(DEPS)

$(OUT)/%.o: %.c | deps
	@mkdir -p $(@D)
	@echo "  cc $(MODE) $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

$(LIBRARY): $(OBJECTS)
	@rm -f $@
	@ar rcs $@ $^

$(MODEL): $(patsubst %.c,$(OUT)/%.o,$(sort $(wildcard tests/model/*.c)))
	@rm -f $@
	@ar rcs $@ $^

$(OUT)/tally: $(OUT)/$(MAIN:.c=.o) $(LIBRARY)
	@echo "  ld $(MODE) $@"
	@$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

.PHONY: run
run: all ## build, start on 127.0.0.1:8000, load the sample, keep serving until Ctrl-C
	@bash .make/run.sh

.PHONY: test
test: deps ## run every test (ONLY=unit/test_csv: those whose name contains it)
	@sh .make/deps.sh $(DEPS) test
	@$(MAKE) --no-print-directory MODE=asan all test-programs
	@$(MAKE) --no-print-directory MODE=tsan all threaded-programs
	@$(MAKE) --no-print-directory all crash-programs
	@if printf '%s' 'int LLVMFuzzerTestOneInput(const char *b, unsigned long n) { return !b && n; }' | \
		clang -fsanitize=fuzzer -x c - -o $(BUILD)/fuzzer-there 2>/dev/null; then \
		$(MAKE) --no-print-directory MODE=fuzz CC=clang fuzz-programs; fi
	@THREADED="$(THREADED)" ONLY="$(ONLY)" bash .make/run-tests.sh $(BUILD)

.PHONY: crash
crash: deps ## kill it KILLS=3000 times, and fail each call and allocation of a run once
	@sh .make/deps.sh $(DEPS) test
	@$(MAKE) --no-print-directory all crash-programs
	@bash .make/run-crash.sh $(BUILD) $(KILLS)

.PHONY: sim
sim: deps ## simulated histories under faults: SEEDS=1000 FROM=1, or SEED=x with a trace (ONLY=sim, commands or jobs)
	@sh .make/deps.sh $(DEPS) test
	@$(MAKE) --no-print-directory sim-program
	@for program in $(or $(ONLY),sim commands jobs); do SEEDS=$(or $(SEEDS),1000) FROM=$(FROM) SEED=$(SEED) \
		JOBS=$(or $(JOBS),$(shell nproc)) $(OUT)/tests/sim/test_$$program || exit 1; done

.PHONY: sim-mutants
sim-mutants: deps ## see that the simulator finds each seeded fault (ONLY="3 17": those)
	@sh .make/deps.sh $(DEPS) test
	@$(MAKE) --no-print-directory MODE=mutants sim-program
	@ONLY="$(ONLY)" bash .make/run-mutants.sh $(BUILD)/mutants/tests/sim/test_sim tests/sim/mutants.txt $(or $(SEEDS),6000)

.PHONY: sim-program
sim-program: $(OUT)/tests/sim/test_sim $(OUT)/tests/sim/test_commands $(OUT)/tests/sim/test_jobs

.PHONY: test-programs threaded-programs crash-programs
test-programs: $(TESTS:%.c=$(OUT)/%)
crash-programs: $(CRASHES:%.c=$(OUT)/%) $(INJECTED)
threaded-programs: $(THREADED:%.c=$(OUT)/%)

.SECONDEXPANSION:
$(TESTS:%.c=$(OUT)/%) $(CRASHES:%.c=$(OUT)/%): $(OUT)/%: $(OUT)/%.o $$(call helpers,$$*) $(MODEL) $(LIBRARY)
	@$(CC) $(LDFLAGS) $^ -lcmocka $(LDLIBS) -o $@

$(OUT)/%/helpers.a: $$(call shared,$$*/)
	@rm -f $@
	@ar rcs $@ $^

# Loaded in front of a server by tests/crash.
$(BUILD)/inject-%.so: tests/crash/inject/%.c tests/crash/inject/inject.h | deps
	@mkdir -p $(@D)
	@$(CC) $(CPPFLAGS) -std=c17 $(WARN) -O2 -g -shared -fPIC $< -o $@

.PHONY: fuzz
fuzz: deps ## fuzz each parser for SECONDS=60 (ONLY=NAME: that one)
	@sh .make/deps.sh $(DEPS) fuzz
	@$(MAKE) --no-print-directory MODE=fuzz CC=clang fuzz-programs
	@bash .make/run-fuzz.sh $(BUILD) $(SECONDS) "$(ONLY)"

.PHONY: fuzz-programs
fuzz-programs: $(FUZZERS:%.c=$(OUT)/%)

$(FUZZERS:%.c=$(OUT)/%): $(OUT)/%: $(OUT)/%.o $$(call helpers,$$(call home,$$*)) $(MODEL) $(LIBRARY)
	@$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

# Programs of the benchmark: but ids_fill they link nothing of the product.
BARE    := $(patsubst bench/bare/%.c,$(OUT)/bench/bare_%,$(wildcard bench/bare/*.c))
BENCHES := $(OUT)/bench/http_load $(OUT)/bench/ids_fill $(BARE)

.PHONY: bench
bench: all $(BENCHES) ## measure Tally, the bare path and its peers in turn (RUNS=3, SECONDS_EACH=30, ONLY="w1 w2")
	@sh .make/deps.sh $(DEPS) bench peers
	@$(MAKE) --no-print-directory bench-peers
	@bash bench/run.sh

$(OUT)/bench/http_load: $(OUT)/bench/http_load.o
	@$(CC) $(LDFLAGS) $^ -o $@

$(OUT)/bench/ids_fill: $(OUT)/bench/ids_fill.o $(LIBRARY)
	@$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

$(BARE): $(OUT)/bench/bare_%: $(OUT)/bench/bare/%.o
	@$(CC) $(LDFLAGS) $^ -lxxhash -lpthread -o $@

# What drives other engines (bench/peers): the client, and Tarantool's stored procedure where its header is installed.
.PHONY: bench-peers
bench-peers: $(OUT)/bench/peer_load $(if $(wildcard /usr/include/tarantool/module.h),$(OUT)/bench/tarantool_earn.so)

$(OUT)/bench/peer_load: $(patsubst %.c,$(OUT)/%.o,$(wildcard bench/peers/peer_*.c))
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) $^ -o $@

$(OUT)/bench/tarantool_earn.so: bench/peers/tarantool_earn.c | deps
	@mkdir -p $(@D)
	@$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -shared $< -o $@

.PHONY: tidy
tidy: deps ## check layers, bans, headers and sizes
	@CC="$(CC)" INCLUDE="$(DEPS)/include" bash tests/tidy/tidy.sh

.PHONY: install
install: all ## copy the program to PREFIX=/usr/local (DESTDIR in front of it)
	install -D -m 0755 $(BUILD)/release/tally $(DESTDIR)$(PREFIX)/bin/tally

.PHONY: clean
clean: ## remove what was built; what was installed beside the system (build/deps) stays
	rm -rf $(filter-out $(BUILD)/deps,$(wildcard $(BUILD)/*))

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
