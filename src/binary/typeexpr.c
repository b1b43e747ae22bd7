/*
 * Types written in Go syntax, looked up or composed in a binary, and the names of composites.
 *
 * All of the specification's Type, with two liberties: a Name may be written with its full import path, and "*T" and
 * "func(T)" may name types that nothing describes, because a pointer and a func value are one word whatever they lead
 * to. A Name is looked up as a type parameter, then in the binary as it stands (full import path), in the package the
 * type is written in, as a builtin, as package-name.Name when only one package fits, and last among the types that
 * were declared, with the question or by packs (struct declared_type).
 */
#include "binary/typeexpr.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* ---- names ---- */

const char *tx_take_name(struct binary *b, struct buf *s)
{
	const char *name = arena_strndup(&b->arena, s->data, MIN(s->len, NAME_MAX_LEN));

	buf_done(s);
	return name;
}

const char *type_composite_name(struct binary *b, enum type_kind kind, const struct type *elem,
				const struct type *key, uint64_t extra)
{
	static const char *const chans[] = {"chan ", "<-chan ", "chan<- ", "chan "};
	bool nested =
		extra == 3 && kind == KIND_CHAN && elem->kind == KIND_CHAN && elem->name[0] == '<';
	struct buf s = {0};

	if (kind == KIND_POINTER)
		buf_char(&s, '*');
	else if (kind == KIND_SLICE)
		buf_str(&s, "[]");
	else if (kind == KIND_ARRAY)
		buf_printf(&s, "[%" PRIu64 "]", extra);
	else if (kind == KIND_CHAN)
		buf_str(&s, chans[extra & 3]);
	else if (kind == KIND_MAP)
		buf_printf(&s, "map[%s]", key->name);
	buf_printf(&s, nested ? "(%s)" : "%s", elem->name);
	return tx_take_name(b, &s);
}

static void print_types(struct buf *s, const struct type *const *types, size_t n, bool variadic)
{
	for (size_t i = 0; i < n; i++) {
		const char *name = types[i]->name;
		bool dots = variadic && i == n - 1 && !strncmp(name, "[]", 2);

		buf_printf(s, "%s%s%s", i ? ", " : "", dots ? "..." : "", dots ? name + 2 : name);
	}
}

const char *type_func_name(struct binary *b, const struct type_full *f)
{
	struct buf s = {0};

	buf_str(&s, "func(");
	print_types(&s, f->params, f->nparams, f->variadic);
	buf_str(&s, ")");
	if (f->nresults)
		buf_str(&s, f->nresults > 1 ? " (" : " ");
	print_types(&s, f->results, f->nresults, false);
	if (f->nresults > 1)
		buf_str(&s, ")");
	return tx_take_name(b, &s);
}

/* ---- composites ---- */

static const struct type *parse_pointer(struct type_parser *p)
{
	const char *unknown;
	const struct type *elem = tx_maybe_unknown(p, &unknown);

	if (elem)
		return elem->kind || p->pending ? binary_type_pointer_to(p->b, elem)
						: type_compose(p->b, KIND_POINTER, NULL, NULL, 0, "*unknown");
	if (!unknown || p->failed)
		return NULL;
	return type_compose(p->b, KIND_POINTER, NULL, NULL, 0,
			    arena_printf(&p->b->arena, "*%s", unknown));
}

/* Of which no size is needed. */
static const struct type *tx_behind(struct type_parser *p)
{
	const struct type *t;

	p->indirect++;
	t = tx_type(p);
	p->indirect--;
	return t;
}

static const struct type *parse_array(struct type_parser *p)
{
	const struct type *elem;
	int64_t len;

	if (tx_accept(p, "]")) {
		elem = tx_behind(p);
		return elem ? type_compose(p->b, KIND_SLICE, elem, NULL, 0, NULL) : NULL;
	}
	if (!tx_constant_expr(p, 0, &len))
		return NULL;
	if (len > UINT32_MAX)
		return tx_fail(p, "a smaller array length");
	if (!tx_accept(p, "]"))
		return tx_fail(p, "\"]\"");
	elem = tx_sized(p);
	if (elem && elem->size > (1ull << 40) / (uint64_t)MAX(len, 1))
		return tx_fail(p, "a smaller array");
	return elem ? type_compose(p->b, KIND_ARRAY, elem, NULL, (uint64_t)len, NULL) : NULL;
}

static const struct type *parse_map(struct type_parser *p)
{
	const struct type *key, *elem;

	if (!tx_accept(p, "["))
		return tx_fail(p, "\"[\"");
	key = tx_behind(p);
	if (!key)
		return NULL;
	if (key->kind == KIND_SLICE || key->kind == KIND_MAP || key->kind == KIND_FUNC)
		return tx_fail_as(p, "a map's key cannot be a slice, a map or a func,");
	if (!tx_accept(p, "]"))
		return tx_fail(p, "\"]\"");
	elem = tx_behind(p);
	return elem ? type_compose(p->b, KIND_MAP, elem, key, 0, NULL) : NULL;
}

static const struct type *parse_chan(struct type_parser *p, unsigned dir)
{
	const struct type *elem;

	if (dir == 3 && tx_accept(p, "<-"))
		dir = 2;
	elem = tx_behind(p);
	return elem ? type_compose(p->b, KIND_CHAN, elem, NULL, dir, NULL) : NULL;
}

/* ---- any type ---- */

static const struct type *parse_one(struct type_parser *p)
{
	const struct type *t;

	if (tx_accept(p, "*"))
		return parse_pointer(p);
	if (tx_accept(p, "[..."))
		return tx_fail_as(p, "the length of an array type is written as a number,");
	if (tx_accept(p, "["))
		return parse_array(p);
	if (tx_accept(p, "<-"))
		return tx_accept_word(p, "chan") ? parse_chan(p, 1) : tx_fail(p, "\"chan\"");
	if (tx_accept_word(p, "chan"))
		return parse_chan(p, 3);
	if (tx_accept_word(p, "map"))
		return parse_map(p);
	if (tx_accept_word(p, "func"))
		return tx_signature(p);
	if (tx_accept_word(p, "struct"))
		return tx_struct(p);
	if (tx_accept_word(p, "interface"))
		return tx_interface(p);
	if (!tx_accept(p, "("))
		return tx_name(p);
	t = tx_type(p);
	return !t || tx_accept(p, ")") ? t : tx_fail(p, "\")\"");
}

const struct type *tx_type(struct type_parser *p)
{
	const struct type *t;

	if (++p->nest > NEST_MAX)
		return tx_fail(p, "less nesting");
	t = parse_one(p);
	p->nest--;
	return t;
}

const struct type *binary_type_parse_in(struct binary *b, const char *pkg, const struct type_scope *scope,
					const char *go_syntax, struct err *err)
{
	struct err local = {0};
	struct type_parser p = {.b = b, .scope = scope, .package = pkg ? pkg : "", .text = go_syntax, .p = go_syntax,
				.err = &local};
	const struct type *t = tx_sized(&p);

	tx_skip_space(&p);
	if (t && *p.p)
		t = tx_fail(&p, "the end of the type");
	if (!t && err)
		*err = local;
	return t;
}

const struct type *binary_type_parse(struct binary *b, const char *pkg, const char *go_syntax, struct err *err)
{
	return binary_type_parse_in(b, pkg, NULL, go_syntax, err);
}

int type_syntax_check(const char *go_syntax, size_t *ret_at, struct err *err)
{
	struct binary b = {0}; /* without any type */
	struct err local = {0};
	struct type_parser p = {.b = &b, .package = "", .text = go_syntax, .p = go_syntax, .err = &local,
				.syntax_only = true};
	const struct type *t = tx_type(&p);

	tx_skip_space(&p);
	if (t && *p.p)
		t = tx_fail(&p, "the end of the type");
	type_index_free(b.index);
	strmap_done(&b.named);
	map_done(&b.types);
	arena_done(&b.arena);
	if (t)
		return 0;
	*ret_at = p.failed_at;
	return err_set(err, -EINVAL, "%s", local.text);
}
