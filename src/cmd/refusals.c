/* A sentence usually begins with the probe's label: what follows is the reason that others may share. */
#include "cmd/refusals.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/vec.h"
#include "cmd/summary.h"

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

/* How a label and its reason are put together. */
static const char *joint(const char *reason)
{
	return *reason == ' ' || *reason == ':' ? "" : ": ";
}

/*
 * A reason that names the label elsewhere than at its start is a whole sentence. The same is said once, though many
 * processes of one executable meet it.
 */
static void tell(struct observation *ob, const char *label, const char *more, const char *reason)
{
	struct buf text = {0};

	if (*more || !strstr(reason, label))
		buf_printf(&text, "%s%s%s", label, more, joint(reason));
	buf_str(&text, reason);
	observation_note_once(ob, text.data);
	buf_done(&text);
}

static const char *reason_of(const char *label, const char *text)
{
	size_t n = strlen(label);

	return strncmp(text, label, n) ? text : text + n;
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

static void tell_reasons(struct observation *ob, struct reasons *r)
{
	char others[48];
	size_t more = 0;

	if (r->all.len)
		qsort(r->all.data, r->all.len, sizeof(*r->all.data), most_first);
	for (size_t i = 0; i < r->all.len; i++) {
		const struct reason *a = &r->all.data[i];

		if (i >= REASONS_TOLD)
			more += a->n;
		else if (a->n == 1)
			tell(ob, a->label, "", a->text);
		else {
			snprintf(others, sizeof(others), " and %zu more %s", a->n - 1,
				 plural(a->n - 1, "probe", "probes"));
			tell(ob, a->label, others, a->text);
		}
	}
	if (more)
		observation_note(ob, "%zu more %s refused; earshot inspect --functions tells why, function by "
				     "function", more, plural(more, "probe is", "probes are"));
}

/* A function's probes are refused together, and it may be asked for twice. first: by label, plus one. */
static bool told(struct strmap *first, const struct executable *x, const struct err *errs, size_t i)
{
	const char *label = x->probes[i].label;
	uintptr_t before = (uintptr_t)strmap_get(first, label, strlen(label));

	if (!before)
		strmap_set(first, label, strlen(label), (void *)(uintptr_t)(i + 1));
	return before && !strcmp(errs[before - 1].text, errs[i].text);
}

/* Why a span cannot begin is why there is none: of its other probes nothing is to be told then. */
static bool cannot_begin(const struct observed_process *p, size_t probe)
{
	const struct plant_probe *all = p->executable->probes;

	for (size_t i = 0; all[probe].group && !all[probe].begins && i < p->executable->nprobes; i++)
		if (all[i].group == all[probe].group && all[i].begins && !p->plants[i])
			return true;
	return false;
}

/* What is not allowed is so for all alike: no fault of the one probe. */
static bool is_forbidden(const struct err *why)
{
	return why->code == -EPERM || why->code == -EACCES;
}

void refusals_tell(struct observation *ob, const struct observed_process *p, const struct err *errs)
{
	const struct executable *x = p->executable;
	VEC(size_t) refused = {0};
	struct strmap first = {0};
	struct reasons r = {0};

	for (size_t i = 0; i < x->nprobes; i++)
		if (!p->plants[i] && errs[i].code && !cannot_begin(p, i) && !told(&first, x, errs, i))
			vec_push(&refused, i);
	for (size_t i = 0; i < refused.len; i++) {
		const char *label = x->probes[refused.data[i]].label, *text = errs[refused.data[i]].text;
		const char *reason = reason_of(label, text);

		if (refused.len > TOLD_SINGLY || is_forbidden(&errs[refused.data[i]]))
			add(&r, label, text);
		else
			tell(ob, label, "", reason);
	}
	tell_reasons(ob, &r);
	strmap_done(&first);
	strmap_done(&r.by_text);
	vec_done(&r.all);
	vec_done(&refused);
}
