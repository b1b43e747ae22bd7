#include "cmd/trace_list.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cmd/without.h"
#include "sink/text.h"

enum { WITHOUT_INDENT = 11 }; /* under the signatures */

struct listing {
	const struct call_wanted *wanted;
	struct planter *planter; /* or NULL */
};

static size_t probe_of(const struct call_wanted *t, const struct call_plan *p)
{
	size_t i = 0;

	while (i < t->wanted.nprobes && t->wanted.probes[i].program != &p->entry)
		i++;
	return i;
}

/* 0: not known. */
static double price_ns(const struct listing *l, const struct call_plan *p)
{
	return l->planter ? call_wanted_price(l->wanted, probe_of(l->wanted, p), l->planter) : 0;
}

/* "1.25 µs", or "?" where prices are not known. */
static void price_text(const struct listing *l, const struct call_plan *p, struct buf *out)
{
	double ns = price_ns(l, p);
	char text[24] = "?";

	if (ns > 0)
		format_duration((uint64_t)ns, text);
	buf_str(out, text);
}

/* Why it is not traced: what its plan says, or the planter. NULL: it is. */
static const char *refusal(const struct listing *l, const struct call_plan *p)
{
	return p->why ? p->why : call_wanted_refusal(l->wanted, probe_of(l->wanted, p));
}

static size_t sites_of(const struct call_plan *p)
{
	return join_point_probes(&p->at_entry) + join_point_probes(&p->at_return);
}

static void list_text(const struct listing *l, const struct call_plan *p)
{
	_cleanup_(buf_done) struct buf signature = {0}, price = {0};
	_cleanup_(without_done) struct without without = {0};
	const char *why = refusal(l, p);

	signature_print(p->name, &p->signature, &signature);
	if (why) {
		printf("%9s  %s  # refused: %s\n", "", p->signature.nparams ||
		       p->signature.results_known ? signature.data : p->name, why);
		return;
	}
	if (p->recorded) {
		printf("%9s  %s  # woven: nothing is planted\n", "", signature.data);
		without_signature(&without, &p->signature);
		without_print(&without, WITHOUT_INDENT);
		return;
	}
	price_text(l, p, &price);
	printf("%9s  %s%s%s  # %zu %s", price.data, signature.data, p->inlined ? "  inlined into " : "",
	       p->inlined ? p->func.name : "", sites_of(p),
	       sites_of(p) == 1 ? "site" : "sites");
	if (p->followed)
		printf(", %u %s down", p->followed, p->followed == 1 ? "level" : "levels");
	putchar('\n');
	if (p->not_recorded)
		printf("%*swoven, but that is not enough: %.*s\n", WITHOUT_INDENT, "",
		       (int)strcspn(p->not_recorded, "\n"), p->not_recorded);
	if (p->approximate)
		printf("%*sapproximate: %s\n", WITHOUT_INDENT, "", p->approximate);
	without_signature(&without, &p->signature);
	without_print(&without, WITHOUT_INDENT);
}

static void list_json(const struct listing *l, const struct call_plan *p)
{
	_cleanup_(buf_done) struct buf signature = {0}, out = {0};
	_cleanup_(without_done) struct without without = {0};
	struct json j = {.out = &out};
	const char *why = refusal(l, p);

	signature_print(p->name, &p->signature, &signature);
	without_signature(&without, &p->signature);
	json_open(&j, '{');
	json_key(&j, "func");
	json_str(&j, p->name);
	json_key(&j, "signature");
	json_strn(&j, signature.data, signature.len);
	if (p->inlined) {
		json_key(&j, "inlined_into");
		json_str(&j, p->func.name);
	}
	if (p->followed) {
		json_key(&j, "followed");
		json_uint(&j, p->followed);
	}
	if (why) {
		json_key(&j, "refused");
		json_str(&j, why);
	} else {
		json_key(&j, "woven");
		json_bool(&j, p->recorded);
		json_key(&j, "sites");
		json_uint(&j, sites_of(p));
		json_key(&j, "price_ns");
		json_uint(&j, (uint64_t)price_ns(l, p));
	}
	if (p->approximate && !why) {
		json_key(&j, "approximate");
		json_str(&j, p->approximate);
	}
	without_json(&without, &j);
	json_close(&j, '}');
	puts(out.data);
}

static void follow_json(const struct call_wanted *t)
{
	const struct call_follow *f = &t->plans.follow;
	const struct { const char *key; size_t n; } counts[] = {{"functions", f->functions}, {"indirect", f->indirect},
								{"runtime", f->runtime}, {"assembly", f->assembly},
								{"too_many", f->too_many}};
	_cleanup_(buf_done) struct buf out = {0};
	struct json j = {.out = &out};

	json_open(&j, '{');
	json_key(&j, "follow");
	json_open(&j, '{');
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		json_key(&j, counts[i].key);
		json_uint(&j, counts[i].n);
	}
	json_close(&j, '}');
	json_close(&j, '}');
	puts(out.data);
}

static void follow_text(const struct call_wanted *t, struct planter *planter)
{
	_cleanup_(buf_done) struct buf text = {0};

	call_wanted_follow_text(t, planter, &text);
	printf("# %s\n", text.data);
}

static void list(const struct listing *l, bool json)
{
	const struct call_wanted *t = l->wanted;

	for (size_t i = 0; i < t->plans.len; i++)
		if (!t->plans.data[i].unless_recorded)
			(json ? list_json : list_text)(l, &t->plans.data[i]);
	if (t->inquiry->plan.follow && json)
		follow_json(t);
	else if (t->inquiry->plan.follow)
		follow_text(t, l->planter);
}

int trace_list(const char *path, const char *name, const struct inquiry *q, struct planter *planter, bool json,
	       struct err *err)
{
	struct listing l = {.planter = planter};
	struct call_wanted *t;
	struct binary *b;
	int r = binary_open_as(path, name, &b, err);

	if (r < 0)
		return r;
	t = call_wanted_new(b, q);
	l.wanted = t;
	if (!t->plans.len)
		r = err_set(err, -ENOENT, "%s", t->wanted.why);
	else
		r = binary_check(b, err);
	if (r == 0)
		list(&l, json);
	call_wanted_free(t);
	binary_free(b);
	return r;
}
