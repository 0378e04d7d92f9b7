# Tally. `make help` lists the targets.
#
# Everything is built into build/; nothing outside it is written but what `make run` keeps in ./data.

CC     ?= cc
MODE   ?= release
BUILD  := build
DEPS   := $(CURDIR)/$(BUILD)/deps
OUT    := $(BUILD)/$(MODE)

CFLAGS_release := -O2 -g
CFLAGS_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_tsan    := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
LDFLAGS_asan   := -fsanitize=address,undefined
LDFLAGS_tsan   := -fsanitize=thread

WARN     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
CPPFLAGS += -I. -I$(DEPS)/include -D_GNU_SOURCE -MMD -MP
CFLAGS   += -std=c17 $(WARN) -fno-common $(CFLAGS_$(MODE))
LDFLAGS  += -L$(DEPS)/lib -Wl,-rpath,$(DEPS)/lib $(LDFLAGS_$(MODE))
LDLIBS   := -lyyjson -lllhttp -luv -lxxhash -lcurl -lmsgpackc -lpthread -lm

# The program is every .c of the product; main stands apart so that tests link the rest.
MAIN    := net/main/main.c
SOURCES := $(filter-out $(MAIN),$(sort $(wildcard engine/*/*.c wal/*.c snapshot/*.c net/*/*.c)))
OBJECTS := $(SOURCES:%.c=$(OUT)/%.o)
LIBRARY := $(OUT)/libtally.a

.PHONY: all
all: $(BUILD)/tally

$(BUILD)/tally: deps $(OUT)/tally
	@ln -sf $(MODE)/tally $@

.PHONY: deps
deps:
	@sh .make/deps.sh $(DEPS)

$(OUT)/%.o: %.c | deps
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

$(LIBRARY): $(OBJECTS)
	@rm -f $@
	ar rcs $@ $^

$(OUT)/tally: $(OUT)/$(MAIN:.c=.o) $(LIBRARY)
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
