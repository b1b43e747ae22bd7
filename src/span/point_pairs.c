#include "span/point_pairs.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/vec.h"
#include "span/random_word.h"

enum { MAX_OPEN = 65536 }; /* spans, of all processes */

/* ---- names ---- */

static const char *const separators[] = {"__", "-", "_"};
static const struct pair_words {
	const char *start, *ends[3];
	bool nests;
} words[] = {
	{"start", {"done", "end", "stop"}, false},
	{"begin", {"end", "done"}, false},
	{"entry", {"return", "exit"}, true},
};

/* X of X SEPARATOR WORD: its length; 0: the name does not end so. */
static size_t stem_of(const char *name, const char *separator, const char *word)
{
	size_t n = strlen(name), s = strlen(separator), w = strlen(word);

	if (n <= s + w || strcmp(name + n - w, word) || strncmp(name + n - w - s, separator, s))
		return 0;
	return n - w - s;
}

static bool ends_with(const struct pair_words *w, const char *name, const char *separator, size_t *ret_stem)
{
	for (size_t i = 0; i < ARRAY_SIZE(w->ends) && w->ends[i]; i++)
		if ((*ret_stem = stem_of(name, separator, w->ends[i])))
			return true;
	return false;
}

/* ---- what a probe is ---- */

/* Probes that go together. Two are the same where their key is. */
struct role {
	enum { ROLE_ALONE, ROLE_START, ROLE_END } is;
	const char *provider, *key, *span_name; /* "postgresql:query__start"; "postgresql:query" */
	const char *end_word;        /* of an end: what its arguments are called after */
	bool nests;
	int arg;                     /* -1: the thread */
};

struct known {
	const char *provider, *name;
	struct role role;
};

/* A span that has begun; and one that has ended, while it waits for its outer one's end. */
struct open_point {
	const struct role *role;
	uint64_t start_ns, start_unix_ns, duration_ns, tid, depth;
	uint8_t trace_id[16], span_id[8];
	struct open_point *outer;    /* that was around it when it began; it may be gone */
	uint8_t outer_id[8];         /* its span_id */
	struct attr *attrs;
	size_t nattrs;
	const char *name;
	const struct resource *resource;
	struct arena arena;
	VEC(struct open_point *) held; /* ended within it */
	uint64_t ended_ns;
	uint64_t value;              /* of one that goes by an argument, and the next one with its hash */
	struct open_point *next;
};

/* What is open on a thread, innermost last. */
struct point_thread {
	VEC(struct open_point *) open;
};

struct point_pairs {
	struct point_pairs_options o;
	struct arena arena;
	VEC(struct known *) probes;
	bool resolved;               /* roles are those of all probes */
	struct map threads;          /* pid << 32 | tid → struct point_thread */
	struct map by_arg;           /* hash of pid, pair, value → struct open_point */
	struct random_words random;
	size_t nopen;
	uint64_t spans, hits;
	struct losses losses;
};

static bool names_probe(const char *pattern, const struct known *k)
{
	const char *colon = strchr(pattern, ':');

	if (!colon)
		return !strcmp(pattern, k->name);
	return strlen(k->provider) == (size_t)(colon - pattern) &&
	       !strncmp(pattern, k->provider, (size_t)(colon - pattern)) && !strcmp(colon + 1, k->name);
}

static const char *span_name(struct point_pairs *p, const struct known *k, size_t stem)
{
	return arena_printf(&p->arena, "%s:%.*s", k->provider, (int)stem, k->name);
}

/* What of the name stands before the word that says which end it is; all of it where there is none. */
static size_t any_stem(const char *name, const char **ret_word)
{
	for (size_t i = 0; i < ARRAY_SIZE(separators); i++)
		for (size_t w = 0; w < ARRAY_SIZE(words); w++) {
			size_t n = stem_of(name, separators[i], words[w].start);

			if (n || ends_with(&words[w], name, separators[i], &n)) {
				*ret_word = name + n + strlen(separators[i]);
				return n;
			}
		}
	*ret_word = name;
	return strlen(name);
}

static bool role_as_asked(struct point_pairs *p, const struct known *k, struct role *ret)
{
	for (size_t i = 0; i < p->o.npairs; i++) {
		const struct point_pair *a = &p->o.pairs[i];
		bool start = names_probe(a->start, k), end = names_probe(a->end, k);
		const char *word;
		size_t stem = any_stem(k->name, &word);

		if (!start && !end)
			continue;
		*ret = (struct role){.is = start ? ROLE_START : ROLE_END, .arg = a->arg, .end_word = word,
				     .provider = k->provider,
				     .key = arena_printf(&p->arena, "%s:%s", k->provider, a->start),
				     .span_name = span_name(p, k, stem)};
		return true;
	}
	return false;
}

static const struct known *find_known(const struct point_pairs *p, const char *provider, const char *name)
{
	for (size_t i = 0; i < p->probes.len; i++)
		if (!strcmp(p->probes.data[i]->name, name) && !strcmp(p->probes.data[i]->provider, provider))
			return p->probes.data[i];
	return NULL;
}

static bool has_probe(struct point_pairs *p, const struct known *k, size_t stem, const char *separator,
		      const char *word)
{
	_cleanup_(buf_done) struct buf b = {0};

	buf_printf(&b, "%.*s%s%s", (int)stem, k->name, separator, word);
	return find_known(p, k->provider, b.data);
}

static bool has_end(struct point_pairs *p, const struct known *k, size_t stem, const char *separator,
		    const struct pair_words *w)
{
	for (size_t i = 0; i < ARRAY_SIZE(w->ends) && w->ends[i]; i++)
		if (has_probe(p, k, stem, separator, w->ends[i]))
			return true;
	return false;
}

static bool role_by_words(struct point_pairs *p, const struct known *k, const char *separator,
			  const struct pair_words *w, struct role *ret)
{
	size_t stem = stem_of(k->name, separator, w->start);
	bool start = stem && has_end(p, k, stem, separator, w);

	if (!start && !(ends_with(w, k->name, separator, &stem) && has_probe(p, k, stem, separator, w->start)))
		return false;
	*ret = (struct role){
		.is = start ? ROLE_START : ROLE_END, .arg = -1, .nests = w->nests, .provider = k->provider,
		.end_word = k->name + stem + strlen(separator), .span_name = span_name(p, k, stem),
		.key = arena_printf(&p->arena, "%s:%.*s%s%s", k->provider, (int)stem, k->name, separator, w->start)};
	return true;
}

static struct role role_of(struct point_pairs *p, const struct known *k)
{
	struct role r = {.arg = -1};

	if (role_as_asked(p, k, &r))
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(separators); i++)
		for (size_t w = 0; w < ARRAY_SIZE(words); w++)
			if (role_by_words(p, k, separators[i], &words[w], &r))
				return r;
	return r;
}

static const struct known *known_role(struct point_pairs *p, const char *provider, const char *name)
{
	for (size_t i = 0; i < p->probes.len && !p->resolved; i++)
		p->probes.data[i]->role = role_of(p, p->probes.data[i]);
	p->resolved = true;
	return find_known(p, provider, name);
}

bool point_pairs_know(struct point_pairs *p, const char *provider, const char *name)
{
	struct known *k = (struct known *)find_known(p, provider, name);
	struct role asked;

	if (!k) {
		k = arena_new(&p->arena, struct known);
		*k = (struct known){.provider = arena_strdup(&p->arena, provider),
				    .name = arena_strdup(&p->arena, name)};
		vec_push(&p->probes, k);
		p->resolved = false;
	}
	if (role_as_asked(p, k, &asked))
		return asked.is == ROLE_START;
	for (size_t i = 0; i < ARRAY_SIZE(separators); i++)
		for (size_t w = 0; w < ARRAY_SIZE(words); w++)
			if (stem_of(name, separators[i], words[w].start))
				return true;
	return false;
}

/* ---- pairs as they are asked for ---- */

static const char *word_at(struct arena *arena, const char *from, const char *to)
{
	while (from < to && isspace((unsigned char)*from))
		from++;
	while (to > from && isspace((unsigned char)to[-1]))
		to--;
	return arena_strndup(arena, from, (size_t)(to - from));
}

static int parse_by(const char *by, struct point_pair *ret)
{
	char *end;
	unsigned long n;

	ret->arg = -1;
	if (!*by || !strcmp(by, "thread"))
		return 0;
	if (strncmp(by, "arg", 3) || !isdigit((unsigned char)by[3]))
		return -EINVAL;
	n = strtoul(by + 3, &end, 10);
	ret->arg = (int)n;
	return *end || n > 63 ? -EINVAL : 0;
}

int point_pair_parse(const char *text, struct arena *arena, struct point_pair *ret, struct err *err)
{
	const char *comma = strchr(text, ','), *by = strstr(text, " by ");
	const char *end = by ? by : text + strlen(text);
	struct point_pair p = {.arg = -1};

	if (comma && comma < end) {
		p.start = word_at(arena, text, comma);
		p.end = word_at(arena, comma + 1, end);
	}
	if (!p.start || !*p.start || !*p.end || strpbrk(p.start, " \t,") || strpbrk(p.end, " \t,") ||
	    (by && parse_by(word_at(arena, by + 4, by + strlen(by)), &p)))
		return err_set(err, -EINVAL, "--pair is START,END or START,END by argN (or by thread), not \"%s\"",
			       text);
	*ret = p;
	return 0;
}

/* ---- what is open ---- */

struct point_pairs *point_pairs_new(const struct point_pairs_options *o)
{
	struct point_pairs *p = xcalloc(1, sizeof(*p));

	p->o = *o;
	return p;
}

static void open_free(struct point_pairs *p, struct open_point *s)
{
	for (size_t i = 0; i < s->held.len; i++)
		open_free(p, s->held.data[i]);
	vec_done(&s->held);
	p->nopen--;
	arena_done(&s->arena);
	free(s);
}

static void thread_free(struct point_pairs *p, uint64_t key);

void point_pairs_free(struct point_pairs *p)
{
	uint64_t key;
	void *value;

	if (!p)
		return;
	while (p->threads.len) {
		size_t i = 0;

		map_next(&p->threads, &i, &key, &value);
		thread_free(p, key);
	}
	for (size_t i = 0; map_next(&p->by_arg, &i, &key, &value);)
		for (struct open_point *s = value, *next; s; s = next) {
			next = s->next;
			open_free(p, s);
		}
	map_done(&p->by_arg);
	map_done(&p->threads);
	vec_done(&p->probes);
	arena_done(&p->arena);
	free(p);
}

static void random_id(struct point_pairs *p, uint8_t *ret, size_t n)
{
	for (size_t i = 0; i < n; i += sizeof(uint64_t)) {
		uint64_t r = p->o.random ? p->o.random(p->o.arg) : random_word(&p->random);

		r = r ? r : 1; /* all zeroes is no id */
		memcpy(ret + i, &r, sizeof(r));
	}
}

static struct point_thread *thread_of(struct point_pairs *p, const struct point_hit *h)
{
	uint64_t key = (uint64_t)(uint32_t)h->resource->pid << 32 | (uint32_t)h->tid;
	struct point_thread *t = map_get(&p->threads, key);

	if (!t) {
		t = xcalloc(1, sizeof(*t));
		map_set(&p->threads, key, t);
	}
	return t;
}

static void thread_free(struct point_pairs *p, uint64_t key)
{
	struct point_thread *t = map_del(&p->threads, key);

	for (size_t i = 0; i < t->open.len; i++)
		open_free(p, t->open.data[i]);
	vec_done(&t->open);
	free(t);
}

static const char *given_name(const struct point_hit *h, struct arena *arena)
{
	for (size_t i = 0; i < h->nattrs; i++)
		if (!strcmp(h->attrs[i].key, "name") && h->attrs[i].kind == ATTR_STRING)
			return arena_strndup(arena, h->attrs[i].s, h->attrs[i].len);
	return NULL;
}

/* A copy, with room for as many more. */
static struct attr *copy_attrs(const struct point_hit *h, size_t more, struct arena *arena, size_t *ret_n)
{
	struct attr *attrs = arena_array(arena, struct attr, h->nattrs + more + 1);
	size_t n = 0;

	for (size_t i = 0; i < h->nattrs; i++) {
		struct attr a = h->attrs[i];

		if (!strcmp(a.key, "name"))
			continue;
		a.key = arena_strdup(arena, a.key);
		a.key_len = 0;
		if (a.kind == ATTR_STRING)
			a.s = arena_memdup(arena, a.s, a.len);
		attrs[n++] = a;
	}
	*ret_n = n;
	return attrs;
}

static struct open_point *open_new(struct point_pairs *p, const struct role *role, const struct point_hit *h)
{
	struct open_point *s = xcalloc(1, sizeof(*s));

	s->role = role;
	s->start_ns = h->time_ns;
	s->start_unix_ns = h->unix_ns;
	s->tid = h->tid;
	s->depth = h->depth;
	s->resource = h->resource;
	s->attrs = copy_attrs(h, 0, &s->arena, &s->nattrs);
	s->name = given_name(h, &s->arena);
	random_id(p, s->trace_id, sizeof(s->trace_id));
	random_id(p, s->span_id, sizeof(s->span_id));
	p->nopen++;
	return s;
}

/* ---- ends ---- */

/* An argument of the end is called after it, where it has no name of its own: done.arg0. */
static void add_end_attrs(const struct role *role, const struct point_hit *h, struct arena *arena, struct attr *attrs,
			  size_t *n)
{
	size_t more, first = *n;
	struct attr *ended = copy_attrs(h, 0, arena, &more);

	for (size_t i = 0; i < more; i++) {
		if (!strncmp(ended[i].key, "arg", 3) && isdigit((unsigned char)ended[i].key[3]))
			ended[i].key = arena_printf(arena, "%s.%s", role->end_word, ended[i].key);
		for (size_t k = 0; k < first; k++)
			if (!strcmp(attrs[k].key, ended[i].key))
				ended[i].key = arena_printf(arena, "%s.%s", role->end_word, ended[i].key);
		attrs[(*n)++] = ended[i];
	}
}

/* What is known of it once it is over. end: NULL where its end was not seen. */
static void complete(struct open_point *s, const struct role *end, const struct point_hit *h)
{
	struct attr *attrs = arena_array(&s->arena, struct attr, s->nattrs + h->nattrs + 3);
	size_t n = 0;

	attrs[n++] = (struct attr){.key = "thread.id", .kind = ATTR_INT, .i = (int64_t)s->tid};
	for (size_t i = 0; i < s->nattrs; i++)
		attrs[n++] = s->attrs[i];
	if (end)
		add_end_attrs(end, h, &s->arena, attrs, &n);
	else
		attrs[n++] = (struct attr){.key = "usdt.end_missing", .kind = ATTR_BOOL, .b = true};
	s->attrs = attrs;
	s->nattrs = n;
	s->duration_ns = h->time_ns > s->start_ns ? h->time_ns - s->start_ns : 0;
	s->ended_ns = h->time_ns;
}

/* outer_id: of the span that it is proven to lie in, whose trace it has; or NULL. */
static void emit_one(struct point_pairs *p, const struct open_point *s, const uint8_t *outer_id)
{
	struct span out = {.parent = SPAN_PARENT_UNKNOWN, .parent_source = PARENT_UNKNOWN, .resource = s->resource,
			   .name = s->name ? s->name : s->role->span_name, .kind = SPAN_INTERNAL,
			   .pack = s->role->provider, .start_unix_ns = s->start_unix_ns,
			   .duration_ns = s->duration_ns, .attrs = s->attrs, .nattrs = s->nattrs};

	if (outer_id) {
		out.parent = SPAN_PARENT_LOCAL;
		out.parent_source = PARENT_THREAD;
		memcpy(out.parent_id, outer_id, sizeof(out.parent_id));
	}
	memcpy(out.trace_id, s->trace_id, sizeof(out.trace_id));
	memcpy(out.span_id, s->span_id, sizeof(out.span_id));
	p->spans++;
	p->o.emit(p->o.arg, &out);
}

/*
 * With those that ended within it, and within these: as many levels as there can be open spans, which is more than our
 * stack has room for. outer: it is proven to lie in that one.
 */
static void emit(struct point_pairs *p, struct open_point *s, const struct open_point *outer)
{
	VEC(struct open_point *) left = {0};

	if (outer)
		memcpy(s->trace_id, outer->trace_id, sizeof(s->trace_id));
	emit_one(p, s, outer ? outer->span_id : NULL);
	for (;;) {
		for (size_t i = s->held.len; i-- > 0;) {
			struct open_point *h = s->held.data[i];

			memcpy(h->trace_id, s->trace_id, sizeof(h->trace_id));
			vec_push(&left, h);
		}
		s->held.len = 0;
		open_free(p, s);
		if (!left.len)
			break;
		s = left.data[--left.len];
		emit_one(p, s, s->outer_id);
	}
	vec_done(&left);
}

/* Whether they lie in it is not to be known, or not in time. */
static void emit_held(struct point_pairs *p, struct open_point *s, uint64_t until_ns)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->held.len; i++) {
		struct open_point *h = s->held.data[i];

		if (h->ended_ns > until_ns)
			s->held.data[kept++] = h;
		else
			emit(p, h, NULL);
	}
	s->held.len = kept;
}

/* ---- on a thread ---- */

static bool same_pair(const struct role *a, const struct role *b)
{
	return !strcmp(a->key, b->key);
}

/* What was open around s when it began, if it is open still. */
static struct open_point *outer_of(const struct point_thread *t, const struct open_point *s)
{
	for (size_t i = 0; i < t->open.len; i++)
		if (t->open.data[i] == s->outer && !memcmp(s->outer->span_id, s->outer_id, sizeof(s->outer_id)))
			return s->outer;
	return NULL;
}

static struct open_point *take_at(struct point_thread *t, size_t i)
{
	struct open_point *s = t->open.data[i];

	memmove(&t->open.data[i], &t->open.data[i + 1], (t->open.len - i - 1) * sizeof(t->open.data[0]));
	t->open.len--;
	return s;
}

/* What was begun where the stack was no less deep than it is now has been left since. */
static void end_left(struct point_pairs *p, struct point_thread *t, const struct role *role, const struct point_hit *h)
{
	for (size_t i = t->open.len; i-- > 0;) {
		struct open_point *s = t->open.data[i];

		if (!same_pair(s->role, role) || h->depth > s->depth)
			continue;
		take_at(t, i);
		complete(s, NULL, h);
		emit_held(p, s, UINT64_MAX);
		emit(p, s, NULL);
	}
}

/*
 * The innermost one in whose function, or below it, the thread can be. A call, too, is left without a word by longjmp,
 * or for a while, by a coroutine with a stack of its own.
 */
static struct open_point *innermost(const struct point_thread *t, const struct point_hit *h)
{
	for (size_t i = t->open.len; i-- > 0;)
		if (h->depth >= t->open.data[i]->depth)
			return t->open.data[i];
	return NULL;
}

static void start_on_thread(struct point_pairs *p, const struct role *role, const struct point_hit *h)
{
	struct point_thread *t = thread_of(p, h);
	struct open_point *s, *outer;

	if (!role->nests)
		end_left(p, t, role, h);
	if (p->nopen == MAX_OPEN) {
		p->losses.count[LOSS_OPEN_LIMIT]++;
		return;
	}
	outer = innermost(t, h);
	s = open_new(p, role, h);
	if (outer) {
		s->outer = outer;
		memcpy(s->outer_id, outer->span_id, sizeof(s->outer_id));
	}
	if (outer && outer->role->nests)
		memcpy(s->trace_id, outer->trace_id, sizeof(s->trace_id));
	vec_push(&t->open, s);
}

/* The innermost of the pair that began at this very depth, else the innermost; the number of open ones: none. */
static size_t find_open(const struct point_thread *t, const struct role *role, uint64_t depth)
{
	size_t found = t->open.len;

	for (size_t i = t->open.len; i-- > 0;) {
		const struct open_point *s = t->open.data[i];

		if (!same_pair(s->role, role))
			continue;
		if (role->nests || s->depth == depth)
			return i;
		found = found == t->open.len ? i : found;
	}
	return found;
}

/*
 * A call is around all that is begun before it returns. Of other pairs that is only known once the outer one's own end
 * has come, since it may have been left before: so what ended within it waits for that.
 */
static void end_on_thread(struct point_pairs *p, const struct role *role, const struct point_hit *h)
{
	struct point_thread *t = thread_of(p, h);
	size_t i = find_open(t, role, h->depth);
	struct open_point *s, *outer;

	if (i == t->open.len) {
		p->losses.count[LOSS_UNPAIRED_END]++;
		return;
	}
	s = take_at(t, i);
	complete(s, role, h);
	outer = outer_of(t, s);
	if (outer && !outer->role->nests && !role->nests)
		vec_push(&outer->held, s);
	else
		emit(p, s, outer && outer->role->nests ? outer : NULL);
}

void point_pairs_tick(struct point_pairs *p, uint64_t until_ns)
{
	uint64_t key;
	void *value;

	for (size_t i = 0; map_next(&p->threads, &i, &key, &value);) {
		struct point_thread *t = value;

		for (size_t k = 0; k < t->open.len; k++)
			emit_held(p, t->open.data[k], until_ns);
	}
}

/* ---- by an argument ---- */

static uint64_t arg_hash(const struct role *role, const struct point_hit *h)
{
	const uint64_t parts[] = {(uint64_t)h->resource->pid, h->args[role->arg],
				  hash_of_bytes(role->key, strlen(role->key))};

	return hash_of_bytes(parts, sizeof(parts));
}

static void put_by_arg(struct point_pairs *p, uint64_t hash, struct open_point *first)
{
	if (first)
		map_set(&p->by_arg, hash, first);
	else
		map_del(&p->by_arg, hash);
}

/* Takes it out of those with its hash; NULL: none is open. */
static struct open_point *take_by_arg(struct point_pairs *p, uint64_t hash, const struct role *role,
				      const struct point_hit *h)
{
	struct open_point *first = map_get(&p->by_arg, hash), **at = &first, *s;

	while ((s = *at) && (s->resource->pid != h->resource->pid || s->value != h->args[role->arg] ||
			     !same_pair(s->role, role)))
		at = &s->next;
	if (!s)
		return NULL;
	*at = s->next;
	put_by_arg(p, hash, first);
	return s;
}

static void hit_by_arg(struct point_pairs *p, const struct role *role, const struct point_hit *h)
{
	uint64_t hash = arg_hash(role, h);
	struct open_point *s = take_by_arg(p, hash, role, h);

	if (s) {
		complete(s, role->is == ROLE_END ? role : NULL, h);
		emit(p, s, NULL);
	} else {
		p->losses.count[LOSS_UNPAIRED_END] += role->is == ROLE_END;
	}
	if (role->is == ROLE_END)
		return;
	if (p->nopen == MAX_OPEN) {
		p->losses.count[LOSS_OPEN_LIMIT]++;
		return;
	}
	s = open_new(p, role, h);
	s->value = h->args[role->arg];
	s->next = map_get(&p->by_arg, hash);
	map_set(&p->by_arg, hash, s);
}

bool point_pairs_hit(struct point_pairs *p, const struct point_hit *h)
{
	const struct known *k = known_role(p, h->provider, h->name);

	if (!k || k->role.is == ROLE_ALONE)
		return false;
	p->hits++;
	if (k->role.arg >= 0 && !(h->has_arg >> k->role.arg & 1))
		p->losses.count[LOSS_KEY]++;
	else if (k->role.arg >= 0)
		hit_by_arg(p, &k->role, h);
	else if (k->role.is == ROLE_START)
		start_on_thread(p, &k->role, h);
	else
		end_on_thread(p, &k->role, h);
	return true;
}

/* One at a time, since maps are not changed while they are walked. */
static bool forget_thread(struct point_pairs *p, int pid)
{
	uint64_t key;
	void *value;

	for (size_t i = 0; map_next(&p->threads, &i, &key, &value);) {
		struct point_thread *t = value;

		if ((int)(key >> 32) != pid)
			continue;
		p->losses.count[LOSS_UNPAIRED_START] += t->open.len;
		for (size_t k = 0; k < t->open.len; k++)
			emit_held(p, t->open.data[k], UINT64_MAX);
		thread_free(p, key);
		return true;
	}
	return false;
}

static void forget_by_arg(struct point_pairs *p, int pid)
{
	VEC(uint64_t) hashes = {0};
	uint64_t hash;
	void *value;

	for (size_t i = 0; map_next(&p->by_arg, &i, &hash, &value);)
		vec_push(&hashes, hash);
	for (size_t i = 0; i < hashes.len; i++) {
		struct open_point *first = map_get(&p->by_arg, hashes.data[i]), **at = &first, *s;

		while ((s = *at)) {
			if (s->resource->pid != pid) {
				at = &s->next;
				continue;
			}
			*at = s->next;
			p->losses.count[LOSS_UNPAIRED_START]++;
			open_free(p, s);
		}
		put_by_arg(p, hashes.data[i], first);
	}
	vec_done(&hashes);
}

void point_pairs_gone(struct point_pairs *p, int pid)
{
	while (forget_thread(p, pid))
		;
	forget_by_arg(p, pid);
}

void point_pairs_summary(const struct point_pairs *p, struct run_summary *sum)
{
	sum->spans += p->spans;
	sum->open += p->nopen;
	losses_add(&sum->losses, &p->losses);
}
