/* jump.c -- setjmp and longjmp for Lua, without what glibc adds to them; x86-64 only.
 * Model:  Lua enters a coroutine with _setjmp and leaves it with longjmp, at every step and every wait.
 *         glibc's own encrypt what they save, run the cancellation handlers of threads and check the frame:
 *         a twelfth of a generator's step. Lua jumps up its own stack, to a frame that is there, and no
 *         thread that runs it is cancelled. The linker sends the calls of what is linked in here (--wrap,
 *         in the Makefile): that is liblua's only. Shared libraries have glibc's. On other processors, and
 *         under sanitizers, which want to see jumps, there is no --wrap and this is unused.
 * Owner:  the buffer is Lua's jmp_buf, of 200 bytes; the first 64 are used.
 * Errors: none. */

#if defined(__x86_64__)

__asm__(".text\n"
        ".globl __wrap__setjmp\n" /* int _setjmp(buffer): saves what a called function must keep; 0 */
        ".type __wrap__setjmp, @function\n"
        "__wrap__setjmp:\n"
        "  mov %rbx, 0(%rdi)\n"
        "  mov %rbp, 8(%rdi)\n"
        "  mov %r12, 16(%rdi)\n"
        "  mov %r13, 24(%rdi)\n"
        "  mov %r14, 32(%rdi)\n"
        "  mov %r15, 40(%rdi)\n"
        "  lea 8(%rsp), %rdx\n" /* the stack as it is after the return */
        "  mov %rdx, 48(%rdi)\n"
        "  mov (%rsp), %rax\n" /* where it returns to */
        "  mov %rax, 56(%rdi)\n"
        "  xor %eax, %eax\n"
        "  ret\n"
        ".size __wrap__setjmp, . - __wrap__setjmp\n"
        ".globl __wrap_longjmp, __wrap__longjmp, __wrap___longjmp_chk\n"
        ".type __wrap___longjmp_chk, @function\n"
        "__wrap_longjmp:\n" /* longjmp(buffer, value): returns the value, not 0, from _setjmp */
        "__wrap__longjmp:\n"
        "__wrap___longjmp_chk:\n"
        "  mov %esi, %eax\n"
        "  mov 0(%rdi), %rbx\n"
        "  mov 8(%rdi), %rbp\n"
        "  mov 16(%rdi), %r12\n"
        "  mov 24(%rdi), %r13\n"
        "  mov 32(%rdi), %r14\n"
        "  mov 40(%rdi), %r15\n"
        "  mov 48(%rdi), %rsp\n"
        "  jmp *56(%rdi)\n"
        ".size __wrap___longjmp_chk, . - __wrap___longjmp_chk\n");

#endif

typedef int rille_jump_is_not_empty; /* ISO C forbids a file without a declaration */
