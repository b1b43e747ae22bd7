/* What the verifier and the printer of capture programs share: the instructions and operators, as tables (ir.c). */
#ifndef PROBE_IR_OPS_H
#define PROBE_IR_OPS_H

#include "probe/ir.h"

/* SIZED: has a size. TEXT: has a text. ANYWHERE: may stand between regions. */
enum { USES_A = 1, USES_B = 2, USES_C = 4, SETS_DST = 8, SIZED = 16, TEXT = 32, ANYWHERE = 64 };

struct ir_op_info {
	const char *name;
	unsigned uses;
};
enum { IR_OPS = IR_GOROUTINE + 1, IR_BINS = BIN_MOD + 1 };
extern const struct ir_op_info ir_ops[IR_OPS]; /* by enum ir_op */
extern const char *const inject_form_names[INJECT_ALL_FORMS];
extern const char *const ir_bins[IR_BINS];     /* by enum ir_bin */

#endif
