/*
 * From what a user wrote to functions. Names are compared as they read: pclntab's %2e is a dot, what the compiler puts
 * before type arguments ("go.shape.") is left out, and so are the arguments themselves where the user wrote none:
 * "main.Map" means every "main.Map[…]". A name that is no glob may leave out its package ("Cart.Add", "SetInfo"): then
 * all functions that end so are found, and it is the caller's to say that this is ambiguous.
 */
#include <errno.h>
#include <string.h>

#include "base/map.h"
#include "probe/plan/call_plan_internal.h"
#include "probe/lang/nearest.h"

#define MAX_OFFERED 6
#define SHORTEST_TYPO 5 /* shorter names resemble too many others */
#define MAX_NAME 1024 /* of a name that is compared; longer ones are cut, for all of a kind alike */

/* ---- names as they read ---- */

enum name_form {
	NAME_READABLE = 0,
	NAME_NO_ARGS = 1,  /* without [type arguments] */
	NAME_NO_STARS = 2, /* "Cart.Add" for "(*Cart).Add" */
};

static const char shape_prefix[] = "go.shape.";

/* How much of s is left out, 0 for nothing. */
static size_t left_out(const char *s, unsigned form)
{
	size_t n = 0, depth = 0;

	if (*s == shape_prefix[0] && !strncmp(s, shape_prefix, strlen(shape_prefix)))
		return strlen(shape_prefix);
	if ((form & NAME_NO_STARS) && (!strncmp(s, "(*", 2) || *s == ')'))
		return *s == '(' ? 2 : 1;
	if (!(form & NAME_NO_ARGS) || *s != '[')
		return 0;
	do {
		depth += s[n] == '[';
		depth -= s[n] == ']';
		n++;
	} while (depth && s[n]);
	return n;
}

/* Writes name into out; returns it. */
static const char *write_name(const char *name, unsigned form, char out[MAX_NAME])
{
	size_t n = 0;

	while (*name && n + 1 < MAX_NAME) {
		size_t skip = left_out(name, form);

		if (skip) {
			name += skip;
		} else if (*name == '%' && !strncmp(name, "%2e", 3)) {
			out[n++] = '.';
			name += 3;
		} else {
			out[n++] = *name++;
		}
	}
	out[n] = '\0';
	return out;
}

static const char *name_in_form(struct arena *arena, const char *name, unsigned form)
{
	char out[MAX_NAME];

	return arena_strdup(arena, write_name(name, form, out));
}

const char *name_readable(struct arena *arena, const char *name)
{
	return name_in_form(arena, name, NAME_READABLE);
}

const char *name_as_go(struct arena *arena, const char *name)
{
	char *out = arena_alloc(arena, 5 * strlen(name) + 1), *w = out;

	while (*name) {
		size_t args = *name == '[' ? left_out(name, NAME_NO_ARGS) : 0;

		if (!args) {
			*w++ = *name++;
			continue;
		}
		w = stpcpy(w, "[...]");
		name += args;
	}
	return out;
}

static const char *plain(struct arena *arena, const char *name)
{
	return name_in_form(arena, name, NAME_NO_ARGS | NAME_NO_STARS);
}

/* ---- comparing ---- */

/* The star of a receiver is no wildcard. */
static bool is_wild(const char *pattern, const char *p)
{
	return *p == '?' || (*p == '*' && (p == pattern || p[-1] != '(') && (p == pattern || p[-1] != '['));
}

bool name_is_glob(const char *pattern)
{
	for (const char *p = pattern; *p; p++)
		if (is_wild(pattern, p))
			return true;
	return false;
}

/* Backtracks to the last star only: linear in practice, quadratic at worst. */
static bool glob_matches(const char *pattern, const char *name)
{
	const char *p = pattern, *star = NULL, *resume = NULL;

	for (;;) {
		if (*p == '*' && is_wild(pattern, p)) {
			star = ++p;
			resume = name;
		} else if (*name && (*p == *name || (*p == '?'))) {
			p++;
			name++;
		} else if (!*name && !*p) {
			return true;
		} else if (star && *resume) {
			name = ++resume;
			p = star;
		} else {
			return false;
		}
	}
}

static bool ends_like(const char *name, const char *tail)
{
	size_t n = strlen(name), t = strlen(tail);

	return n > t && !strcmp(name + n - t, tail) && strchr("./", name[n - t - 1]);
}

/* What is looked for, in the forms in which names are compared with it. */
struct wanted {
	enum { MATCH_WHOLE, MATCH_GLOB, MATCH_SUFFIX } how;
	const char *text;
	unsigned form;
	char buffer[MAX_NAME];
};

static void wanted_init(struct wanted *w, const char *pattern)
{
	const char *bracket = strchr(pattern, '[');
	bool args = bracket && strncmp(bracket, "[...]", 5);

	w->how = name_is_glob(pattern) ? MATCH_GLOB : MATCH_WHOLE;
	w->form = args ? NAME_READABLE : NAME_NO_ARGS;
	w->text = write_name(pattern, w->form, w->buffer);
}

/* A name without (a part of) its package. Where the receiver's star is written it counts. */
static void wanted_suffix(struct wanted *w, const char *pattern)
{
	w->how = MATCH_SUFFIX;
	if (!strchr(pattern, '('))
		w->form |= NAME_NO_STARS;
	w->text = write_name(pattern, w->form, w->buffer);
}

static bool name_fits(const struct wanted *w, const char *have)
{
	char name[MAX_NAME];

	write_name(have, w->form, name);
	return w->how == MATCH_WHOLE ? !strcmp(name, w->text)
	       : w->how == MATCH_GLOB ? glob_matches(w->text, name)
				      : ends_like(name, w->text);
}

bool name_matches(const char *pattern, const char *name)
{
	struct wanted w;

	wanted_init(&w, pattern);
	return name_fits(&w, name);
}

/* What `earshot build` has put in beside the program's own functions. */
static bool is_woven_in(const char *name)
{
	return strstr(name, ".earshot_");
}

/* Wrappers call what they wrap: with a glob both would count each call twice. */
static bool matches(const struct wanted *w, const struct func *f)
{
	unsigned unwanted = w->how == MATCH_WHOLE ? 0 : w->how == MATCH_GLOB ? FUNC_WRAPPER : FUNC_NO_FUNCDATA;

	return !(f->flags & unwanted) && !(w->how == MATCH_GLOB && is_woven_in(f->name)) && name_fits(w, f->name);
}

/* Of a pair that shares a name, which is the body in Go's own calling convention: as binary_func_find_all has it. */
static int rank(const struct func *f)
{
	return f->flags & FUNC_ASM ? 0 : f->flags & FUNC_WRAPPER ? 1 : 2;
}

typedef VEC(uint32_t) indexes;

/*
 * Where functions of a name differ in rank, the better ones stay; generic instances have the same. Asked for by the end
 * of its name, (*T).M that only wraps T.M is no other method.
 */
static void drop_lesser(struct binary *b, const struct wanted *w, indexes *found)
{
	unsigned form = w->how == MATCH_SUFFIX ? NAME_NO_ARGS | NAME_NO_STARS : NAME_READABLE;
	struct strmap best = {0};
	struct arena arena = {0};
	size_t n = 0;

	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < found->len; i++) {
			const char *name;
			struct func f;
			uintptr_t have;

			binary_func(b, found->data[i], &f);
			name = name_in_form(&arena, f.name, form);
			have = (uintptr_t)strmap_get(&best, name, strlen(name));
			if (!pass && (uintptr_t)rank(&f) + 1 > have)
				strmap_set(&best, name, strlen(name), (void *)(uintptr_t)(rank(&f) + 1));
			else if (pass && (uintptr_t)rank(&f) + 1 == have)
				found->data[n++] = found->data[i];
		}
	found->len = n;
	strmap_done(&best);
	arena_done(&arena);
}

static void look_up(struct binary *b, const struct wanted *w, indexes *found)
{
	size_t n = binary_func_count(b);

	for (size_t i = 0; i < n; i++) {
		struct func f;

		if (binary_func(b, i, &f) && matches(w, &f))
			vec_push(found, (uint32_t)i);
	}
	drop_lesser(b, w, found);
}

int functions_match(struct binary *b, const char *pattern, struct arena *arena, uint32_t **ret, size_t *ret_n)
{
	indexes found = {0};
	struct wanted w;

	wanted_init(&w, pattern);
	look_up(b, &w, &found);
	if (!found.len && w.how == MATCH_WHOLE) {
		wanted_suffix(&w, pattern);
		look_up(b, &w, &found);
	}
	*ret_n = found.len;
	*ret = arena_memdup(arena, found.data, found.len * sizeof(*found.data));
	vec_done(&found);
	return 0;
}

/* ---- inlined functions ---- */

typedef VEC(const char *) name_list;

static void look_up_inlined(struct binary *b, const struct wanted *w, name_list *found)
{
	struct strmap seen = {0};
	const char *name;
	size_t pos = 0;

	while (binary_inlined_next(b, &pos, &name)) {
		if (!name_fits(w, name) || (w->how == MATCH_GLOB && is_woven_in(name)) ||
		    strmap_get(&seen, name, strlen(name)))
			continue;
		strmap_set(&seen, name, strlen(name), (void *)name);
		vec_push(found, name);
	}
	strmap_done(&seen);
}

void inlined_match(struct binary *b, const char *pattern, struct arena *arena, const char *const **ret, size_t *ret_n)
{
	name_list found = {0};
	struct wanted w;

	wanted_init(&w, pattern);
	look_up_inlined(b, &w, &found);
	if (!found.len && w.how == MATCH_WHOLE) {
		wanted_suffix(&w, pattern);
		look_up_inlined(b, &w, &found);
	}
	*ret_n = found.len;
	*ret = arena_memdup(arena, found.data, found.len * sizeof(*found.data));
	vec_done(&found);
}

bool match_differs(const char *const *list, size_t n)
{
	char first[MAX_NAME], name[MAX_NAME];

	for (size_t i = 0; i < n; i++) {
		write_name(list[i], NAME_NO_ARGS, i ? name : first);
		if (i && strcmp(first, name))
			return true;
	}
	return false;
}

/* ---- messages ---- */

struct offer {
	const char *names[MAX_OFFERED];
	size_t n, all;
};

static void offer(struct offer *o, const char *name)
{
	for (size_t i = 0; i < o->n; i++)
		if (!strcmp(o->names[i], name))
			return;
	o->all++;
	if (o->n < MAX_OFFERED)
		o->names[o->n++] = name;
}

static bool is_main(const char *name)
{
	return !strncmp(name, "main.", 5);
}

static void print_offer(const struct offer *o, struct buf *out)
{
	for (size_t i = 0; i < o->n; i++)
		buf_printf(out, "%s%s", !i ? "" : i + 1 == o->n && o->all == o->n ? " or " : ", ", o->names[i]);
	if (o->all > o->n)
		buf_printf(out, " … (%zu in all)", o->all);
}

int match_ambiguous(struct binary *b, const struct question *q, const char *const *list, size_t n, struct err *err)
{
	struct buf text = {0};
	struct offer o = {0};
	int r;

	for (int others = 0; others < 2; others++)
		for (size_t i = 0; i < n; i++)
			if (is_main(list[i]) != others)
				offer(&o, name_readable(binary_arena(b), list[i]));
	print_offer(&o, &text);
	r = err_set(err, -EINVAL, "%s is ambiguous: %.400s; write one of them, or *%s for all", q->pattern, text.data,
		    q->pattern);
	buf_done(&text);
	return r;
}

/* Behind the last dot: "Add" of "main.(*Cart).Add". */
static const char *last_element(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && dot[1] ? dot + 1 : name;
}

/* Readable, plain names of all functions but closures and wrappers. */
static const char **all_names(struct binary *b, struct arena *arena, size_t *ret_n)
{
	size_t n = binary_func_count(b), k = 0;
	const char **names = arena_array(arena, const char *, n + 1);

	for (size_t i = 0; i < n; i++) {
		struct func f;

		if (binary_func(b, i, &f) && !(f.flags & (FUNC_WRAPPER | FUNC_NO_FUNCDATA)) &&
		    !strstr(f.name, ".func") && strncmp(f.name, "type:", 5) && strncmp(f.name, "go:", 3))
			names[k++] = name_readable(arena, f.name);
	}
	*ret_n = k;
	return names;
}

/* The same last element in another package or of another type; upper and lower case apart only if there is none. */
static void offer_elsewhere(struct offer *o, struct arena *arena, const char *pattern, const char *const *names,
			    size_t n)
{
	const char *last = last_element(pattern);

	for (int any_case = 0; any_case < 2 && !o->n; any_case++)
		for (int others = 0; others < 2; others++)
			for (size_t i = 0; i < n; i++) {
				const char *have = last_element(plain(arena, names[i]));

				if (is_main(names[i]) != others &&
				    !(any_case ? strcasecmp(have, last) : strcmp(have, last)))
					offer(o, names[i]);
			}
}

static bool same_qualifier(const char *a, const char *b)
{
	size_t n = (size_t)(last_element(a) - a);

	return n == (size_t)(last_element(b) - b) && !strncmp(a, b, n);
}

/* The closest last element: of the same package and type, else of any, where what was written has a package at all. */
static void offer_nearest(struct offer *o, struct arena *arena, const char *pattern, const char *const *names, size_t n)
{
	const char **parts = arena_array(arena, const char *, n + 1), *near = NULL;
	const char *wanted = plain(arena, pattern), *slash = strrchr(wanted, '/');

	for (int same = 1; same >= 0 && !near; same--) {
		if (!same && (last_element(wanted) < slash || strlen(last_element(wanted)) < SHORTEST_TYPO))
			return;
		for (size_t i = 0; i < n; i++) {
			const char *name = plain(arena, names[i]);

			parts[i] = !same || same_qualifier(name, wanted) ? last_element(name) : NULL;
		}
		near = nearest_name(last_element(wanted), parts, n);
	}
	for (size_t i = 0; near && i < n; i++)
		if (parts[i] && !strcasecmp(parts[i], near))
			offer(o, names[i]);
}

int match_nothing(struct binary *b, const struct question *q, struct err *err)
{
	struct arena arena = {0};
	struct buf list = {0};
	struct offer o = {0};
	const char **names;
	size_t n;

	if (q->glob)
		return err_set(err, -ENOENT, "no function of %s matches %s; names look like main.SetInfo, "
					     "net/http.(*conn).serve", binary_name(b), q->pattern);
	names = all_names(b, &arena, &n);
	offer_elsewhere(&o, &arena, q->pattern, names, n);
	if (!o.n || o.all > MAX_OFFERED) {
		struct offer near = {0};

		offer_nearest(&near, &arena, q->pattern, names, n);
		if (near.n)
			o = near;
	}
	print_offer(&o, &list);
	err_set(err, -ENOENT, "%s has no function %s%s%.300s%s%s", binary_name(b), q->pattern,
		o.n ? "; did you mean " : ", and none with a similar name", o.n ? list.data : "", o.n ? "?" : "",
		" (A function that was inlined everywhere may have left no trace in the program)");
	buf_done(&list);
	arena_done(&arena);
	return -ENOENT;
}
