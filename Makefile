# PGXS build. `make`, `make install`; without a server: `make unit`, `make lint`.

EXTENSION = pganalytics_ml
MODULE_big = pganalytics_ml
# The version stands in the control file only.
EXTVERSION = $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" pganalytics_ml.control)

# Files that include no server header: the same objects serve the module, the
# unit tests, the fuzzers and the benchmarks.
PURE_SRCS = $(sort $(wildcard src/ml/*.c src/series/*.c src/*/*_core.c))
SERVER_SRCS = $(filter-out $(PURE_SRCS),$(sort $(wildcard src/*.c src/*/*.c)))
OBJS = $(PURE_SRCS:.c=.o) $(SERVER_SRCS:.c=.o)

INSTALL_SQL = pganalytics_ml--$(EXTVERSION).sql
SQL_PARTS = $(sort $(wildcard src/sql/[0-9]*.sql))
DATA_built = $(INSTALL_SQL)
DATA = $(wildcard src/sql/upgrade/*.sql)

# -ffp-contract=off: no fused arithmetic, so a model is the same on every machine.
PG_CPPFLAGS = -I$(srcdir)/src '-DPGDLLEXPORT=__attribute__((visibility("default")))' \
	-DPGAML_VERSION='"$(EXTVERSION)"'
PG_CFLAGS = -fvisibility=hidden -ffp-contract=off $(PGAML_CFLAGS)

REGRESS = $(patsubst sql/%.sql,%,$(sort $(wildcard sql/*.sql)))
EXTRA_CLEAN = $(INSTALL_SQL) build

PG_CONFIG ?= pg_config
override with_llvm := no

# These targets need no server and must work where none is installed.
PURE_GOALS = unit lint fuzz coverage valgrind
ifeq ($(filter-out $(PURE_GOALS),$(or $(MAKECMDGOALS),all)),)
srcdir = .
else
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)
endif

$(INSTALL_SQL): $(SQL_PARTS) pganalytics_ml.control
	cat $(SQL_PARTS) > $@

$(OBJS): $(wildcard src/*/*.h)

include test/unit/unit.mk

lint:
	bash test/lint/run

.PHONY: unit lint fuzz coverage valgrind
