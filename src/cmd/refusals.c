/* A sentence usually begins with the probe's label: what follows is the reason that others may share. */
#include "cmd/refusals.h"

#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

#define TOLD_SINGLY 40
#define REASONS_TOLD 20

struct reason {
	const char *text;
	const char *label; /* of the first */
	size_t n;
};

struct reasons {
	struct strmap by_text; /* its index in all, plus one */
	VEC(struct reason) all;
};

static const char *reason_of(const char *label, const char *text)
{
	size_t n = strlen(label);

	return strncmp(text, label, n) ? text : text + n;
}

/* How a label and its reason are put together. */
static const char *joint(const char *reason)
{
	return *reason == ' ' || *reason == ':' ? "" : ": ";
}

static void add(struct reasons *r, const char *label, const char *text)
{
	const char *reason = reason_of(label, text);
	size_t n = strlen(reason);
	uintptr_t i = (uintptr_t)strmap_get(&r->by_text, reason, n);

	if (i) {
		r->all.data[i - 1].n++;
		return;
	}
	vec_push(&r->all, ((struct reason){reason, label, 1}));
	strmap_set(&r->by_text, reason, n, (void *)(uintptr_t)r->all.len);
}

static int most_first(const void *pa, const void *pb)
{
	const struct reason *a = pa, *b = pb;

	return a->n > b->n ? -1 : a->n < b->n;
}

static void tell_reasons(const struct observer *ob, struct reasons *r)
{
	size_t more = 0;

	if (r->all.len)
		qsort(r->all.data, r->all.len, sizeof(*r->all.data), most_first);
	for (size_t i = 0; i < r->all.len; i++) {
		const struct reason *a = &r->all.data[i];

		if (i >= REASONS_TOLD)
			more += a->n;
		else if (a->n == 1)
			ob->ops->note(ob->arg, "%s%s%s", a->label, joint(a->text), a->text);
		else
			ob->ops->note(ob->arg, "%s and %zu more probes%s%s", a->label, a->n - 1, joint(a->text), a->text);
	}
	if (more)
		ob->ops->note(ob->arg, "%zu more probes are refused; earshot inspect --functions tells why, function by function",
			      more);
}

void refusals_tell(const struct observer *ob, const struct observed *o, const struct err *errs)
{
	const struct subject *s = o->subject;
	struct reasons r = {0};
	size_t n = 0;

	for (size_t i = 0; i < s->nprobes; i++)
		n += !o->plants[i] && errs[i].code;
	for (size_t i = 0; i < s->nprobes; i++) {
		const char *label = s->probes[i].label, *reason = reason_of(label, errs[i].text);

		if (o->plants[i] || !errs[i].code)
			continue;
		if (n > TOLD_SINGLY)
			add(&r, label, errs[i].text);
		else
			ob->ops->note(ob->arg, "%s%s%s", label, joint(reason), reason);
	}
	tell_reasons(ob, &r);
	strmap_done(&r.by_text);
	vec_done(&r.all);
}
