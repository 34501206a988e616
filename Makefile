# Makefile -- everything a person does with this checkout. `make help` lists the targets.
# Packages are Debian 12's; a target installs what it lacks, and does nothing when all is there.

# What a build needs, what the specs need, what the linters need, what the benchmarks need.
PACKAGES_BUILD = gcc g++ libc6-dev liblua5.4-dev libuv1-dev libcurl4-openssl-dev lua-cjson-dev libsimdjson-dev \
                 libmimalloc-dev zlib1g-dev libbrotli-dev libzstd-dev node-llhttp libedit-dev ca-certificates
PACKAGES_TEST  = lua-busted lua5.4 nginx-light curl perl brotli zstd openssl python3 python3-httpbin gunicorn \
                 nghttp2-server tinyproxy-bin microsocks iproute2 lua-penlight lua-lpeg lua-filesystem lua-socket tmux
PACKAGES_LINT  = clang lua-check
PACKAGES_CHECK = valgrind
PACKAGES_BENCH = nginx-light lua5.4 openssl procps wrk
# What rille is measured against, if it is there.
PACKAGES_RIVAL = nodejs python3-aiohttp python3-uvloop python3-httpx python3-h2 python3-aiostream nghttp2-client \
                 $(if $(shell command -v npm),,npm)
NPM_RIVALS     = undici@6 node@22
PACKAGES_DEB   = dpkg-dev

VERSION  = 0.1.0

# Where `make install` puts things; DESTDIR is put in front.
PREFIX   = /usr/local
DESTDIR  =

# `make V=1` shows the commands.
Q        = $(if $(V),,@)
SAY      = @$(if $(V),:,echo)

BUILD    = build/release
PROGRAM  = bin/rille
CC       = gcc
CXX      = g++
OPTIMISE = -O2 -g
SANITISE =
WARN_ALL = -Wall -Wextra -Wpedantic -Wshadow -Wpointer-arith -Wwrite-strings -Wvla -Wundef -Werror
WARN     = $(WARN_ALL) -Wstrict-prototypes -Wmissing-prototypes
CFLAGS   = -std=c11 -D_GNU_SOURCE -DRILLE_VERSION='"$(VERSION)"' $(if $(MALLOC),-DRILLE_MIMALLOC) $(OPTIMISE) \
           $(SANITISE) -fno-strict-aliasing
CXXFLAGS = -std=c++17 $(OPTIMISE) $(SANITISE) -fno-exceptions -fno-rtti
INCLUDES = -Ihost -isystem /usr/include/lua5.4 -isystem /usr/share/include/llhttp
# Lua is linked whole and its symbols are exported, for the C modules that scripts load. Its
# fflush is the REPL's.
LIBS     = -Wl,-E -Wl,--wrap=fflush -Wl,--whole-archive -l:liblua5.4.a -Wl,--no-whole-archive \
           -l:liblua5.4-cjson.a -luv $(if $(LATE),,-lcurl -lbrotlidec -lzstd -lsimdjson -lstdc++) -lz -lm -ldl -lpthread
# Asked of the system: on a bare one there is no compiler yet.
MACHINE := $(shell uname -m)
# liblua's jumps, where host/jump.c has faster ones.
JUMP     = $(if $(SANITISE),,$(if $(filter x86_64,$(MACHINE)),\
             $(patsubst %,-Wl$(COMMA)--wrap=%,_setjmp longjmp _longjmp __longjmp_chk)))
COMMA    = ,
# Libraries are loaded by host/late.c when they are first called, where that can.
LATE     = $(if $(SANITISE),,$(if $(filter x86_64,$(MACHINE)),$(BUILD)/late.o))
# mimalloc is for Lua's small blocks (host/memory.c). It is late, so that nobody else meets the malloc and the
# operators of C++ that it has.
MALLOC   = $(if $(LATE),-Wl$(COMMA)--wrap=lua_newstate)
LLHTTP   = /usr/share/llhttp

SOURCES  = $(sort $(filter-out host/late.c,$(wildcard host/*.c)))
SHIMS    = $(sort $(wildcard host/*.cpp))
MODULES  = $(sort $(wildcard lualib/*.lua lualib/*/*.lua lualib/*/*/*.lua))
OBJECTS  = $(SOURCES:host/%.c=$(BUILD)/%.o) $(SHIMS:host/%.cpp=$(BUILD)/%.o) $(BUILD)/lualib.o \
           $(addprefix $(BUILD)/llhttp-,api.o http.o llhttp.o)

all: $(PROGRAM)

help:
	@echo 'make          build bin/rille'
	@echo 'make run      build, and run scripts/pokemon.lua against a local API'
	@echo 'make test     build, and run the specs'
	@echo 'make lint     compile with gcc and clang, warnings as errors; luacheck'
	@echo 'make asan     the specs again under ASan, UBSan and LeakSanitizer, the collector stressed'
	@echo 'make valgrind the main job under valgrind'
	@echo 'make bench    the benchmarks, each next to its rivals; ROW="wait step" for some; make bench-deps installs rivals'
	@echo 'make install  to PREFIX=/usr/local, with DESTDIR in front; make uninstall removes it'
	@echo 'make deb      a package for this Debian, in build/'
	@echo 'make types    declarations for lua-language-server, in build/types'
	@echo 'make V=1      show the commands'
	@echo 'make clean    remove what was built'

# --- set-up: $(call install,packages) ---

define install
@missing=; for p in $(1); do \
  case "$$(dpkg-query -W -f='$${db:Status-Status}' $$p 2>/dev/null)" in \
    installed) ;; *) missing="$$missing $$p";; esac; done; \
[ -z "$$missing" ] && exit 0; \
if [ "$$(id -u)" = 0 ]; then as=; \
elif sudo -n true 2>/dev/null; then as='sudo -n'; \
else echo "rille: packages are missing; run: sudo apt-get install -y --no-install-recommends$$missing" >&2; exit 1; fi; \
echo "installing$$missing" >&2; \
{ $$as apt-get update -q && \
  $$as env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing; } >&2 || \
{ echo "rille: could not install packages; run: $${as:+sudo }apt-get install -y --no-install-recommends$$missing" >&2; exit 1; }
endef

packages-build:
	$(call install,$(PACKAGES_BUILD))
packages-test:
	$(call install,$(PACKAGES_BUILD) $(PACKAGES_TEST))
packages-lint:
	$(call install,$(PACKAGES_BUILD) $(PACKAGES_LINT))
packages-valgrind:
	$(call install,$(PACKAGES_BUILD) $(PACKAGES_CHECK))
packages-bench:
	$(call install,$(PACKAGES_BUILD) $(PACKAGES_BENCH))

# --- build ---

$(PROGRAM): $(OBJECTS) $(LATE)
	@mkdir -p $(@D)
	$(SAY) '  LINK  $@'
	$(Q)$(CC) $(OPTIMISE) $(SANITISE) -o $@ $(MALLOC) $(OBJECTS) $(LATE) $(JUMP) $(LIBS)

# The late functions that the objects call.
$(BUILD)/late.h: $(OBJECTS) Makefile
	$(Q)nm -u $(OBJECTS) | sort -u | sed -n \
	  -e 's/^ *U \(curl_[a-z0-9_]*\)$$/LATE(\1, "libcurl.so.4")/p' \
	  -e 's/^ *U \(BrotliDecoder[A-Za-z]*\)$$/LATE(\1, "libbrotlidec.so.1")/p' \
	  -e 's/^ *U \(ZSTD_[A-Za-z_]*\)$$/LATE(\1, "libzstd.so.1")/p' \
	  -e 's/^ *U \(mi_[a-z_]*\)$$/LATE(\1, "libmimalloc.so.2")/p' \
	  -e 's/^ *U \(_ZN8simdjson[A-Za-z0-9_]*\)$$/LATE(\1, "libsimdjson.so.14")/p' \
	  -e 's/^ *U \(_Z[dn][alw][A-Za-z0-9_]*\)$$/LATE(\1, "libstdc++.so.6")/p' >$@

$(BUILD)/late.o: host/late.c $(BUILD)/late.h
	$(SAY) '  CC    $<'
	$(Q)$(CC) $(CFLAGS) $(WARN) -I$(BUILD) -c -o $@ $<

$(BUILD)/%.o: host/%.c | packages-build
	@mkdir -p $(@D)
	$(SAY) '  CC    $<'
	$(Q)$(CC) $(CFLAGS) $(WARN) $(INCLUDES) -MMD -MP -c -o $@ $<

$(BUILD)/%.o: host/%.cpp | packages-build
	@mkdir -p $(@D)
	$(SAY) '  CXX   $<'
	$(Q)$(CXX) $(CXXFLAGS) $(WARN_ALL) -Ihost -MMD -MP -c -o $@ $<

$(BUILD)/llhttp-%.o: | packages-build
	@mkdir -p $(@D)
	$(SAY) '  CC    $(LLHTTP)/$*.c'
	$(Q)$(CC) $(CFLAGS) -w $(INCLUDES) -c -o $@ $(LLHTTP)/$*.c

$(BUILD)/lualib.o: $(BUILD)/lualib.c
	$(SAY) '  CC    $<'
	$(Q)$(CC) $(CFLAGS) -Wall -Wextra -Werror $(INCLUDES) -c -o $@ $<

# Each module of lualib/ becomes a string literal in a table of struct rille_embedded (host/lib.h).
$(BUILD)/lualib.c: $(MODULES) Makefile | packages-build
	@mkdir -p $(@D)
	@{ echo '#include "lib.h"'; \
	   echo 'const struct rille_embedded rille_lualib[] = {'; \
	   for f in $(MODULES:lualib/%=%); do \
	     name=$$(echo $${f%.lua} | tr / .); \
	     printf '{"%s", "=%s",\n' $$name $$f; \
	     sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/"&\\n"/' lualib/$$f > $@.part; cat $@.part; \
	     printf ', sizeof(\n'; cat $@.part; printf ') - 1},\n'; \
	   done; rm -f $@.part; echo '{0, 0, 0, 0}};'; } > $@

-include $(SOURCES:host/%.c=$(BUILD)/%.d) $(SHIMS:host/%.cpp=$(BUILD)/%.d)

# --- use ---

run: $(PROGRAM)
	@$(PROGRAM) scripts/pokemon.lua

test: packages-test $(PROGRAM)
	@RILLE=$(PROGRAM) $(PROGRAM) test $(SPECS)

asan: packages-test
	@$(MAKE) --no-print-directory BUILD=build/asan PROGRAM=build/asan/rille \
	  OPTIMISE='-O1 -g -DRILLE_FAIL_ALLOC' \
	  SANITISE='-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer' \
	  build/asan/rille
	@RILLE=build/asan/rille build/asan/rille spec/out_of_memory.lua
	@RILLE=build/asan/rille RILLE_SPEC_GC=stress build/asan/rille test --timeout=600 $(SPECS)

# valgrind has a malloc of its own, which knows libc's.
valgrind: packages-valgrind
	@$(MAKE) --no-print-directory BUILD=build/valgrind PROGRAM=build/valgrind/rille LATE= build/valgrind/rille
	@for arguments in '' --plain '--concurrency 4'; do \
	  valgrind --quiet --leak-check=full --error-exitcode=1 build/valgrind/rille scripts/pokemon.lua $$arguments || \
	    exit 1; \
	done

lint: packages-lint
	@$(MAKE) --no-print-directory BUILD=build/clang PROGRAM=build/clang/rille CC=clang CXX=clang++ build/clang/rille
	@$(MAKE) --no-print-directory $(PROGRAM)
	@luacheck --quiet lualib scripts spec bench tools
	@! grep -nE '.{111,}' host/*.[ch] host/*.cpp
	@! grep -n 'lua_resume *(' host/*.c | grep -v '^host/fiber.c:'
	@! grep -nwE '(sprintf|vsprintf|strcpy|strcat|strtok|atoi|atol|alloca|gets) *\(' host/*.[ch] host/*.cpp

# docs/performance.md tells of the table; RECORD=docs/performance.md puts the new one into it.
bench: bench-build
	@$(PROGRAM) bench/run.lua $(if $(RECORD),--record $(RECORD)) $(ROW)

# Each benchmark with tiny sizes: do they work?
bench-smoke: bench-build
	@$(PROGRAM) bench/run.lua --smoke $(ROW)

bench-build: packages-bench $(PROGRAM) build/bench/bare build/bench/start build/bench/documents/1

build/bench/bare: bench/bare.c | packages-build
	@mkdir -p $(@D)
	$(SAY) '  CC    $<'
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE -O2 $(WARN) -o $@ $< -luv -lcurl

build/bench/start: $(PROGRAM) bench/start.lua bench/document.lua
	@mkdir -p $(@D)
	@$(PROGRAM) build bench/start.lua -o $@ >$@.log

build/bench/documents/1: bench/documents.lua bench/document.lua | $(PROGRAM)
	@mkdir -p $(@D)
	@$(PROGRAM) bench/documents.lua $(@D) 1

# npm installs what is not there; nothing of it is part of this project.
bench-deps:
	$(call install,$(PACKAGES_BENCH) $(PACKAGES_RIVAL))
	@mkdir -p build/bench
	@cd build/bench && npm install --silent --no-audit --no-fund --no-save --no-package-lock $(NPM_RIVALS)

# --- install ---

BIN      = $(PREFIX)/bin
MAN      = $(PREFIX)/share/man/man1
SHARE    = $(PREFIX)/share/rille
DOC      = $(PREFIX)/share/doc/rille
COMPLETE = $(PREFIX)/share/bash-completion/completions

types: $(PROGRAM)
	@$(PROGRAM) tools/types.lua build/types

install: types
	@install -d $(addprefix $(DESTDIR),$(BIN) $(MAN) $(SHARE)/types/rille $(DOC)/examples $(COMPLETE))
	@install -m 755 $(PROGRAM) $(DESTDIR)$(BIN)/rille
	@install -m 644 build/types/*.lua $(DESTDIR)$(SHARE)/types
	@install -m 644 build/types/rille/*.lua $(DESTDIR)$(SHARE)/types/rille
	@install -m 644 README.md LICENSE docs/*.md $(DESTDIR)$(DOC)
	@install -m 644 scripts/*.lua $(DESTDIR)$(DOC)/examples
	@install -m 644 packaging/rille.bash $(DESTDIR)$(COMPLETE)/rille
	@sed 's|@VERSION@|$(VERSION)|; s|@PREFIX@|$(PREFIX)|' docs/rille.1 > $(DESTDIR)$(MAN)/rille.1
	@chmod 644 $(DESTDIR)$(MAN)/rille.1

uninstall:
	rm -rf $(DESTDIR)$(SHARE) $(DESTDIR)$(DOC)
	rm -f $(DESTDIR)$(BIN)/rille $(DESTDIR)$(MAN)/rille.1 $(DESTDIR)$(COMPLETE)/rille

# What the program is linked with is asked of dpkg-shlibdeps, which wants a debian/control; what it loads late is in
# packaging/control.
DEB      = build/deb
DEB_ARCH = $(shell dpkg --print-architecture)

deb: $(PROGRAM)
	$(call install,$(PACKAGES_DEB))
	@rm -rf $(DEB)
	@$(MAKE) --no-print-directory install PREFIX=/usr DESTDIR=$(DEB)/rille
	@strip $(DEB)/rille/usr/bin/rille
	@gzip -9n $(DEB)/rille/usr/share/man/man1/rille.1
	@mv $(DEB)/rille/usr/share/doc/rille/LICENSE $(DEB)/rille/usr/share/doc/rille/copyright
	@mkdir -p $(DEB)/rille/DEBIAN $(DEB)/debian && printf 'Source: rille\n\nPackage: rille\nArchitecture: any\n' \
	  > $(DEB)/debian/control
	@cd $(DEB)/rille && find usr -type f -exec md5sum {} + > DEBIAN/md5sums
	@cd $(DEB) && depends=$$(dpkg-shlibdeps -O -erille/usr/bin/rille | sed -n 's/^shlibs:Depends=//p') && \
	  [ -n "$$depends" ] && sed "s/@VERSION@/$(VERSION)/; s/@ARCHITECTURE@/$(DEB_ARCH)/; s/@DEPENDS@/$$depends/; \
	  s/@SIZE@/$$(du -sk rille/usr | cut -f1)/" ../../packaging/control > rille/DEBIAN/control
	@dpkg-deb --root-owner-group --build $(DEB)/rille build/rille_$(VERSION)_$(DEB_ARCH).deb

clean:
	rm -rf build bin

.PHONY: all help run test asan valgrind lint bench bench-build bench-deps bench-smoke clean types install uninstall deb packages-build packages-test packages-lint \
        packages-valgrind packages-bench
