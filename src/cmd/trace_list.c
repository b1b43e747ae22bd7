#include "cmd/trace_list.h"

#include <errno.h>
#include <stdio.h>

#include "base/json.h"
#include "sink/text.h"

/* "1.25 µs", or "?" where prices are not known. */
static void price_text(const struct trace_subject *t, size_t probe, const struct observer *ob, struct buf *out)
{
	double ns = ob ? trace_subject_price(t, probe, ob) : 0;
	char text[24] = "?";

	if (ns > 0)
		format_duration((uint64_t)ns, text);
	buf_str(out, text);
}

static size_t probe_of(const struct trace_subject *t, const struct call_plan *p)
{
	size_t i = 0;

	while (i < t->subject.nprobes && t->subject.probes[i].program != &p->entry)
		i++;
	return i;
}

static void list_text(const struct trace_subject *t, const struct call_plan *p, const struct observer *ob)
{
	_cleanup_(buf_done) struct buf signature = {0}, price = {0};

	signature_print(p->name, &p->signature, &signature);
	if (p->why) {
		printf("%9s  %s  # refused: %s\n", "", p->signature.nparams || p->signature.results_known ? signature.data : p->name,
		       p->why);
		return;
	}
	price_text(t, probe_of(t, p), ob, &price);
	printf("%9s  %s%s%s  # %zu %s\n", price.data, signature.data, p->inlined ? "  inlined into " : "",
	       p->inlined ? p->func.name : "", p->nentry_sites + p->nreturn_sites,
	       p->nentry_sites + p->nreturn_sites == 1 ? "site" : "sites");
}

static void list_json(const struct trace_subject *t, const struct call_plan *p, const struct observer *ob)
{
	_cleanup_(buf_done) struct buf signature = {0}, out = {0};
	struct json j = {.out = &out};

	signature_print(p->name, &p->signature, &signature);
	json_open(&j, '{');
	json_key(&j, "func");
	json_str(&j, p->name);
	json_key(&j, "signature");
	json_strn(&j, signature.data, signature.len);
	if (p->inlined) {
		json_key(&j, "inlined_into");
		json_str(&j, p->func.name);
	}
	if (p->why) {
		json_key(&j, "refused");
		json_str(&j, p->why);
	} else {
		json_key(&j, "sites");
		json_uint(&j, p->nentry_sites + p->nreturn_sites);
		json_key(&j, "price_ns");
		json_uint(&j, ob ? (uint64_t)trace_subject_price(t, probe_of(t, p), ob) : 0);
	}
	json_close(&j, '}');
	puts(out.data);
}

int trace_list(const char *path, struct trace_inquiry *q, const struct observer *ob, bool json, struct err *err)
{
	struct trace_subject *t = trace_subject_new(path, q);
	int r = 0;

	if (!t->plans.len)
		r = err_set(err, -ENOENT, "%s", t->subject.why);
	for (size_t i = 0; i < t->plans.len; i++) {
		if (json)
			list_json(t, &t->plans.data[i], ob);
		else
			list_text(t, &t->plans.data[i], ob);
	}
	trace_subject_free(t);
	return r;
}
