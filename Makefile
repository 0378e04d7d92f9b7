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

# As many jobs as there are processors, unless -j says otherwise.
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc)
endif

SANITIZE_asan  := -fsanitize=address,undefined -fno-sanitize-recover=all
SANITIZE_tsan  := -fsanitize=thread
SANITIZE_fuzz  := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
CFLAGS_release := -O2 -g
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
LDLIBS   := -lyyjson -lllhttp -luv -lxxhash -lcurl -lpthread -lm

# The program is every .c of the product; main stands apart so that tests link the rest.
MAIN    := net/main/main.c
SOURCES := $(filter-out $(MAIN),$(sort $(wildcard engine/*/*.c wal/*.c snapshot/*.c net/*/*.c)))
OBJECTS := $(SOURCES:%.c=$(OUT)/%.o)
LIBRARY := $(OUT)/libtally.a

# A test is a program: tests/*/test_*.c, with the helpers (the other .c files) of its folder.
TESTS    := $(sort $(wildcard tests/unit/test_*.c tests/sim/test_*.c tests/api/test_*.c tests/crash/test_*.c))
THREADED := $(wildcard tests/unit/test_wal.c)
FUZZERS  := $(sort $(wildcard tests/fuzz/fuzz_*.c))
helpers   = $(patsubst %.c,$(OUT)/%.o,$(filter-out $(dir $(1))test_%.c $(dir $(1))fuzz_%.c,$(wildcard $(dir $(1))*.c)))

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
	@THREADED="$(THREADED)" ONLY="$(ONLY)" bash .make/run-tests.sh $(BUILD)

.PHONY: test-programs threaded-programs
test-programs: $(TESTS:%.c=$(OUT)/%)
threaded-programs: $(THREADED:%.c=$(OUT)/%)

.SECONDEXPANSION:
$(TESTS:%.c=$(OUT)/%): $(OUT)/%: $(OUT)/%.o $$(call helpers,$$*) $(LIBRARY)
	@$(CC) $(LDFLAGS) $^ -lcmocka $(LDLIBS) -o $@

.PHONY: fuzz
fuzz: deps ## fuzz each parser for SECONDS=60 (ONLY=NAME: that one)
	@sh .make/deps.sh $(DEPS) fuzz
	@$(MAKE) --no-print-directory MODE=fuzz CC=clang fuzz-programs
	@bash .make/run-fuzz.sh $(BUILD) $(SECONDS) "$(ONLY)"

.PHONY: fuzz-programs
fuzz-programs: $(FUZZERS:%.c=$(OUT)/%)

$(FUZZERS:%.c=$(OUT)/%): $(OUT)/%: $(OUT)/%.o $$(call helpers,$$*) $(LIBRARY)
	@$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

.PHONY: bench
bench: all ## measure requests/s and latencies beside nginx
	@sh .make/deps.sh $(DEPS) bench
	@bash bench/run.sh

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
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
