#include "cmd/inspect_woven.h"

#include <stdio.h>
#include <string.h>

#include "cmd/woven_match.h"

static void point_name(const struct woven_point *p, char *buf, size_t size)
{
	bool hook = !strcmp(p->span, "-");

	snprintf(buf, size, "%s%s%s", hook ? "" : p->span, hook ? "" : "/", p->point);
}

static void print_point(const struct woven_point *p)
{
	char name[128];

	point_name(p, name, sizeof(name));
	printf("  %-22s %-6s %s\n", name, p->at_return ? "return" : "entry", p->func);
	for (size_t i = 0; i < p->nleft; i++)
		printf("  %-22s        without %s: %s\n", "", p->left[i].name, p->left[i].kind);
}

static bool same_refused(const struct woven_refused *a, const struct woven_refused *b)
{
	return !strcmp(a->pack, b->pack) && !strcmp(a->span, b->span) && !strcmp(a->point, b->point) &&
	       !strcmp(a->func, b->func);
}

typedef VEC(const struct woven_refused *) refused_list;

/* Several points may tell of one. */
static void list_refused(const struct woven_set *s, refused_list *ret)
{
	for (size_t i = 0; i < s->n; i++)
		for (size_t k = 0; k < s->points[i].nrefused; k++) {
			size_t at = 0;

			while (at < ret->len && !same_refused(ret->data[at], &s->points[i].refused[k]))
				at++;
			if (at == ret->len)
				vec_push(ret, &s->points[i].refused[k]);
		}
}

static void print_refused(const struct woven_set *s)
{
	refused_list all = {0};

	list_refused(s, &all);
	if (all.len)
		printf("could not be woven:\n");
	for (size_t i = 0; i < all.len; i++) {
		const struct woven_refused *r = all.data[i];
		bool hook = !strcmp(r->span, "-");

		printf("  %s: %s%s%s in %s: %s\n", r->pack, hook ? "" : r->span, hook ? "" : "/", r->point, r->func,
		       r->why);
	}
	vec_done(&all);
}

void inspect_woven_print(struct binary *b)
{
	const char *last = NULL;
	struct woven_set s;

	woven_set_read(b, &s);
	if (s.n)
		printf("\nIt is woven: %zu %s of its own, which attach switches on without planting.\n", s.n,
		       s.n == 1 ? "point" : "points");
	if (s.broken)
		printf("\n%zu %s of points in it cannot be read: another version of earshot has built it.\n", s.broken,
		       s.broken == 1 ? "text" : "texts");
	for (size_t i = 0; i < s.n; i++) {
		if (!last || strcmp(last, s.points[i].pack))
			printf("%s, woven:\n", s.points[i].pack);
		last = s.points[i].pack;
		print_point(&s.points[i]);
	}
	print_refused(&s);
	woven_set_done(&s);
}

static void json_fields(struct json *j, const char *key, const struct woven_field *f, size_t n, const char *second)
{
	json_key(j, key);
	json_open(j, '[');
	for (size_t i = 0; i < n; i++) {
		json_open(j, '{');
		json_key(j, "name");
		json_str(j, f[i].name);
		json_key(j, second);
		json_str(j, f[i].kind);
		json_close(j, '}');
	}
	json_close(j, ']');
}

/* Of a point: whose it is, and where. */
static void json_place(struct json *j, const char *pack, const char *span, const char *point, const char *func)
{
	json_key(j, "pack");
	json_str(j, pack);
	json_key(j, "span");
	json_str(j, strcmp(span, "-") ? span : NULL);
	json_key(j, "point");
	json_str(j, point);
	json_key(j, "function");
	json_str(j, func);
}

static void json_point(struct json *j, const struct woven_point *p)
{
	json_open(j, '{');
	json_place(j, p->pack, p->span, p->point, p->func);
	json_key(j, "at");
	json_str(j, p->at_return ? "return" : "entry");
	json_fields(j, "captures", p->slots, p->nslots, "kind");
	json_fields(j, "without", p->left, p->nleft, "reason");
	json_close(j, '}');
}

static void json_refused(struct json *j, const struct woven_refused *r)
{
	json_open(j, '{');
	json_place(j, r->pack, r->span, r->point, r->func);
	json_key(j, "reason");
	json_str(j, r->why);
	json_close(j, '}');
}

void inspect_woven_json(struct json *j, struct binary *b)
{
	refused_list refused = {0};
	struct woven_set s;

	woven_set_read(b, &s);
	json_key(j, "woven");
	json_open(j, '[');
	for (size_t i = 0; i < s.n; i++)
		json_point(j, &s.points[i]);
	json_close(j, ']');
	json_key(j, "not_woven");
	json_open(j, '[');
	list_refused(&s, &refused);
	for (size_t i = 0; i < refused.len; i++)
		json_refused(j, refused.data[i]);
	json_close(j, ']');
	vec_done(&refused);
	woven_set_done(&s);
}
