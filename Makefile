# raftd: one Makefile, no recursion into directories, everything under build/. Quiet unless V=1.
#
#   make                  build/raftd, build/raftctl
#   make CC=clang         the same in build/clang; of a compiler for another machine in build/ITS_NAME
#   make SAN=1            with AddressSanitizer + UndefinedBehaviorSanitizer in build/san
#   make SAN=thread       with ThreadSanitizer in build/tsan
#   make SAN=fuzz         clang's libFuzzer targets in build/fuzz
#   make SAN=cov          with counters for gcovr in build/cov
#   make WERROR=1         warnings are errors; so in make check. Whoever builds with another compiler
#                         than ours should not be stopped by what it has learned to warn of.
#
# Each test names on its first line what it is linked with:  // LINK: net/wire.c @stream tests/lib/x.c -lev
# Nothing else is linked in, so the line is also a proof of what the module depends on. A word with @
# stands for GROUP_word: a room with all of its files and what it needs itself, or some rooms together.
# TSAN: runs under ThreadSanitizer, too; HEAVY: make check runs it without sanitizers (tests/check).

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
SBINDIR ?= $(PREFIX)/sbin
MANDIR ?= $(PREFIX)/share/man
SYSCONFDIR ?= /etc
BASH_COMPLETION ?= $(PREFIX)/share/bash-completion/completions/raftctl
ZSH_COMPLETION ?= $(PREFIX)/share/zsh/site-functions/_raftctl
# Not /lib, which is a link since Debian 12: a staging tree with a directory there would replace it.
UNITDIR ?= /usr/lib/systemd/system
SYSUSERSDIR ?= /usr/lib/sysusers.d
TMPFILESDIR ?= /usr/lib/tmpfiles.d
INSTALL ?= install
STRIP ?= strip
SECONDS ?= 60
MINUTES ?= 1000000

Q := $(if $(filter 1,$(V)),,@)
say := $(if $(Q),@printf '  %-7s %s\n',@:)
ifneq ($(findstring s,$(firstword -$(MAKEFLAGS))),)
  say := @:
endif
MAKEFLAGS += --no-print-directory

# --- flavours: one directory each ----------------------------------------------------------------
STRICT := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
  -Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wwrite-strings -Wvla -Wformat=2 -Wundef \
  -Wimplicit-fallthrough -Wold-style-definition -Wno-psabi \
  $(if $(filter 1,$(WERROR)),-Werror)
# Once -U, for some compilers set a level themselves; no level where the builder has chosen one.
FORTIFY := -U_FORTIFY_SOURCE \
  $(if $(findstring _FORTIFY_SOURCE=,$(CFLAGS) $(CPPFLAGS)),,-D_FORTIFY_SOURCE=3)
# What not every compiler or processor has; asked once, when the first file is compiled. Not among them is
# -ftrivial-auto-var-init=zero: gcc 12 clears with it what is no padding, in structs with arrays of structs.
MAYBE := -fstack-clash-protection -fcf-protection=full -mbranch-protection=standard
KNOWN = $(eval KNOWN := $(shell for f in $(MAYBE); do \
  echo 'int x;' | $(CC) -Werror $$f -x c -c -o /dev/null - 2>/dev/null && echo $$f; done))$(KNOWN)
# Where the sources lie does not change what is built.
HARDEN = -O2 -fstack-protector-strong $(FORTIFY) $(KNOWN) -ffile-prefix-map='$(CURDIR)'=.
HARDEN_LD := -Wl,-z,relro,-z,now -Wl,--gc-sections
# What is for tests alone is linked in a third of the time where there is another linker; asked once.
FLAVOUR_LD = $(eval FLAVOUR_LD := $(shell echo 'int main(void) { return 0; }' | \
  $(CC) -fuse-ld=lld -x c -o /dev/null - 2>/dev/null && echo -fuse-ld=lld))$(FLAVOUR_LD)
CHECKED := -O1 -fno-omit-frame-pointer -fno-sanitize-recover=all

ifeq ($(SAN),)
  # Of a compiler for another machine, as arm-linux-gnueabihf-gcc or clang --target=arm-linux-gnueabihf.
  CROSS := $(notdir $(patsubst --target=%,%,$(firstword \
    $(foreach w,$(CC),$(if $(findstring -linux-,$(w)),$(w))))))
  B := build$(addprefix /,$(or $(CROSS),$(findstring clang,$(CC))))
  FLAVOUR = $(HARDEN)
  FLAVOUR_LD := $(HARDEN_LD)
else ifeq ($(SAN),1)
  B := build/san
  FLAVOUR := $(CHECKED) -fsanitize=address,undefined
else ifeq ($(SAN),thread)
  B := build/tsan
  CC := clang
  FLAVOUR := $(CHECKED) -fsanitize=thread
else ifeq ($(SAN),fuzz)
  B := build/fuzz
  CC := clang
  FLAVOUR := $(CHECKED) -fsanitize=fuzzer-no-link,address,undefined
else ifeq ($(SAN),cov)
  B := build/cov
  FLAVOUR := -O0 --coverage
else
  $(error SAN=$(SAN): allowed are 1, thread, fuzz and cov)
endif
O := $(B)/obj

CFLAGS ?= -g
# Large files and times after 2038 on 32 bits, too. Headers of libraries in directories that CFLAGS or
# CPPFLAGS name are not ours to warn of.
ALL_CFLAGS = -std=c11 $(STRICT) $(FLAVOUR) -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64 -I. -pthread -fPIE \
  -ffunction-sections -fdata-sections $(patsubst -I%,-isystem%,$(CFLAGS) $(CPPFLAGS))
ALL_LDFLAGS = $(FLAVOUR) $(FLAVOUR_LD) -pthread -pie -Wl,--as-needed $(LDFLAGS)
# Where the processor lacks atomic instructions for 64 bits.
ATOMIC_LIB = $(eval ATOMIC_LIB := $(shell echo 'long long x; int main(void) { return (int)__atomic_load_n(&x, 0); }' | \
  $(CC) $(CFLAGS) $(CPPFLAGS) -x c -o /dev/null - $(LDFLAGS) 2>/dev/null || echo -latomic))$(ATOMIC_LIB)
GNU := -D_GNU_SOURCE
# Tests may put what they know to be small into a size_t of 32 bits.
NARROW = $(eval NARROW := $(shell echo 'int x[sizeof(long) == 4 ? 1 : -1];' | \
  $(CC) $(CFLAGS) -x c -c -o /dev/null - 2>/dev/null && echo -Wno-conversion))$(NARROW)
TEST_CFLAGS = -Wno-missing-prototypes $(NARROW)

# --- sources -------------------------------------------------------------------------------------
SRCS := $(sort $(shell find raftd net storage -name '*.c'))
# A status as text, and back.
GROUP_status := $(addprefix raftd/serve/status_,text.c fields.c read.c) raftd/node/health.c
CTL_ONLY := $(sort $(wildcard raftd/tool/*.c))
CTL_SRCS := $(CTL_ONLY) $(wildcard raftd/base/*.c) $(GROUP_status) \
  $(wildcard raftd/core/*.c) raftd/conf.c raftd/conf_addr.c raftd/keyfile.c
DAEMON_SRCS := $(filter-out $(CTL_ONLY),$(SRCS))
HEADERS := $(sort $(shell find raftd net storage $(wildcard tests) -name '*.h'))
TEST_SRCS := $(sort $(wildcard tests/*/*.c))
UNITS := $(basename $(notdir $(wildcard tests/unit/test_*.c)))
BENCHES := $(basename $(notdir $(wildcard tests/bench/*.c)))
E2E_TOOLS := $(basename $(notdir $(wildcard tests/e2e/*.c)))
FUZZERS := $(basename $(notdir $(wildcard tests/fuzz/fuzz_*.c)))
SCRIPTS := .ci/run raftd/dist/static-libs raftd/dist/debian/raftd.postrm raftd/dist/openwrt/files/raftd.init tests/check tests/cov tests/cross tests/house raftd/dist/floating-ip $(wildcard raftd/raftctl.bash tests/demo tests/bench/bench tests/bench/bench-loss tests/bench/flood tests/bench/disk tests/bench/wear tests/bench/slow-link tests/bench/members tests/bench/clients tests/mutants/put tests/mutants/run tests/*/*.sh)

DAEMON_LIBS := -lev -lurcu-memb -lurcu-cds -lurcu-common -lsodium

objs = $(patsubst %.c,$(O)/%.o,$(1))

# --- programs ------------------------------------------------------------------------------------
all: $(B)/raftd $(B)/raftctl

$(B)/raftd: $(call objs,$(DAEMON_SRCS))
	$(say) LINK $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS) $(ATOMIC_LIB)

$(B)/raftctl: $(call objs,$(CTL_SRCS))
	$(say) LINK $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lhiredis -lsodium -lm $(ATOMIC_LIB)

objects: $(call objs,$(SRCS))
unit-objects: $(UNITS:%=$(O)/tests/unit/%.o)

# The core is plain C11: without _GNU_SOURCE nothing of POSIX can slip in.
$(O)/raftd/core/%.o: GNU :=
$(O)/tests/%.o: ALL_CFLAGS += $(TEST_CFLAGS)
# Sanitizers find as much without optimisation. Of what runs once or twice that saves half of the time of compiling.
$(O)/tests/unit/%.o: ALL_CFLAGS += $(if $(filter 1,$(SAN)),-O0)
# Fuzzing looks for news in what is tested; where its own helpers branch is none, and costs a fifth.
$(O)/tests/lib/%.o: ALL_CFLAGS += $(if $(filter fuzz,$(SAN)),-fno-sanitize=fuzzer-no-link)
# What is behind the decoders compares no bytes that an input could be made to match, nor does what judges it; to
# look at each of their comparisons costs as much as all else.
$(addprefix $(O)/,raftd/core/%.o raftd/node/%.o net/seal/%.o net/stream/%.o tests/fuzz/%.o): \
  ALL_CFLAGS += $(if $(filter fuzz,$(SAN)),-fno-sanitize-coverage=trace-cmp)

$(O)/%.o: %.c Makefile
	$(say) CC $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(GNU) -MMD -MP -c -o $@ $<

-include $(shell [ ! -d $(O) ] || find $(O) -name '*.d')

# --- tests: one program per file, linked with what its first line says -----------------------------
RCU_LIBS := -lurcu-memb -lurcu-cds -lurcu-common
RAFTSIM := $(sort $(wildcard tests/sim/raftsim*.c))
room = $(sort $(wildcard $(1)/*.c))
# What belongs to a whole process is not among what a part of one may need: its messages, clocks and
# descriptors, its sockets, and the disk of the system.
GROUP_base := $(filter-out $(addprefix raftd/base/,say.c clock.c entropy.c nodump.c notify.c stdfds.c),$(call room,raftd/base))
GROUP_core := $(call room,raftd/core)
GROUP_net := $(filter-out net/udp.c,$(call room,net)) $(GROUP_base) -lsodium
GROUP_stream := $(call room,net/stream) $(GROUP_base)
GROUP_seal := $(call room,net/seal) $(GROUP_base) -lsodium
GROUP_storage := $(filter-out storage/disk_posix.c,$(call room,storage)) $(GROUP_base) -lsodium
GROUP_state := $(call room,raftd/state) $(GROUP_base) -lsodium $(RCU_LIBS)
# A whole node, which knows of storage only how an entry looks.
GROUP_node := $(call room,raftd/node) $(GROUP_core) $(GROUP_net) $(GROUP_stream) $(GROUP_seal) $(GROUP_state) \
  storage/crc32c.c storage/record.c storage/batch.c
# A log and its entries in memory: what the parts of a node stand on.
GROUP_replica := $(addprefix raftd/node/,replica.c cluster_time.c entries.c io.c) $(addprefix storage/,batch.c record.c crc32c.c) \
  raftd/state/cmd.c $(GROUP_core) $(GROUP_net)
# The disk threads.
GROUP_diskio := $(addprefix raftd/,diskio.c disk_name.c durations.c imager.c refused.c base/clock.c base/lasting.c base/say.c) \
  $(GROUP_storage) $(GROUP_state)
WRAP_RCU := -Wl,--wrap=urcu_memb_call_rcu,--wrap=urcu_memb_barrier
# A cluster in one process.
GROUP_sim := $(filter-out $(RAFTSIM),$(call room,tests/sim)) $(GROUP_node) $(GROUP_storage) tests/lib/disk_memory.c \
  tests/lib/last_words.c $(GROUP_status) $(addprefix raftd/serve/,events.c watch.c channels.c glob.c resp.c cursors.c tally.c token.c) \
  $(sort $(wildcard raftd/serve/commands*.c)) raftd/base/clock.c raftd/places.c raftd/conf_addr.c $(WRAP_RCU)
# What serves local clients.
GROUP_clients := $(call room,raftd/serve) raftd/node/health.c raftd/node/happened.c $(GROUP_core) $(GROUP_state) raftd/base/clock.c -lev
# What makes fuzz targets fast: curve points and keys that are remembered, large memory that is kept, and RCU
# without its thread.
wrap = $(1:%=-Wl,--wrap=%)
GROUP_recall := tests/lib/seal_recall.c $(call wrap,crypto_scalarmult crypto_scalarmult_base \
  crypto_auth_hmacsha256 sodium_malloc sodium_free)
GROUP_kept := tests/lib/node_kept.c $(call wrap,ring_init ring_free malloc calloc free)
GROUP_rcu_alone := tests/lib/node_rcu.c $(WRAP_RCU)
link_line = $(foreach w,$(shell sed -n '1s,^// LINK:,,p' $(1)),$(if $(filter @%,$(w)),$(GROUP_$(w:@%=%)),$(w)))

# $(1): directory (unit, fuzz, bench), $(2): name, $(3): words of its LINK line, $(4): more link flags
define test_program
$(B)/$(1)/$(2): $(call objs,tests/$(1)/$(2).c $(filter %.c,$(3)))
	$$(say) LINK $$@
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(ALL_LDFLAGS) -o $$@ $$^ $(filter -%,$(3)) $(4) $$(ATOMIC_LIB)
endef

$(foreach t,$(UNITS),$(eval $(call test_program,unit,$(t),$(call link_line,tests/unit/$(t).c),-lcmocka)))
$(foreach t,$(FUZZERS),$(eval $(call test_program,fuzz,$(t),$(call link_line,tests/fuzz/$(t).c),-fsanitize=fuzzer)))
$(foreach t,$(BENCHES),$(eval $(call test_program,bench,$(t),$(call link_line,tests/bench/$(t).c))))
$(foreach t,$(E2E_TOOLS),$(eval $(call test_program,e2e,$(t),$(call link_line,tests/e2e/$(t).c))))

units: $(UNITS:%=$(B)/unit/%)
fuzzers: $(FUZZERS:%=$(B)/fuzz/%)

# The simulator and the explorer run the daemon's own objects.
$(B)/raftsim: $(call objs,$(RAFTSIM) $(filter %.c,$(GROUP_sim)))
	$(say) LINK $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(filter -%,$(GROUP_sim)) $(ATOMIC_LIB)

$(B)/explore: $(call objs,$(wildcard tests/explore/*.c raftd/core/*.c))
	$(say) LINK $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^

# Tools of the benchmarks (the floor, the floods): every tests/bench/*.c is one program.
benches: $(BENCHES:%=$(B)/bench/%)

# The same daemon that says another version.
NEXT := raftd/node/vitals.c raftd/raftd.c
$(O)/next/%.o: %.c Makefile
	$(say) CC $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(GNU) -DRAFTD_MINOR=2 -MMD -MP -c -o $@ $<

$(B)/e2e/raftd-next: $(call objs,$(filter-out $(NEXT),$(DAEMON_SRCS))) $(NEXT:%.c=$(O)/next/%.o)
	$(say) LINK $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS) $(ATOMIC_LIB)

# Programs that the end-to-end scripts need: every tests/e2e/*.c is one.
e2e-tools: $(E2E_TOOLS:%=$(B)/e2e/%) $(B)/e2e/raftd-next

check: deps-if-missing
	@tests/check $(NAME)

# With what takes long and seldom finds anything, ten times the seeds and much fuzzing; an hour or two.
check-long: deps-if-missing
	@LONG=1 SIM_SEEDS=120 FUZZ_SECONDS=60 tests/check $(NAME)

# Draws new seeds until stopped, or for MINUTES; keeps those that fail in build/soak.seeds.
soak: deps-build-if-missing $(B)/raftsim
	$(B)/raftsim --profile all --minutes $(MINUTES) --keep build/soak.seeds

# Every interleaving of small clusters of the core; half an hour.
explore: deps-build-if-missing $(B)/explore
	$(B)/explore

# Known bugs, one at a time: each must be noticed.
mutants: deps-if-missing
	@tests/mutants/run $(NAME)

# Lines and branches that unit tests and simulator reach together.
cov: deps-if-missing
	@tests/cov

fuzz: deps-if-missing
	@FUZZ_SECONDS=$(SECONDS) tests/check $(if $(NAME),fuzz/$(NAME),fuzz)

demo: deps-build-if-missing all
	@tests/demo

run: deps-build-if-missing all
	@tests/demo --run

bench: deps-build-if-missing all benches
	@tests/bench/bench

# Programs, unit tests and demo for other processors, under qemu. NAME=s390x: only that one.
cross: deps-build-if-missing
	@tests/cross $(NAME)

# The state alone, beside the hash table that was there before it.
bench-state: deps-build-if-missing $(B)/bench/state
	$(B)/bench/state

# On lossy links between network namespaces; root. LOSS="10 30" CLIENTS=1 SECS=3: only these cells.
bench-loss: deps-if-missing all benches
	@tests/bench/bench-loss

# Floods from another network namespace; root. KINDS="random hello-newest" MBIT=40 SECS=3: only these rows.
bench-flood: deps-if-missing all benches
	@tests/bench/flood

# What the disk holds, and what snapshots cost.
bench-disk: deps-if-missing all
	@tests/bench/disk

# Restarts, hand-overs, nodes that come, move and are cut off; root for these two. PARTS="rolling transfer": only these.
bench-members: deps-if-missing all e2e-tools
	@tests/bench/members

# Gets beside redis-server; locks, hand-overs and watches beside a put. PARTS="get jobs": only these.
bench-clients: deps-if-missing all benches
	@tests/bench/clients

# --- house-keeping -------------------------------------------------------------------------------
# ctunullpointer: cppcheck does not see that a function which was called for a null pointer never returns. Nor
# does it see loops of liburcu's lists, whose headers it does not read.
LISTS := -D'cds_list_for_each(at,head)=while (cds_next(&at, head))' \
  -D'cds_list_for_each_safe(at,next,head)=while (cds_next(&at, &next, head))'
lint:
	clang-format --dry-run -Werror $(SRCS) $(HEADERS) $(TEST_SRCS)
	clang-tidy --quiet $(SRCS) -- -std=c11 -D_GNU_SOURCE -I.
	cppcheck --quiet --std=c11 --enable=warning,portability,performance --inline-suppr \
	  --suppress=missingIncludeSystem --suppress=ctunullpointer --error-exitcode=1 -D_GNU_SOURCE $(LISTS) -I. raftd net storage
	! command -v shellcheck >/dev/null || shellcheck $(SCRIPTS)

fmt:
	clang-format -i $(SRCS) $(HEADERS) $(TEST_SRCS)

MANUALS := $(sort $(wildcard raftd/*.[1578]))

# What is installed, FILE>PLACE each: make uninstall, make tar and the packages follow this list.
into = $(foreach f,$(1),$(f)>$(2)/$(notdir $(f)))
PROGRAMS = $(B)/raftd>$(SBINDIR)/raftd $(B)/raftctl>$(BINDIR)/raftctl
SHELL_PROGRAMS = raftd/dist/floating-ip>$(SBINDIR)/floating-ip
TEXTS = $(foreach m,$(MANUALS),$(m)>$(MANDIR)/man$(subst .,,$(suffix $(m)))/$(notdir $(m))) \
  raftd/raftctl.bash>$(BASH_COMPLETION) raftd/raftctl.zsh>$(ZSH_COMPLETION) \
  raftd/dist/raftd.sysusers>$(SYSUSERSDIR)/raftd.conf raftd/dist/raftd.tmpfiles>$(TMPFILESDIR)/raftd.conf \
  $(call into,$(wildcard raftd/dist/*.service raftd/dist/*.timer),$(UNITDIR))
CONF := $(SYSCONFDIR)/raftd/raftd.conf
place = $(DESTDIR)$(lastword $(subst >, ,$(1)))
define newline


endef

# Units name the programs' places. The sample of the configuration names no nodes: nothing starts with it.
install: all
	$(foreach i,$(PROGRAMS),$(INSTALL) -D -s --strip-program=$(STRIP) -m 755 $(subst >, $(DESTDIR),$(i))$(newline)	)
	$(foreach i,$(SHELL_PROGRAMS),$(INSTALL) -D -m 755 $(subst >, $(DESTDIR),$(i))$(newline)	)
	$(foreach i,$(TEXTS),$(INSTALL) -D -m 644 $(subst >, $(DESTDIR),$(i))$(newline)	)
	sed -i 's|@SBINDIR@|$(SBINDIR)|; s|@BINDIR@|$(BINDIR)|' $(foreach i,$(filter %.service %.timer,$(TEXTS)),$(call place,$(i)))
	$(INSTALL) -d $(DESTDIR)$(SYSCONFDIR)/raftd/events.d
	[ -e $(DESTDIR)$(CONF) ] || { $(INSTALL) -D -m 644 raftd.conf $(DESTDIR)$(CONF) && \
	  sed -i 's/^\(name\|node\.[0-9]*\) = /;&/' $(DESTDIR)$(CONF); }

# What make install installs, but for the configuration, to be unpacked over the root of a box without
# a compiler; with CC and STRIP of a cross compiler, of a box of another kind. No directories are in it:
# those that are there keep their owners and modes.
# With SOURCE_DATE_EPOCH the same sources and tools make the same bytes.
tar: all
	rm -rf $(B)/stage
	$(MAKE) install DESTDIR=$(B)/stage
	cd $(B)/stage && find . -path .$(SYSCONFDIR) -prune -o -type f -print | LC_ALL=C sort | \
	  tar -cf - --owner=0 --group=0 $(SOURCE_DATE_EPOCH:%=--mtime=@%) --transform='s,^\./,,' -T - | gzip -n >../raftd.tar.gz
	@echo $(B)/raftd.tar.gz

# The configuration and the data directory are the operator's: they stay.
uninstall:
	rm -f $(foreach i,$(PROGRAMS) $(SHELL_PROGRAMS) $(TEXTS),$(call place,$(i)))

# The manuals as pages for a browser, which need nothing else: build/doc/index.html. Manuals of others are
# named without a link.
DOC_STYLE := body { max-width: 50em; margin: 1em auto; padding: 0 1em; font-family: sans-serif; line-height: 1.4 } \
  pre { background: \#f3f3f3; padding: .6em; overflow-x: auto }
doc:
	$(Q)rm -rf $(B)/doc && mkdir -p $(B)/doc
	$(Q)for m in $(MANUALS); do \
	  mandoc -T html -O toc,man=%N.%S.html $$m | sed -E -e 's|<style>|&$(DOC_STYLE)|' \
	  -e 's,<a class="Xr" href="([^r]|r[^a])[^"]*">([^<]*)</a>,\2,' >$(B)/doc/$${m##*/}.html || exit 1; done
	$(Q)(echo '<!DOCTYPE html><meta charset="utf-8"><title>raftd</title><style>$(DOC_STYLE)</style><h1>raftd</h1><dl>'; \
	  for m in $(MANUALS); do \
	  sed -n 's|^\.Dt \(.*\) \(.\)|<dt><a href="'"$${m##*/}"'.html">\L\1(\2)</a>|p; s|^\.Nd |<dd>|p' $$m; \
	  done; echo '</dl>') >$(B)/doc/index.html
	@echo $(B)/doc/index.html

# --- packages --------------------------------------------------------------------------------------
# All that building needs, without the tests.
SOURCES := Makefile LICENSE README.md raftd.conf raftd net storage
VERSION = $(shell echo RAFTD_VERSION | $(CC) -E -P -I. -include raftd/base/version.h - | tail -n 1 | tr -d '" ')

# raftd_VERSION_ARCH.deb in build/deb. With SOURCE_DATE_EPOCH, else with the date of raftd/dist/debian/changelog,
# the same sources and tools make the same bytes.
deb: DEB = build/deb/raftd-$(VERSION)
deb: deps-deb-if-missing
	rm -rf build/deb
	mkdir -p $(DEB)
	cp -pR $(SOURCES) raftd/dist/debian $(DEB)
	@said=$$(dpkg-parsechangelog -l $(DEB)/debian/changelog -S Version); [ "$$said" = $(VERSION) ] || \
	  { echo "raftd/dist/debian/changelog says $$said, and raftd/base/version.h $(VERSION)" >&2; exit 1; }
	cd $(DEB) && dpkg-buildpackage -b -us -uc >../build.log 2>&1 || { tail -n 30 ../build.log >&2; exit 1; }
	@ls build/deb/*.deb

# A directory for package/ of OpenWrt's build tree or SDK, sources included.
openwrt:
	rm -rf build/openwrt
	mkdir -p build/openwrt/raftd/src
	cp -pR raftd/dist/openwrt/. build/openwrt/raftd
	sed -i 's/@VERSION@/$(VERSION)/' build/openwrt/raftd/Makefile
	cp -pR $(SOURCES) build/openwrt/raftd/src
	@echo build/openwrt/raftd

# Programs that need no library of the box, in build/static. They are built for any address like the others (-pie),
# which musl-gcc does not know to do with -static.
MUSL = $(dir $(shell dpkg -L musl-dev | grep '/rcrt1\.o$$'))
static: deps-static-if-missing
	raftd/dist/static-libs
	$(MAKE) B=build/static CC=musl-gcc CFLAGS='-g -Ibuild/static/include' LDFLAGS='-static -Lbuild/static/lib \
	  -Wl,-pie,--no-dynamic-linker,-z,text -nostartfiles $(addprefix $(MUSL),rcrt1.o crti.o crtn.o)' all
	$(STRIP) build/static/raftd build/static/raftctl
	@ls -l build/static/raftd build/static/raftctl

clean:
	rm -rf build

BUILD_PACKAGES := gcc make libc6-dev libev-dev liburcu-dev libsodium-dev libhiredis-dev
TEST_PACKAGES := libcmocka-dev patch gcovr clang libclang-rt-dev llvm clang-format clang-tidy cppcheck valgrind \
  lld strace iproute2 iputils-arping nftables mandoc musl-tools binutils redis-tools python3-redis lua-redis lua5.1 node-redis netcat-openbsd zsh
# What is missing is installed: by root, or by sudo, which must not ask for a password where nobody can
# type it. DEPS=0: it is only named.
deps-build: PACKAGES := $(BUILD_PACKAGES)
deps-deb: PACKAGES := $(BUILD_PACKAGES) debhelper
deps-static: PACKAGES := $(BUILD_PACKAGES) dpkg-dev musl-tools autoconf automake libtool
deps: PACKAGES := $(BUILD_PACKAGES) $(TEST_PACKAGES)
deps deps-build deps-deb deps-static:
	@missing=$$(for p in $(PACKAGES); do \
	  dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q ' installed$$' || echo $$p; done); \
	[ -n "$$missing" ] || exit 0; \
	if [ "$(DEPS)" = 0 ]; then echo "DEPS=0, and not installed:" $$missing >&2; exit 0; fi; \
	command -v apt-get >/dev/null || { echo "not a Debian: please install" $$missing >&2; exit 1; }; \
	echo "installing" $$missing; \
	if [ "$$(id -u)" = 0 ]; then root=; elif [ -t 0 ]; then root=sudo; else root="sudo -n"; fi; \
	$$root apt-get update -q && $$root env DEBIAN_FRONTEND=noninteractive \
	  apt-get install -y -q --no-install-recommends $$missing || \
	  { echo "please install, as root:" $$missing >&2; exit 1; }

# On other systems the compiler says what is missing.
%-if-missing:
	@! command -v dpkg-query >/dev/null || $(MAKE) $*

help:
	@echo 'make all        build/raftd and build/raftctl (CC=, SAN=: see Makefile)'
	@echo 'make demo       three nodes here: election, writes, kill -9 of the leader'
	@echo 'make run        the same three nodes, left running to play with raftctl'
	@echo 'make check      every test; NAME="unit/test_conf fuzz" runs only those'
	@echo 'make check-long the same with all that takes long; an hour or two'
	@echo 'make fuzz       libFuzzer for SECONDS=60 per target; NAME=conf: only that one'
	@echo 'make soak       the simulator with new seeds, MINUTES=n or until stopped'
	@echo 'make explore    every interleaving of small clusters of the core (long)'
	@echo 'make mutants    put known bugs in, one at a time: does a test notice each?'
	@echo 'make cross      unit tests and demo on armhf, i386 and s390x under qemu (long)'
	@echo 'make cov        lines and branches reached by unit tests and simulator'
	@echo 'make bench      throughput and latency beside the floor of this machine'
	@echo 'make bench-state what the state costs, in time and memory'
	@echo 'make bench-loss the same on links that lose datagrams (root); LOSS, SECS'
	@echo 'make bench-flood puts while somebody without the key floods the leader (root)'
	@echo 'make bench-disk restarts, disk use, and what snapshots cost'
	@echo 'make bench-clients gets beside redis-server, locks and watches beside a put'
	@echo 'make bench-members boxes that restart, come, go and move (root)'
	@echo 'make lint       clang-format, clang-tidy, cppcheck, shellcheck'
	@echo 'make fmt        format all C files'
	@echo 'make deps-build install the Debian packages that building needs'
	@echo 'make deps       and those that testing needs; other targets do so themselves'
	@echo '                DEPS=0 installs nothing, and says what is missing'
	@echo 'make install    programs, manuals, unit, sample configuration (DESTDIR, PREFIX)'
	@echo 'make doc        the manuals as HTML pages: build/doc/index.html'
	@echo 'make tar        the same, less configuration, for other boxes: raftd.tar.gz'
	@echo 'make deb        a package for Debian, in build/deb'
	@echo 'make openwrt    a package directory for OpenWrt, in build/openwrt'
	@echo 'make static     programs that need no library, with musl, in build/static'
	@echo 'make uninstall  remove them; configuration and data stay'
	@echo 'make clean      remove build/'

print-%:
	@echo '$($*)'

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all objects units fuzzers benches e2e-tools check check-long cov soak explore mutants fuzz demo run cross bench bench-state bench-loss bench-flood bench-disk bench-members bench-clients lint fmt doc install tar uninstall \
  clean deb openwrt static deps deps-build deps-deb deps-static unit-objects help
