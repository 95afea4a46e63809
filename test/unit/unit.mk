# The pure half without PostgreSQL: unit tests, coverage, fuzzing.  Every
# test/unit/test_*.c is a program of its own, linked with all pure objects.
# No PostgreSQL include path is given, so a server include is a build failure.

UNIT_DIR = build/unit
UNIT_CC = gcc
UNIT_CFLAGS = -std=gnu99 -g -O1 -Wall -Wextra -Werror -ffp-contract=off -Isrc \
	-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
UNIT_HEADERS = $(wildcard src/*/*.h test/unit/*.h)
UNIT_OBJS = $(PURE_SRCS:src/%.c=$(UNIT_DIR)/%.o)
UNIT_HELPERS = $(patsubst test/unit/%.c,$(UNIT_DIR)/test/%.o,$(wildcard test/unit/helper_*.c))
UNIT_NAMES = $(patsubst test/unit/%.c,%,$(sort $(wildcard test/unit/test_*.c)))
UNIT_PROGRAMS = $(UNIT_NAMES:%=$(UNIT_DIR)/%)

$(UNIT_DIR)/%.o: src/%.c $(UNIT_HEADERS)
	@mkdir -p $(@D)
	@$(UNIT_CC) $(UNIT_CFLAGS) -c $< -o $@

$(UNIT_DIR)/test/%.o: test/unit/%.c $(UNIT_HEADERS)
	@mkdir -p $(@D)
	@$(UNIT_CC) $(UNIT_CFLAGS) -c $< -o $@

$(UNIT_PROGRAMS): $(UNIT_DIR)/%: $(UNIT_DIR)/test/%.o $(UNIT_HELPERS) $(UNIT_OBJS)
	@$(UNIT_CC) $(UNIT_CFLAGS) $^ -lcmocka -lm -o $@

# Runs them all, from the top of the checkout; fails when one fails.
unit: $(UNIT_PROGRAMS)
	@bad=0; for program in $(UNIT_PROGRAMS); do \
		ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 $$program || bad=1; \
	done; exit $$bad

# The same without sanitizers, under valgrind: reads of memory that was never
# written, which those do not see.
VALGRIND_DIR = build/valgrind
VALGRIND_PROGRAMS = $(UNIT_NAMES:%=$(VALGRIND_DIR)/%)
valgrind:
	$(MAKE) $(VALGRIND_PROGRAMS) UNIT_DIR=$(VALGRIND_DIR) \
		UNIT_CFLAGS="-std=gnu99 -g -O1 -Wall -Wextra -ffp-contract=off -Isrc"
	@bad=0; for program in $(VALGRIND_PROGRAMS); do \
		echo "== $$program"; \
		PGAML_SLOW=1 valgrind --quiet --error-exitcode=9 --leak-check=full $$program || bad=1; \
	done; exit $$bad

# Line coverage of the pure half, by file.
COVERAGE_DIR = build/coverage
coverage:
	$(MAKE) unit UNIT_DIR=$(COVERAGE_DIR) \
		UNIT_CFLAGS="-std=gnu99 -g -O0 -Wall -Wextra -ffp-contract=off -Isrc --coverage" > /dev/null
	lcov --quiet --capture --directory $(COVERAGE_DIR) --output-file $(COVERAGE_DIR)/all.info
	lcov --quiet --extract $(COVERAGE_DIR)/all.info '*/src/*' --output-file $(COVERAGE_DIR)/pure.info
	lcov --list $(COVERAGE_DIR)/pure.info

# Each test/fuzz/fuzz_NAME.c for FUZZ_SECONDS from its corpus test/fuzz/corpus/NAME,
# with the words of test/fuzz/NAME.dict if there are any; what it finds is left in build/fuzz/NAME.
FUZZ_DIR = build/fuzz
FUZZ_CC = clang-14
FUZZ_SECONDS = 60
FUZZ_NAMES = $(patsubst test/fuzz/fuzz_%.c,%,$(sort $(wildcard test/fuzz/fuzz_*.c)))
FUZZ_PROGRAMS = $(FUZZ_NAMES:%=$(FUZZ_DIR)/fuzz_%)

$(FUZZ_PROGRAMS): $(FUZZ_DIR)/%: test/fuzz/%.c $(PURE_SRCS) $(UNIT_HEADERS)
	@mkdir -p $(@D)
	@$(FUZZ_CC) -std=gnu99 -g -O1 -Wall -Wextra -Werror -ffp-contract=off -Isrc \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all $< $(PURE_SRCS) -lm -o $@

fuzz: $(FUZZ_PROGRAMS)
	@for name in $(FUZZ_NAMES); do \
		mkdir -p $(FUZZ_DIR)/$$name test/fuzz/corpus/$$name; \
		dict=test/fuzz/$$name.dict; [ -e $$dict ] && dict=-dict=$$dict || dict=; \
		$(FUZZ_DIR)/fuzz_$$name -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=$(FUZZ_DIR)/$$name/ $$dict \
			$(FUZZ_DIR)/$$name test/fuzz/corpus/$$name || exit 1; \
	done
