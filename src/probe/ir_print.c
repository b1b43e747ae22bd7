/* A capture program as text. */
#include "base/macro.h"
#include "probe/ir_ops.h"

static void print_offset(int64_t offset, struct buf *out)
{
	if (offset)
		buf_printf(out, "%+lld", (long long)offset);
}

static void print_value(const struct capture_program *p, const struct ir_insn *i, struct buf *out)
{
	const struct arch *arch = capture_arch(p);

	switch (i->op) {
	case IR_CONST:
		buf_printf(out, "%lld", (long long)i->imm);
		break;
	case IR_ARG_REG:
		buf_str(out, i->reg < arch->nregisters ? arch->registers[i->reg] : "?");
		break;
	case IR_ARG_FLOAT:
		buf_printf(out, "%s%u", arch->float_name, i->reg);
		break;
	case IR_ARG_STACK:
		buf_str(out, "[sp");
		print_offset(i->imm, out);
		buf_char(out, ']');
		break;
	case IR_LOAD:
		buf_printf(out, "[r%u", i->a);
		print_offset(i->imm, out);
		buf_char(out, ']');
		break;
	case IR_ADDR:
		buf_printf(out, "r%u", i->a);
		print_offset(i->imm, out);
		break;
	case IR_INDEX:
		buf_printf(out, "r%u + r%u*%lld below r%u", i->a, i->b, (long long)i->imm, i->c);
		break;
	case IR_TYPE:
		buf_printf(out, "type 0x%llx", (long long)i->imm);
		break;
	case IR_MAP_STR:
		buf_printf(out, "r%u[\"%s\"]", i->a, i->str);
		break;
	case IR_ANY_KEY:
		buf_printf(out, "any_key(r%u, \"%s\")", i->a, i->str);
		break;
	case IR_ANY_STR:
		buf_printf(out, "any_str(r%u, r%u of %u bytes, \"%s\")", i->a, i->b, i->at, i->str);
		break;
	case IR_INJECT:
	case IR_LEND:
		buf_printf(out, "%s %s by r%u…", ir_ops[i->op].name, inject_form_names[i->imm], i->a);
		break;
	case IR_SITE:
		buf_str(out, "site");
		print_offset(i->imm, out);
		break;
	case IR_SP:
		buf_str(out, "sp");
		print_offset(i->imm, out);
		break;
	case IR_MAP_KEY:
		buf_printf(out, "r%u[%zu parts from r%u]", i->a, i->key->n, i->b);
		break;
	case IR_MEM_ORDER:
		buf_printf(out, "mem_order(r%u, r%u, r%u bytes)", i->a, i->b, i->c);
		break;
	case IR_BIN:
		buf_printf(out, "r%u %s r%u", i->a, i->bin < IR_BINS ? ir_bins[i->bin] : "?", i->b);
		break;
	case IR_NOT:
		buf_printf(out, "!r%u", i->a);
		break;
	case IR_MOVE:
		buf_printf(out, "r%u", i->a);
		break;
	case IR_MARK_WORD:
		buf_printf(out, "mark word %lld", (long long)i->imm);
		break;
	case IR_SAVED:
		buf_printf(out, "saved %lld", (long long)i->imm);
		break;
	case IR_STR_EQ:
	case IR_STR_PREFIX:
	case IR_STR_SUFFIX:
	case IR_STR_CONTAINS:
	case IR_STR_ORDER:
		buf_printf(out, "%s(r%u:r%u, \"%s\")", ir_ops[i->op].name, i->a, i->b, i->str);
		break;
	default:
		buf_str(out, ir_ops[i->op].name);
		break;
	}
	if (ir_ops[i->op].uses & SIZED)
		buf_printf(out, " %c%u", i->flags & IR_SIGNED ? 'i' : 'u', i->size * 8u);
}

static void print_region(const struct capture_program *p, const struct ir_insn *i, struct buf *out)
{
	if (i->slot == IR_SLOT_FILTER)
		buf_str(out, "filter {");
	else if (i->slot == IR_SLOT_MARK)
		buf_str(out, "mark {");
	else
		buf_printf(out, "slot %u %s {", i->slot,
			   i->slot < p->nslots && p->slots[i->slot].name ? p->slots[i->slot].name : "?");
}

static void print_image(const struct ir_insn *i, struct buf *out)
{
	if (i->op == IR_IMAGE_PUT) {
		buf_printf(out, "image[%lld:] = r%u u%u", (long long)i->imm, i->a, i->size * 8u);
	} else if (i->op == IR_IMAGE_COPY) {
		buf_printf(out, "image[%u:] = [r%u] %lld bytes", i->at, i->a, (long long)i->imm);
	} else if (i->op == IR_IMAGE_TYPE) {
		buf_printf(out, "image of type [r%u + %lld]", i->a, (long long)i->imm);
	} else {
		buf_printf(out, "image %lld bytes shape %u", (long long)i->imm, i->shape);
		if (i->a != IR_NO_REG)
			buf_printf(out, " at r%u", i->a);
	}
}

static const char *const mark_kinds[MARK_KIND_COUNT] = {"context", "key", "carrier"};

static void print_flags(const struct ir_insn *i, struct buf *out)
{
	static const struct {
		unsigned flag;
		const char *name;
	} names[] = {{IR_MARK_ONLY, "only"}, {IR_MARK_CHILD, "child"}, {IR_MARK_BY_RATIO, "by ratio"},
		     {IR_MARK_UNLESS_KEYED, "unless keyed"}, {IR_MARK_COUNT, "count"}};

	for (size_t k = 0; k < ARRAY_SIZE(names); k++)
		if (i->flags & names[k].flag)
			buf_printf(out, ", %s", names[k].name);
}

static void print_mark(const struct ir_insn *i, struct buf *out)
{
	static const char *const which[] = {"around", "of group", "of call"};
	unsigned uses = ir_ops[i->op].uses;
	const uint16_t registers[] = {i->a, i->b, i->c};

	buf_str(out, ir_ops[i->op].name);
	for (unsigned k = 0; k < 3; k++)
		if (uses & USES_A << k || (i->op == IR_MARK_BEGIN && i->a != IR_NO_REG))
			buf_printf(out, " r%u", registers[k]);
	if ((i->op == IR_MARK_FIND || i->op == IR_MARK_PUT) && (uint64_t)i->imm < MARK_KIND_COUNT)
		buf_printf(out, " %s", mark_kinds[i->imm]);
	else if (i->op == IR_MARK_GOROUTINE && (uint64_t)i->imm < ARRAY_SIZE(which))
		buf_printf(out, " %s", which[i->imm]);
	else if (i->imm)
		buf_printf(out, " %lld", (long long)i->imm);
	if (i->group)
		buf_printf(out, " group %u", i->group);
	if (i->call)
		buf_printf(out, " call %u", i->call);
	print_flags(i, out);
}

static void print_action(const struct capture_program *p, const struct ir_insn *i, struct buf *out)
{
	switch (i->op) {
	case IR_JUMP:
		buf_printf(out, "jump L%u", i->label);
		break;
	case IR_JUMP_IF0:
		buf_printf(out, "if !r%u jump L%u", i->a, i->label);
		break;
	case IR_LABEL:
		buf_printf(out, "L%u:", i->label);
		break;
	case IR_REUSE:
		buf_printf(out, "reuse while r%u", i->a);
		break;
	case IR_REQUIRE:
		buf_printf(out, "require r%u else %lld", i->a, (long long)i->imm);
		break;
	case IR_REGION:
		print_region(p, i, out);
		break;
	case IR_END:
		buf_char(out, '}');
		break;
	case IR_EMIT_STR:
		buf_printf(out, "emit r%u:r%u up to %lld", i->a, i->b, (long long)i->imm);
		break;
	case IR_EMIT_STACK:
		buf_printf(out, "emit_stack up to %lld", (long long)i->imm);
		break;
	case IR_EMIT_CHAIN:
		buf_printf(out, "emit_chain of type r%u at r%u up to %lld", i->a, i->b, (long long)i->imm);
		break;
	case IR_IMAGE:
	case IR_IMAGE_PUT:
	case IR_IMAGE_COPY:
	case IR_IMAGE_TYPE:
		print_image(i, out);
		break;
	case IR_EMIT_MARK:
		print_mark(i, out);
		break;
	case IR_SAVE:
		buf_printf(out, "save r%u as %lld", i->a, (long long)i->imm);
		break;
	case IR_GOROUTINE:
		buf_printf(out, "goroutine r%u", i->a);
		if (i->b != IR_NO_REG)
			buf_printf(out, " sp r%u", i->b);
		break;
	default:
		if (ir_is_mark(i))
			print_mark(i, out);
		else
			buf_printf(out, "%s r%u", ir_ops[i->op].name, i->a);
		break;
	}
}

static void print_role(const struct capture_program *p, struct buf *out)
{
	static const char *const names[] = {"point", "entry", "return", "unwind", "exit"};

	if (p->role == PROGRAM_POINT || p->role >= ARRAY_SIZE(names))
		return;
	buf_str(out, names[p->role]);
	if (p->call_group)
		buf_printf(out, " of group %u", p->call_group);
	buf_char(out, '\n');
}

void capture_print(const struct capture_program *p, struct buf *out)
{
	bool inside = false;

	print_role(p, out);

	for (size_t n = 0; n < p->ninsns; n++) {
		const struct ir_insn *i = &p->insns[n];

		inside &= i->op != IR_END;
		buf_str(out, inside ? "\t" : "");
		if (i->op >= IR_OPS) {
			buf_printf(out, "? %u", i->op);
		} else if (ir_ops[i->op].uses & SETS_DST) {
			buf_printf(out, "r%u = ", i->dst);
			print_value(p, i, out);
		} else {
			print_action(p, i, out);
		}
		buf_char(out, '\n');
		inside |= i->op == IR_REGION;
	}
}
