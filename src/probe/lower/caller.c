/*
 * Asking for the caller by name. Names are in the binary, addresses in the probe: the functions whose names fit are
 * found beforehand, and the probe tells whether the return address lies in one of them. Functions that lie side by side
 * make one range, so that a whole package is a few.
 */
#include "probe/lower/lowerer.h"

#include <string.h>

enum { MAX_RANGES = 256 };

struct range {
	uint64_t low, high;
};

/* As it is shown, and as people write it. */
static bool fits(struct lowerer *l, const char *name, const struct constant *text,
		 bool (*test)(const char *, const char *, size_t))
{
	return test(name, text->text, text->len);
}

bool name_equals(const char *name, const char *text, size_t len)
{
	return strlen(name) == len && !memcmp(name, text, len);
}

static size_t find_ranges(struct lowerer *l, const struct constant *text,
			  bool (*test)(const char *, const char *, size_t), struct range *out)
{
	size_t n = 0, count = binary_func_count(l->binary);
	bool before = false;
	struct func f;

	for (size_t i = 0; i < count; i++) {
		bool hit = binary_func(l->binary, i, &f) && fits(l, f.name, text, test);

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
static void search(struct lowerer *l, uint16_t pc, const struct range *r, size_t n, uint16_t dst)
{
	uint16_t before = l->next_reg, other, end;

	if (n == 1) {
		uint16_t in = emit_bin(l, BIN_SUB, pc, emit_const(l, (int64_t)r->low));

		emit_bin_to(l, dst, BIN_ULT, in, emit_const(l, (int64_t)(r->high - r->low)));
		l->next_reg = before;
		return;
	}
	other = label_new(l);
	end = label_new(l);
	emit_jump_if0(l, emit_bin(l, BIN_ULT, pc, emit_const(l, (int64_t)r[n / 2].low)), other);
	l->next_reg = before;
	search(l, pc, r, n / 2, dst);
	ir_emit_jump(l, end);
	ir_emit_label(l, other);
	search(l, pc, r + n / 2, n - n / 2, dst);
	ir_emit_label(l, end);
}

int compare_caller(struct lowerer *l, const struct expr *e, const struct value *caller, const struct constant *text,
		   bool (*test)(const char *, const char *, size_t), uint16_t dst)
{
	struct range *ranges;
	uint16_t pc, bias;
	size_t n;
	int r;

	n = find_ranges(l, text, test, NULL);
	/* As for types: a question is told so. A pack is made for all programs of a library. */
	if (!n && !l->program->traced) {
		emit_const_to(l, dst, 0);
		return 0;
	}
	if (!n)
		return lower_fail(l, e, "no function of %s has such a name; names look like main.SetInfo, "
				  "net/http.(*conn).serve",
			    binary_name(l->binary));
	if (n > MAX_RANGES)
		return lower_fail(l, e, "such names have functions at %zu places of the program, %d are possible", n,
			    MAX_RANGES);
	ranges = arena_array(l->arena, struct range, n);
	find_ranges(l, text, test, ranges);
	r = value_scalar(l, caller, &pc);
	if (r)
		return r;
	bias = emit_type(l, 0);
	/* the call may be a function's last instruction: the return address then lies behind it */
	pc = emit_bin(l, BIN_SUB, emit_bin(l, BIN_SUB, pc, bias), emit_const(l, 1));
	search(l, pc, ranges, n, dst);
	return 0;
}
