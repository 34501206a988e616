/* late.c -- libcurl, simdjson and other libraries, loaded when they are first called; x86-64 only.
 * Model:  libcurl brings thirty libraries, and to load them takes ten times as long as to start Lua; simdjson
 *         brings that of C++, and takes as long. So the program is not linked with them, nor with others that
 *         few programs need: each of their functions that the host calls is a jump here, through a slot. At
 *         first a slot leads to `enter`, which keeps the arguments, has the library loaded and its slots
 *         filled, and jumps again. The list of the functions is made of the objects (Makefile). Nobody
 *         but the host sees these libraries: mimalloc's malloc and operators of C++ are nobody's. On other
 *         processors, and under sanitizers, the libraries are linked as ever, without mimalloc, and this is
 *         unused.
 * Owner:  a library stays loaded until the program ends.
 * Errors: a library or a function that is missing ends the program with status 127, as the system's own
 *         loader does. */

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A late function of a library: where to jump, its name, and the library's. */
#define LATE(name, library) \
  __asm__(".text\n" \
          ".globl " #name "\n" \
          ".hidden " #name "\n" \
          ".type " #name ", @function\n" #name ":\n" \
          "  jmp *slot_" #name "(%rip)\n" \
          "first_" #name ":\n" \
          "  lea slot_" #name "(%rip), %r11\n" \
          "  jmp rille_late_enter\n" \
          ".size " #name ", . - " #name "\n" \
          ".section .rodata\n" \
          "name_" #name ": .string \"" #name "\"\n" \
          "library_" #name ": .string " #library "\n" \
          ".section .data.late, \"aw\"\n" \
          ".balign 8\n" \
          "slot_" #name ": .quad first_" #name ", name_" #name ", library_" #name "\n" \
          ".text\n");

struct late {
  void *slot;
  const char *name;
  const char *library;
};

__asm__(".section .data.late, \"aw\"\n"
        ".balign 8\n"
        ".hidden rille_late_first\n"
        ".globl rille_late_first\n"
        "rille_late_first:\n");
#include "late.h"
__asm__(".section .data.late, \"aw\"\n"
        ".hidden rille_late_last\n"
        ".globl rille_late_last\n"
        "rille_late_last: .quad 0\n"
        ".text\n");

/* The arguments of a call, the number of vectors of a variable list (al) and the slot (r11) are kept; the
 * functions have no floating point arguments. At the call of rille_late_load the stack is aligned. */
__asm__(".text\n"
        ".type rille_late_enter, @function\n"
        "rille_late_enter:\n"
        "  push %rdi\n  push %rsi\n  push %rdx\n  push %rcx\n"
        "  push %r8\n  push %r9\n  push %rax\n  push %r11\n"
        "  sub $8, %rsp\n"
        "  mov %r11, %rdi\n"
        "  call rille_late_load\n"
        "  add $8, %rsp\n"
        "  pop %r11\n  pop %rax\n  pop %r9\n  pop %r8\n"
        "  pop %rcx\n  pop %rdx\n  pop %rsi\n  pop %rdi\n"
        "  jmp *(%r11)\n"
        ".size rille_late_enter, . - rille_late_enter\n");

extern struct late rille_late_first[], rille_late_last[];
void rille_late_load(const struct late *wanted);

static void give_up(void) {
  (void)fprintf(stderr, "rille: %s\n", dlerror());
  exit(127);
}

/* Called by rille_late_enter. */
__attribute__((used)) void rille_late_load(const struct late *wanted) {
  void *library = dlopen(wanted->library, RTLD_LAZY | RTLD_LOCAL);
  if (library == NULL)
    give_up();
  for (struct late *l = rille_late_first; l != rille_late_last; l++) {
    if (strcmp(l->library, wanted->library) != 0)
      continue;
    l->slot = dlsym(library, l->name);
    if (l->slot == NULL)
      give_up();
  }
}

/* std::nothrow, which simdjson's header names. Nobody looks into it. */
__attribute__((used, visibility("hidden"))) const char rille_late_nothrow __asm__("_ZSt7nothrow") = 0;

#endif

typedef int rille_late_is_not_empty; /* ISO C forbids a file without a declaration */
