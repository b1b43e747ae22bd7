/*
 * Asking for the caller by name. Names are in the binary, addresses in the probe: the functions whose names fit are
 * found beforehand, and the probe tells whether the return address lies in one of them. Functions that lie side by side
 * make one range, so that a whole package is a few.
 */
#include "probe/lower/compiler.h"

#include <string.h>

enum { MAX_RANGES = 256 };

struct range {
	uint64_t low, high;
};

/* As it is shown, and as people write it. */
static bool fits(struct compiler *c, const char *name, const struct value *text,
		 bool (*test)(const char *, const char *, size_t))
{
	return test(name, text->text, text->len);
}

bool name_equals(const char *name, const char *text, size_t len)
{
	return strlen(name) == len && !memcmp(name, text, len);
}

static size_t find_ranges(struct compiler *c, const struct value *text,
			  bool (*test)(const char *, const char *, size_t), struct range *out)
{
	size_t n = 0, count = binary_func_count(c->binary);
	bool before = false;
	struct func f;

	for (size_t i = 0; i < count; i++) {
		bool hit = binary_func(c->binary, i, &f) && fits(c, f.name, text, test);

		if (hit && before && out)
			out[n - 1].high = f.end;
		else if (hit && !before && out)
			out[n] = (struct range){f.entry, f.end};
		n += hit && !before;
		before = hit;
	}
	return n;
}

/* dst = whether pc, an address of the image, lies in one of the n ranges, which are in order. */
static void search(struct compiler *c, uint16_t pc, const struct range *r, size_t n, uint16_t dst)
{
	uint16_t before = c->next_reg, other, end;

	if (n == 1) {
		uint16_t in = emit_bin(c, BIN_SUB, pc, emit_const(c, (int64_t)r->low));

		emit_bin_to(c, dst, BIN_ULT, in, emit_const(c, (int64_t)(r->high - r->low)));
		c->next_reg = before;
		return;
	}
	other = label_new(c);
	end = label_new(c);
	emit_jump_if0(c, emit_bin(c, BIN_ULT, pc, emit_const(c, (int64_t)r[n / 2].low)), other);
	c->next_reg = before;
	search(c, pc, r, n / 2, dst);
	ir_emit_jump(c, end);
	ir_emit_label(c, other);
	search(c, pc, r + n / 2, n - n / 2, dst);
	ir_emit_label(c, end);
}

int compare_caller(struct compiler *c, const struct expr *e, const struct value *caller, const struct value *text,
		   bool (*test)(const char *, const char *, size_t), uint16_t dst)
{
	struct range *ranges;
	uint16_t pc, bias;
	size_t n;
	int r;

	if (text->place != PLACE_CONST || text->constant != EXPR_STRING)
		return fail(c, e, "a caller is compared with the name of a function: caller == \"main.handle\"");
	n = find_ranges(c, text, test, NULL);
	if (!n)
		return fail(c, e, "no function of %s has such a name; names look like main.SetInfo, "
				  "net/http.(*conn).serve",
			    binary_name(c->binary));
	if (n > MAX_RANGES)
		return fail(c, e, "such names have functions at %zu places of the program, %d are possible", n,
			    MAX_RANGES);
	ranges = arena_array(c->arena, struct range, n);
	find_ranges(c, text, test, ranges);
	r = value_scalar(c, caller, &pc);
	if (r)
		return r;
	bias = reg_new(c);
	emit(c, IR_TYPE)->dst = bias; /* of address 0 */
	/* the call may be a function's last instruction: the return address then lies behind it */
	pc = emit_bin(c, BIN_SUB, emit_bin(c, BIN_SUB, pc, bias), emit_const(c, 1));
	search(c, pc, ranges, n, dst);
	return 0;
}
