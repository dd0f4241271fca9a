# SPDX-License-Identifier: MIT
# nsnet-host. `make help` lists the targets. V=1 shows commands, WERROR=1 makes warnings errors,
# MODE=asan|valgrind|fuzz builds another tree. CFLAGS, CPPFLAGS and LDFLAGS are yours.

PREFIX ?= /usr/local
CFLAGS ?= -O2 -g
LUAJIT ?= luajit
SCDOC  ?= scdoc
LWIP_DIR ?= build/lwip
FUZZ_TIME ?= 60
TEST_TIME ?= 600

# What Debian 12 lacks: for building, for testing, for comparing. None of it starts a service.
PACKAGES = build-essential musl-tools dpkg-dev pkg-config libev-dev libluajit-5.1-dev luajit \
	libc-ares-dev libcjson-dev ca-certificates
PACKAGES_TEST = libcmocka-dev lua-busted lua-check clang clang-tidy clang-format \
	libclang-rt-14-dev valgrind iproute2 iputils-ping procps jq util-linux curl wget git scdoc \
	lintian zsh fish \
	dropbear-bin openssh-client bind9-dnsutils dnsmasq-base iperf3 python3 less \
	busybox-static microsocks tinyproxy-bin libwrap0 tshark chromium \
	openssl apt python3-pip python3-prometheus-client
PACKAGES_BENCH = passt slirp4netns

# --- flags ---------------------------------------------------------------------------------------

MODE ?= release
B := build$(if $(filter-out release,$(MODE)),/$(MODE))
SANITIZE = -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
MODE_release = -fPIE -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
LINK_release = -pie -Wl,--gc-sections -Wl,-z,relro,-z,now
SHIM_release = -static-pie -Wl,--gc-sections -Wl,-z,relro,-z,now
MODE_asan = $(SANITIZE) -DNSNET_NO_CAGE -DNSNET_LWIP_ASSERT
LINK_asan = $(SANITIZE)
SHIM_asan = $(SANITIZE)
MODE_valgrind = -O1 -DNSNET_NO_CAGE -DNSNET_LWIP_ASSERT -DNSNET_SLOW_CPU=30
MODE_fuzz = $(SANITIZE) -DNSNET_NO_CAGE -fsanitize=fuzzer-no-link -DNSNET_LWIP_ASSERT
LINK_fuzz = $(SANITIZE)

# Ours come after the user's CFLAGS and never need them. _GNU_SOURCE is empty so that a source
# that defines it too is no redefinition.
OURS = -std=gnu11 -I. -D_GNU_SOURCE= -Wall -Wextra -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wvla -fno-strict-aliasing $(if $(WERROR),-Werror) $(MODE_$(MODE))
DEPS_CFLAGS := $(shell pkg-config --cflags libcares libcjson 2>/dev/null)
DEPS_LIBS   := -lev $(shell pkg-config --libs libcares libcjson 2>/dev/null)
LUA_CFLAGS  := $(shell pkg-config --cflags luajit 2>/dev/null)
LUA_LIBS    := $(shell pkg-config --libs luajit 2>/dev/null)
LWIP_CFLAGS  = -Icore/lwip -isystem $(LWIP_DIR)/src/include
LIBS = -Wl,--as-needed $(DEPS_LIBS) $(LUA_LIBS) -pthread

# --- files ---------------------------------------------------------------------------------------

CORE_SRC := $(wildcard core/*.c core/lwip/*.c)
LUA_SRC  := $(wildcard lua/*.c)
LUA_LIB  := $(sort $(wildcard lua/nsnet/*.lua lua/editor/*))
PAGE_SRC := core/report/page.html $(wildcard core/report/*.css core/report/*.js)
SHIM_SRC := $(wildcard container-shim/*.c)
LWIP_SRC := $(addprefix src/core/,tcp_in.c tcp.c tcp_out.c def.c inet_chksum.c init.c ip.c mem.c \
	memp.c netif.c pbuf.c timeouts.c ipv4/ip4.c ipv4/ip4_addr.c ipv6/ip6.c ipv6/ip6_addr.c \
	ipv6/icmp6.c ipv6/nd6.c)
SPEC_SRC := $(wildcard spec/core/*_spec.c spec/lua/*_spec.c spec/shim/*_spec.c)
TOOL_SRC := $(filter-out %/fake_%,$(wildcard spec/support/*.c))
FUZZ_SRC := $(wildcard spec/fuzz/*_fuzz.c)

VERSION := $(shell sed -n 's/.*NSNET_VERSION "\(.*\)"/\1/p' core/version.h)
OBJ = $(patsubst %.c,$(B)/obj/%.o,$(1))
LWIP_OBJ := $(LWIP_SRC:src/core/%.c=$(B)/obj/lwip/%.o)
HOST_OBJ := $(call OBJ,$(CORE_SRC) $(LUA_SRC) core/page.c lua/modules.c) $(LWIP_OBJ)
SHIM_OBJ := $(call OBJ,$(SHIM_SRC))
# The shim is a tenth of the size with musl, and on a virtual machine starts a millisecond sooner:
# glibc asks the processor for its features dozens of times, each a trap there.
MUSL := $(if $(filter release,$(MODE)),$(shell command -v musl-gcc 2>/dev/null))
MUSL_CFLAGS = -fno-PIE -idirafter /usr/include -idirafter /usr/include/$(shell $(CC) -print-multiarch)
SHIM_BIN_OBJ := $(if $(MUSL),$(SHIM_SRC:%.c=$(B)/obj/musl/%.o),$(SHIM_OBJ))
SPECS    := $(SPEC_SRC:%.c=$(B)/%)
TOOLS    := $(TOOL_SRC:%.c=$(B)/%)
FUZZERS  := $(FUZZ_SRC:%.c=$(B)/%)
BENCHES  := $(patsubst %.c,$(B)/%,$(wildcard spec/lua/*_bench.c))
PROGRAMS := $(if $(wildcard core/main.c),$(B)/nsnet-host) \
	$(if $(wildcard container-shim/main.c),$(B)/container-shim)
LIB_OBJ  := $(call OBJ,core/embed.c core/bridge.c)
SONAME   := libnsnet.so.0
SOFILE   := libnsnet.so.$(VERSION)
LIBRARY  := $(B)/libnsnet.a $(B)/$(SOFILE)
MAN      := $(patsubst %.scd,$(B)/%,$(notdir $(wildcard core/*.1.scd container-shim/*.1.scd lua/*.7.scd)))
COMPLETE := $(addprefix $(B)/completion/,bash zsh fish)
UNIT = $(SPECS) $(wildcard spec/core/*_spec.lua spec/lua/*_spec.lua spec/lint/*_spec.lua spec/support/*_spec.lua)
E2E  = $(wildcard spec/e2e/*_spec.lua)
RUN  = NSNET_BUILD=$(CURDIR)/$(B) NSNET_MODE=$(MODE) $(LUAJIT) spec/support/run.lua -t $(TEST_TIME) \
	$(WRAP_$(MODE))
# Not under valgrind: shim/cover, because it has no mount_setattr(2); lua/strings, the same 30000
# random patterns at a hundredth of the speed. Tests that skip there say why: stage_is_valgrind().
WRAP_valgrind = -w "valgrind -q --vgdb=no --error-exitcode=99 --leak-check=full \
	--show-leak-kinds=definite --errors-for-leak-kinds=definite"
VALGRIND = $(filter-out %/shim/cover_spec %/lua/strings_spec,$(SPECS)) spec/e2e/valgrind_spec.lua

Q   = $(if $(V),,@)
SAY = $(if $(V),@:,@printf '  %-6s %s\n')

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all programs specs run-all run-valgrind deps deps-test test check e2e asan valgrind lint lint-headers lint-tidy \
	format demo bench fuzz run-fuzz install uninstall deb clean help FORCE

all: programs ## build/nsnet-host, build/container-shim and libnsnet
programs: $(PROGRAMS) $(LIBRARY) $(COMPLETE) $(if $(shell command -v $(SCDOC) 2>/dev/null),$(MAN))
specs: $(SPECS) $(TOOLS)
$(addprefix $(B)/spec/core/,child_spec preflight_spec shim_spec terminal_spec): | $(B)/container-shim

# --- what it needs -------------------------------------------------------------------------------

deps: ## install what building needs; fetch lwIP
	$(Q).ci/packages $(PACKAGES)
	$(Q)$(MAKE) -s --no-print-directory $(LWIP_DIR)/src/core/tcp_in.c
deps-test: ## install what tests and benchmarks need as well
	$(Q).ci/packages $(PACKAGES) $(PACKAGES_TEST) $(PACKAGES_BENCH)
	$(Q)$(MAKE) -s --no-print-directory $(LWIP_DIR)/src/core/tcp_in.c
	$(Q).ci/unpack dante-server build/dante

ifeq ($(LWIP_DIR),build/lwip)
build/lwip/src/core/tcp_in.c:
	$(Q)core/lwip/fetch build/lwip
else
$(LWIP_DIR)/src/core/tcp_in.c:
	@echo "nsnet-host: LWIP_DIR=$(LWIP_DIR) is no checkout of lwIP: no $@" >&2; false
endif
$(patsubst %,$(LWIP_DIR)/%,$(filter-out %/tcp_in.c,$(LWIP_SRC))): | $(LWIP_DIR)/src/core/tcp_in.c

# --- programs ------------------------------------------------------------------------------------

$(B)/nsnet-host: $(HOST_OBJ)
	$(SAY) LINK $@
	$(Q)$(CC) $(LINK_$(MODE)) $(LDFLAGS) -o $@ $^ $(LIBS)
$(B)/container-shim: $(SHIM_BIN_OBJ)
	$(SAY) LINK $@
	$(Q)$(if $(MUSL),$(MUSL) $(subst -static-pie,-static,$(SHIM_$(MODE))),$(CC) $(SHIM_$(MODE))) \
		$(LDFLAGS) -o $@ $^

# libnsnet, as a shared and as a single object: of all names only those of core/nsnet.h are seen.
$(B)/$(SOFILE): $(LIB_OBJ) $(B)/libhost.a
	$(SAY) LINK $@
	$(Q)$(CC) -shared -Wl,-soname,$(SONAME),--exclude-libs,ALL $(filter-out -pie,$(LINK_$(MODE))) $(LDFLAGS) -o $@ $^ $(LIBS)
$(B)/libnsnet.a: $(LIB_OBJ) $(B)/libhost.a
	$(SAY) AR $@
	$(Q)rm -f $@; $(LD) -r -o $(B)/nsnet.o $^ && objcopy -w --keep-global-symbol='nsnet_*' $(B)/nsnet.o && \
		ar qcs $@ $(B)/nsnet.o

# The walls: only the stack sees lwIP, only lua/ sees Lua, the shim sees the C library alone.
PIC = -fPIC -fvisibility=hidden
$(B)/obj/core/%.o: private WALL = $(PIC) $(DEPS_CFLAGS)
$(B)/spec/core/%: private WALL = $(DEPS_CFLAGS)
LWIP_USER := core/stack core/inbox core/lwip/port core/lwip/clock core/lwip/intake
$(LWIP_USER:%=$(B)/obj/%.o): private WALL = $(PIC) $(DEPS_CFLAGS) $(LWIP_CFLAGS)
$(LWIP_USER:%=$(B)/obj/%.o): | $(LWIP_DIR)/src/core/tcp_in.c
$(B)/obj/lua/%.o: private WALL = $(PIC) $(DEPS_CFLAGS) $(LUA_CFLAGS)
$(B)/spec/lua/%: private WALL = $(DEPS_CFLAGS) $(LUA_CFLAGS)
$(B)/obj/lwip/%.o: private WALL = $(PIC) $(LWIP_CFLAGS) -w -ffunction-sections
$(B)/obj/container-shim/%.o: private WALL = -Os -ffunction-sections -fdata-sections
$(B)/obj/musl/%.o: private WALL = -Os -ffunction-sections -fdata-sections $(MUSL_CFLAGS)
$(B)/obj/musl/%.o: private override CC = $(MUSL) # whatever CC the caller names

COMPILE = $(CC) $(CFLAGS) $(OURS) $(WALL) $(CPPFLAGS) -MMD -MP
$(B)/obj/%.o: %.c $(B)/flags
	$(SAY) CC $<
	$(Q)mkdir -p $(@D); $(COMPILE) -c -o $@ $<
$(B)/obj/musl/%.o: %.c $(B)/flags
	$(SAY) CC "$< (musl)"
	$(Q)mkdir -p $(@D); $(COMPILE) -c -o $@ $<
$(B)/obj/lwip/%.o: $(LWIP_DIR)/src/core/%.c $(B)/flags
	$(SAY) CC $<
	$(Q)mkdir -p $(@D); $(COMPILE) -c -o $@ $<
$(B)/obj/lua/modules.o: $(B)/obj/lua/modules.c
	$(Q)$(COMPILE) -c -o $@ $<
$(B)/obj/core/page.o: $(B)/obj/core/page.c
	$(Q)$(COMPILE) -c -o $@ $<
$(B)/obj/core/page.c: core/report/embed.lua $(PAGE_SRC) $(B)/flags
	$(SAY) EMBED $@
	$(Q)mkdir -p $(@D); $(LUAJIT) core/report/embed.lua $@ $(PAGE_SRC)
$(B)/obj/lua/modules.c: lua/embed.lua $(LUA_LIB) $(B)/flags
	$(SAY) EMBED $@
	$(Q)mkdir -p $(@D); $(LUAJIT) lua/embed.lua $@ $(LUA_LIB)
$(B)/%.1: core/%.1.scd
	$(Q)mkdir -p $(@D); $(SCDOC) <$< >$@
$(B)/%.1: container-shim/%.1.scd
	$(Q)mkdir -p $(@D); $(SCDOC) <$< >$@
$(B)/%.7: lua/%.7.scd
	$(Q)mkdir -p $(@D); $(SCDOC) <$< >$@
$(COMPLETE): $(B)/completion/%: core/completion.lua $(B)/nsnet-host
	$(Q)mkdir -p $(@D); $(B)/nsnet-host --help >$@.help; $(LUAJIT) $< $* <$@.help >$@; rm $@.help

# A changed flag, or a source that came or went, rebuilds as a changed file does.
$(B)/flags: FORCE
	$(Q)mkdir -p $(@D); printf '%s\n' '$(CC) $(CFLAGS) $(OURS) $(CPPFLAGS) $(LDFLAGS)' \
		'$(DEPS_CFLAGS) $(LUA_CFLAGS) $(LWIP_DIR) $(LUA_LIB) $(PAGE_SRC)' '$(HOST_OBJ) $(SHIM_BIN_OBJ)' \
		>$@.new; if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# --- tests ---------------------------------------------------------------------------------------

test: programs specs ## unit tests, end-to-end tests and lint (deps-test installs what they use)
	$(Q)$(RUN) $(UNIT) $(E2E) -t 1500 spec/lint/lint.lua
# A part of another module, or only itself in a running program: MODULE:THE-SPEC-THAT-PROVES-IT.
ELSEWHERE = asktcp:core/resolver askudp:core/resolver attach:e2e/attach ctl:e2e/control \
	detour:core/conn dns:e2e/dns inbox:core/stack outbox:core/stack relay:core/conn rules:e2e/reload
PROVEN = $(foreach p,$(subst :,/,$(ELSEWHERE)),$(if $(wildcard spec/$(subst \
	$(firstword $(subst /, ,$p))/,,$p)_spec.*),core/$(firstword $(subst /, ,$p)).c))
check: programs specs ## unit tests: seconds, no privileges
	$(Q)for f in $(patsubst core/%.c,%,$(filter-out core/main.c core/lwip/% $(PROVEN),$(CORE_SRC))); do \
		[ -e spec/core/$${f}_spec.c ] || echo "no spec yet: core/$$f.c"; done
	$(Q)$(RUN) $(UNIT)
e2e: programs specs ## end-to-end tests, in namespaces of their own
	$(Q)$(RUN) $(E2E)
asan: ## unit and end-to-end tests under ASan, UBSan and lwIP's assertions
	$(Q)$(MAKE) --no-print-directory MODE=asan run-all
valgrind: ## unit tests in C, and the program at work, under valgrind: half an hour
	$(Q)$(MAKE) --no-print-directory MODE=valgrind run-valgrind
run-valgrind: programs specs
	$(Q)$(RUN) $(VALGRIND)
run-all: programs specs
	$(Q)$(RUN) $(UNIT) $(E2E)
lint: ## layers, headers, sizes, format, clang-tidy, luacheck
	$(Q)$(RUN) -t 1500 spec/lint/lint.lua
format: ## rewrite the C sources in the house style
	$(Q)clang-format -i $(wildcard core/*.[ch] core/lwip/*.h core/lwip/arch/*.h lua/*.[ch] \
		container-shim/*.[ch] spec/*/*.[ch])
demo: programs ## the main job on real input: a package fetched, every connection logged
	cd $(B) && ./nsnet-host -s $(CURDIR)/scripts/connlog.lua -- \
		apt-get -q -o APT::Sandbox::User=root download hello
bench: programs $(BENCHES) ## compare with direct, pasta and slirp4netns
	$(Q)NSNET_BUILD=$(CURDIR)/$(B) spec/bench/run
	$(Q)for b in $(BENCHES); do $$b || exit 1; done
fuzz: ## FUZZ_TIME seconds each of spec/fuzz/*_fuzz.c, from the kept corpus
	$(Q)$(MAKE) --no-print-directory MODE=fuzz CC=clang run-fuzz
run-fuzz: $(FUZZERS)
	$(Q)FUZZ_TIME=$(FUZZ_TIME) $(RUN) -t $$(($(FUZZ_TIME) + 120)) $(FUZZERS)

# Specs link libraries, so what a spec defines itself (a fake of all of stack.h, say) wins.
$(B)/spec/core/% $(B)/spec/lua/% $(B)/spec/fuzz/%: private SPEC_LIBS = $(B)/libhost.a
$(B)/spec/shim/%: private SPEC_LIBS = $(B)/libshim.a
$(filter $(B)/spec/shim/%,$(SPECS)): $(B)/libshim.a
$(filter-out $(B)/spec/shim/%,$(SPECS)) $(FUZZERS) $(BENCHES): $(B)/libhost.a
LINK = $(COMPILE) -MF $@.d $(LINK_$(MODE)) $(LDFLAGS) -o $@ $< $(SPEC_LIBS)
$(B)/spec/%_spec: spec/%_spec.c $(B)/flags
	$(SAY) SPEC $<
	$(Q)mkdir -p $(@D); $(LINK) -lcmocka $(LIBS)
$(B)/spec/%_bench: spec/%_bench.c $(B)/flags
	$(SAY) BENCH $<
	$(Q)mkdir -p $(@D); $(LINK) $(LIBS)
$(B)/spec/%_fuzz: spec/%_fuzz.c $(B)/flags
	$(SAY) FUZZ $<
	$(Q)mkdir -p $(@D); $(LINK) -fsanitize=fuzzer $(LIBS)
$(B)/spec/%: spec/%.c $(B)/flags
	$(SAY) TOOL $<
	$(Q)mkdir -p $(@D); $(LINK)
# q and not r: core/ and lua/ may have files of the same name.
$(B)/libhost.a: $(filter-out %/core/main.o,$(HOST_OBJ))
	$(Q)rm -f $@; ar qcs $@ $^
$(B)/libshim.a: $(filter-out %/main.o,$(SHIM_OBJ))
	$(Q)rm -f $@; ar qcs $@ $^

# Every header compiles alone; clang-tidy runs again when a file that it reads has changed.
HEADERS := $(filter-out core/lwip/%,$(wildcard core/*.h lua/*.h container-shim/*.h))
lint-headers: $(HEADERS:%=$(B)/lint/%.ok)
TIDY := $(patsubst %.c,$(B)/lint/%.tidy,$(CORE_SRC) $(LUA_SRC) $(SHIM_SRC))
lint-tidy: $(TIDY)
$(B)/lint/core/% $(B)/lint/container-shim/%: private WALL = $(DEPS_CFLAGS)
$(LWIP_USER:%=$(B)/lint/%.tidy): | $(LWIP_DIR)/src/core/tcp_in.c
$(LWIP_USER:%=$(B)/lint/%.tidy): private WALL = $(DEPS_CFLAGS) $(LWIP_CFLAGS)
$(B)/lint/lua/%: private WALL = $(DEPS_CFLAGS) $(LUA_CFLAGS)
$(B)/lint/%.h.ok: %.h
	$(Q)mkdir -p $(@D); $(CC) $(OURS) $(WALL) -Werror -fsyntax-only -MD -MP -MF $@.d -MT $@ -x c $<; touch $@
$(B)/lint/%.tidy: %.c .clang-tidy
	$(Q)mkdir -p $(@D); $(CC) $(OURS) $(WALL) -M -MP -MF $@.d -MT $@ $<
	$(Q)clang-tidy --quiet $< -- $(OURS) $(WALL) 2>/dev/null && touch $@

# --- the rest ------------------------------------------------------------------------------------

SHARE = $(DESTDIR)$(PREFIX)/share
LIBDIR ?= $(PREFIX)/lib
LIBTO = $(DESTDIR)$(LIBDIR)
install: programs ## into PREFIX (/usr/local), below DESTDIR
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(PROGRAMS)
	install -D -m 644 -t $(LIBTO) $(LIBRARY)
	ln -sf $(SOFILE) $(LIBTO)/$(SONAME)
	ln -sf $(SONAME) $(LIBTO)/libnsnet.so
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/include core/nsnet.h
	mkdir -p $(LIBTO)/pkgconfig; sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' \
		-e 's|@VERSION@|$(VERSION)|' -e 's|@LIBS@|$(DEPS_LIBS) $(LUA_LIBS) -pthread|' \
		core/nsnet.pc.in >$(LIBTO)/pkgconfig/nsnet.pc
	install -D -m 644 -t $(SHARE)/nsnet-host/scripts $(wildcard scripts/*.lua scripts/*.txt)
	$(foreach m,$(wildcard $(MAN)),install -D -m 644 -t $(SHARE)/man/man$(subst .,,$(suffix $m)) $m;)
	install -D -m 644 $(B)/completion/bash $(SHARE)/bash-completion/completions/nsnet-host
	install -D -m 644 $(B)/completion/zsh $(SHARE)/zsh/site-functions/_nsnet-host
	install -D -m 644 $(B)/completion/fish $(SHARE)/fish/vendor_completions.d/nsnet-host.fish
uninstall: ## what install brought
	rm -f $(PROGRAMS:$(B)/%=$(DESTDIR)$(PREFIX)/bin/%) \
		$(foreach m,$(MAN),$(SHARE)/man/man$(subst .,,$(suffix $m))/$(notdir $m)) \
		$(SHARE)/bash-completion/completions/nsnet-host $(SHARE)/zsh/site-functions/_nsnet-host \
		$(SHARE)/fish/vendor_completions.d/nsnet-host.fish \
		$(addprefix $(LIBTO)/,libnsnet.a $(SOFILE) $(SONAME) libnsnet.so pkgconfig/nsnet.pc) \
		$(DESTDIR)$(PREFIX)/include/nsnet.h
	rm -rf $(SHARE)/nsnet-host
deb: programs ## build/nsnet-host_VERSION_ARCH.deb
	$(Q)rm -rf $(B)/deb; $(MAKE) -s --no-print-directory install PREFIX=/usr DESTDIR=$(CURDIR)/$(B)/deb \
		LIBDIR=/usr/lib/$(shell dpkg-architecture -qDEB_HOST_MULTIARCH)
	$(Q)install -d $(B)/deb/usr/share/zsh/vendor-completions
	$(Q)mv $(B)/deb/usr/share/zsh/site-functions/_nsnet-host $(B)/deb/usr/share/zsh/vendor-completions/
	$(Q)rmdir $(B)/deb/usr/share/zsh/site-functions
	$(Q).deb/build $(CURDIR)/$(B)/deb $(VERSION) $(LWIP_DIR) \
		$(B)/nsnet-host_$(VERSION)_$(shell dpkg --print-architecture).deb
clean: ## remove what was built, keep what was fetched
	mkdir -p build; find build -mindepth 1 -maxdepth 1 ! -name lwip ! -name dante -exec rm -rf {} +
help: ## this text
	@awk -F': .*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

-include $(patsubst %.o,%.d,$(HOST_OBJ) $(SHIM_OBJ) $(SHIM_BIN_OBJ)) $(SPECS:=.d) $(TOOLS:=.d) $(FUZZERS:=.d) $(BENCHES:=.d) \
	$(HEADERS:%=$(B)/lint/%.ok.d) $(TIDY:=.d)
