/*
 * Records through the assembler and on through the sinks that write text. The input is a list of
 * steps: probe, goroutine, depth, number of slots (a byte each), then 16 bytes a slot as they are, then
 * a byte that says how many bytes of text follow. Slots that point into the record are moved to the
 * text, so that many of them are valid. A step with a probe from LINKS on is a link: goroutine, its creator, the time
 * of the epoch.
 */
#include "fuzz/replay.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "sink/kinds.h"
#include "span/assemble.h"

enum { TEXT, NUMBER, BOOLEAN, REAL, WORD, POINTER, HOST, CONST, CONTEXT, PARENT, SLOTS };
#define LINKS 0xf0
#define NO_PROBE 0xf8

static const char *const known[] = {"GET", NULL}, *const map[] = {"true", "yes", "a", "b", NULL};
static const char *const same_names[] = {"text", "host", NULL};
static const struct pack_capture captures[] = {
	[TEXT] = {.name = "text", .transform = {.default_value = "x", .after = "/", .known = known, .other = "_OTHER",
						.original = "original", .title_other = "T", .unescape = true}},
	[NUMBER] = {.name = "number", .transform = {.default_value = "7", .min_set = true, .min = -5}},
	[BOOLEAN] = {.name = "boolean", .transform = {.map = map}},
	[REAL] = {.name = "real", .transform = {.default_value = "0.5"}},
	[WORD] = {.name = "word"},
	[POINTER] = {.name = "pointer", .transform = {.prefix_of = "text", .unless_known = true}},
	[HOST] = {.name = "host", .transform = {.from = "[", .prefix_of = "text", .port_attribute = "port", .map = map,
						.keep_empty = true, .redact = known, .drop = known,
						.same = same_names}},
	[CONST] = {.name = "number", .constant = "12"},
	[CONTEXT] = {.use = USE_CONTEXT},
	[PARENT] = {.use = USE_PARENT},
};
static struct ir_slot slots[SLOTS] = {
	[TEXT] = {.kind = VALUE_STRING},   [NUMBER] = {.kind = VALUE_INT}, [BOOLEAN] = {.kind = VALUE_BOOL},
	[REAL] = {.kind = VALUE_FLOAT64},  [WORD] = {.kind = VALUE_TYPE},  [POINTER] = {.kind = VALUE_UINT},
	[HOST] = {.kind = VALUE_STRING},   [CONST] = {.kind = VALUE_INT},
	[CONTEXT] = {.kind = VALUE_CONTEXT}, [PARENT] = {.kind = VALUE_CONTEXT},
};
static const struct capture_program program = {.slots = slots, .nslots = SLOTS};
static const int identity[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, of_hook[] = {WORD, POINTER};
static const struct pack_capture hook_captures[] = {{.use = USE_PANIC_TYPE, .name = "type"},
						    {.use = USE_RECOVERY_PC, .name = "pc"}};
static const struct pack_variant of_hooks = {.captures = hook_captures, .ncaptures = 2};
static const struct pack_variant entry = {.captures = captures, .ncaptures = SLOTS},
				 at_return = {.captures = captures, .ncaptures = 2, .at_return = true};
static const char *const titles[] = {"{text} {host", "{original} {word}", "{text}{number}", "{", NULL};
static const struct pack pack = {.name = "fuzz"};
static const struct condition its_number = {.op = CONDITION_ATTRIBUTE, .text = "number", .len = 6},
	hundred = {.op = CONDITION_INT, .number = 100},
	its_text = {.op = CONDITION_ATTRIBUTE, .text = "text", .len = 4},
	its_host = {.op = CONDITION_ATTRIBUTE, .text = "host", .len = 4},
	high = {.op = CONDITION_COMPARE, .orders = ORDER_GREATER | ORDER_EQUAL, .a = &its_number, .b = &hundred},
	before = {.op = CONDITION_COMPARE, .orders = ORDER_LESS, .a = &its_text, .b = &its_host},
	error = {.op = CONDITION_OR, .a = &high, .b = &before};
static const struct pack_span same = {.name = "same", .kind = SPAN_SERVER, .titles = titles,
				      .error = &error, .traceparent = "text", .tracestate = "host", .key = "pointer",
				      .nested_same = true};
static const struct summary_item form[] = {{.op = SUMMARY_ATTRIBUTE, .text = "text"}, {.op = SUMMARY_TEXT, .text = "/"},
					   {.op = SUMMARY_ATTRIBUTE, .text = "host", .group = 1}};
static const struct summary_part form_part = {.items = form, .n = ARRAY_SIZE(form)};
static const struct summary forms = {.parts = &form_part, .n = 1};
static const struct pack_composed composed = {.name = "composed", .forms = &forms};
static const struct pack_span detached = {.name = "detached", .kind = SPAN_CLIENT, .titles = titles, .key = "pointer",
					  .detached = true, .composed = &composed, .ncomposed = 1};
static const struct pack_span plain = {.name = "plain", .kind = SPAN_CLIENT, .titles = titles};

static const struct pack_point points[] = {
	{.role = POINT_START}, {.role = POINT_END, .discard_attribute = "text", .discard_value = "GET"},
	{.role = POINT_NOTE},  {.role = POINT_START, .recovers = true},
	{.role = POINT_END, .may_miss = true}, {.role = POINT_UNWIND}, {.role = POINT_EXIT},
	{.role = POINT_PANIC}, {.role = POINT_JOIN},
	{.role = POINT_START}, {.role = POINT_DETACH}, {.role = POINT_NOTE}, {.role = POINT_END}, {.role = POINT_JOIN},
	{.role = POINT_TIE}, {.role = POINT_DETACH, .or_end = true},
};
#define NPROBES 16
#define DETACHED 9 /* from here on */

struct sinks {
	struct sink *all[3];
	uint64_t spans;
};

static void on_span(void *arg, const struct span *s)
{
	struct sinks *sinks = arg;

	sinks->spans++;
	for (size_t i = 0; i < 3; i++)
		sinks->all[i]->ops->span(sinks->all[i], s);
}

static void add_probes(struct assembler *a)
{
	for (uint32_t i = 0; i < NPROBES; i++) {
		struct assembler_probe p = {.id = i, .pack = &pack, .point = &points[i],
					    .variant = i == 4 ? &at_return : &entry,
					    .program = &program, .slot_of_item = identity,
					    .func = {.entry = 64, .end = 128, .frame_size = 32}};

		p.span = i < 3 || i == 8 ? &same : i < 5 ? &plain : i >= DETACHED ? &detached : NULL;
		if (!p.span) {
			p.variant = &of_hooks;
			p.slot_of_item = of_hook;
		}
		assembler_add_probe(a, &p);
	}
}

static size_t make_link(const uint8_t **p, uint64_t time, char *out)
{
	struct event_header *h = (struct event_header *)out;
	struct event_slot *s = (struct event_slot *)(h + 1);

	*h = (struct event_header){.size = sizeof(*h) + LINK_SLOTS * sizeof(*s), .version = EVENT_VERSION,
				   .kind = EVENT_LINK, .slots = LINK_SLOTS, .target = 1, .time_ns = time,
				   .goid = (*p)[1] % 8};
	s[LINK_PARENT] = (struct event_slot){.status = SLOT_OK, .value = (*p)[2] % 8};
	s[LINK_EPOCH] = (struct event_slot){.status = SLOT_OK, .value = (*p)[3]};
	*p += 5;
	return h->size;
}

/* One step as a record; 0: the input is used up. */
static size_t make_record(const uint8_t **p, const uint8_t *end, uint64_t time, char *out)
{
	struct event_header *h = (struct event_header *)out;
	size_t nslots, text, body;

	if (end - *p < 5)
		return 0;
	if ((*p)[0] >= LINKS && (*p)[0] < NO_PROBE)
		return make_link(p, time, out);
	nslots = (*p)[3] % (SLOTS + 2);
	body = sizeof(*h) + nslots * sizeof(struct event_slot);
	if ((size_t)(end - *p) < 5 + nslots * sizeof(struct event_slot))
		return 0;
	*h = (struct event_header){.version = EVENT_VERSION, .slots = (uint16_t)nslots,
				   .probe = (*p)[0] >= NO_PROBE ? NPROBES : (*p)[0] % NPROBES,
				   .target = 1, .time_ns = time,
				   .goid = (*p)[1] % 8, .depth = (*p)[2]};
	memcpy(h + 1, *p + 4, body - sizeof(*h));
	*p += 4 + body - sizeof(*h);
	text = (size_t)*(*p)++;
	text = text < (size_t)(end - *p) ? text : (size_t)(end - *p);
	memcpy(out + body, *p, text);
	*p += text;
	for (size_t i = 0; i < nslots; i++) {
		struct event_slot *s = (struct event_slot *)(h + 1) + i;

		s->status %= SLOT_STATUS_COUNT + 1;
		if (s->copied) {
			s->copied = (uint16_t)(s->copied % (text + 2));
			if (i >= CONTEXT && s->copied && text >= sizeof(struct event_context))
				s->copied = sizeof(struct event_context);
			s->len = s->status == SLOT_OK ? s->copied : s->len;
			s->value = body;
		}
	}
	h->size = (uint32_t)(body + text);
	return h->size;
}

static struct sinks open_sinks(void)
{
	static const struct sink_kind *const kinds[] = {&sink_line, &sink_tree, &sink_json};
	struct sink_setup setup = {.gives = SINK_SPANS, .colour = true, .show_process = true, .width = 70};
	struct sinks sinks = {0};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		setup.fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
		if (kinds[i]->open(&setup, &sinks.all[i], NULL) < 0)
			abort();
	}
	return sinks;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static _Alignas(8) char record[EVENT_MAX_SIZE];
	struct resource resource = {.service = "fuzz"};
	struct assembler_target t = {.id = 1, .bias = 4096, .resource = &resource};
	const uint8_t *end = data + size;
	struct run_summary sum = {0};
	struct sinks sinks;
	struct assembler *a;
	uint64_t time = 0, records = 0;
	size_t n;

	sinks = open_sinks();
	a = assembler_new(&(struct assembler_options){.emit = on_span, .arg = &sinks, .sample = 1,
						      .max_open = 20});
	add_probes(a);
	assembler_add_target(a, &t);
	for (; (n = make_record(&data, end, ++time, record)); records++)
		assembler_event(a, record, n);
	assembler_end_target(a, 1, size & 1, time);
	assembler_summary(a, &sum);
	/* A process that exited leaves nothing open; no record is ever counted twice. */
	if (sum.events != records || sum.spans != sinks.spans || (sum.open && size & 1) ||
	    sum.spans + sum.open + sum.spans_lost > records)
		abort();
	for (size_t i = 0; i < 3; i++)
		sinks.all[i]->ops->close(sinks.all[i], 10);
	assembler_free(a);
	return 0;
}
