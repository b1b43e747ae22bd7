#include "record/pass.h"

static void on_span(void *arg, const struct span *s)
{
	struct recording_pass *p = arg;

	const uint64_t end = s->start_unix_ns + s->duration_ns;

	if (end < p->from_unix_ns)
		return;
	p->about->spans++;
	p->about->last_unix_ns = MAX(p->about->last_unix_ns, end);
	if (p->to->span)
		p->to->span(p->to->arg, s);
}

static void on_losses(void *arg, const struct recorded_losses *l)
{
	struct recording_pass *p = arg;

	if (!p->has_base)
		p->base = *l;
	p->has_base = true;
	p->last = *l;
}

void recording_pass_begin(struct recording_pass *p, uint64_t from_unix_ns, const struct segment_reading *to,
			  struct recording_about *about)
{
	*p = (struct recording_pass){.to = to, .about = about, .from_unix_ns = from_unix_ns};
	*about = (struct recording_about){0};
}

void recording_pass_segment(struct recording_pass *p, const uint8_t *bytes, size_t size)
{
	const struct segment_reading reading = {.span = on_span, .losses = on_losses, .arg = p,
						.memory = p->to->memory, .unchecked = p->to->unchecked};
	struct segment_head head;

	if (!p->about->begun_unix_ns && segment_head_read(bytes, size, &head)) {
		p->about->from_start = head.sequence == 1;
		p->about->begun_unix_ns = head.begun_unix_ns;
	}
	p->about->damaged += segment_read(bytes, size, &reading) < 0;
}

void recording_pass_end(struct recording_pass *p)
{
	struct recording_about *a = p->about;

	a->lost = p->last;
	a->lost.spans -= MIN(a->lost.spans, p->base.spans);
	losses_subtract(&a->lost.losses, &p->base.losses);
	if (a->begun_unix_ns < p->from_unix_ns) {
		a->begun_unix_ns = p->from_unix_ns;
		a->from_start = false;
	}
}
