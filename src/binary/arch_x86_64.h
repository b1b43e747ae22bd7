/* The registers of x86-64 by name, for what is made for this machine alone (plant/patch), and tests. */
#ifndef BINARY_ARCH_X86_64_H
#define BINARY_ARCH_X86_64_H

#include "binary/arch.h"

/* Those that Go passes arguments in come first, in its order. */
enum { GPR_RAX, GPR_RBX, GPR_RCX, GPR_RDI, GPR_RSI, GPR_R8, GPR_R9, GPR_R10, GPR_R11,
       GPR_RDX, GPR_R12, GPR_R13, GPR_R14, GPR_R15, GPR_RBP, GPR_RSP,
       XMM_0 = REG_FLOAT }; /* XMM_0 + n */

extern const struct arch arch_x86_64;

#endif
