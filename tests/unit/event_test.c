/* Records: what is one and what is not; names of losses. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/macro.h"
#include "event/event.h"
#include "event/loss.h"

struct record {
	struct event_header head;
	struct event_slot slots[3];
	char data[16];
};
_Static_assert(sizeof(struct record) == 48 + 48 + 16, "no padding");

static struct record good(void)
{
	return (struct record){
		.head = {.size = sizeof(struct record), .version = EVENT_VERSION, .slots = 3, .goid = 7},
		.slots = {{.status = SLOT_OK, .value = 42},
			  {.status = SLOT_OK, .copied = 5, .len = 5, .value = offsetof(struct record, data)},
			  {.status = SLOT_CUT, .copied = 8, .len = 900, .value = offsetof(struct record, data) + 8}},
		.data = "hello\0\0\0abcdefgh",
	};
}

static bool decodes(const struct record *r, size_t size)
{
	struct event e;

	return event_decode(r, size, &e);
}

static void test_good(void **state)
{
	struct record r = good();
	struct event e;
	size_t n = 99;

	assert_true(event_decode(&r, sizeof(r), &e));
	assert_int_equal(e.head->goid, 7);
	assert_int_equal(e.slots[0].value, 42);
	assert_memory_equal(event_bytes(&e, 1, &n), "hello", 5);
	assert_int_equal(n, 5);
	assert_memory_equal(event_bytes(&e, 2, &n), "abcdefgh", 8);
	assert_int_equal(n, 8);
	n = 99;
	assert_null(event_bytes(&e, 3, &n));
	assert_int_equal(n, 99);
}

static void test_empty_string(void **state)
{
	struct record r = good();
	struct event e;
	size_t n = 99;

	r.slots[1] = (struct event_slot){.status = SLOT_OK};
	assert_true(event_decode(&r, sizeof(r), &e));
	assert_non_null(event_bytes(&e, 1, &n));
	assert_int_equal(n, 0);
	r.slots[1] = (struct event_slot){.status = SLOT_NOT_RESIDENT, .len = 5, .value = 0x4000};
	assert_true(event_decode(&r, sizeof(r), &e));
	assert_null(event_bytes(&e, 1, &n));
}

/* A string of which a part could be read: its address lies before the bytes. */
static void test_part(void **state)
{
	struct record r = good();
	const uint64_t at = 0x123456789;
	struct event e;
	uint64_t addr;
	size_t n;

	memcpy(r.data, &at, 8);
	memcpy(r.data + 8, "part", 4);
	r.slots[1] = (struct event_slot){.status = SLOT_NOT_RESIDENT, .copied = 4, .len = 90,
					 .value = offsetof(struct record, data) + 8};
	assert_true(event_decode(&r, sizeof(r), &e));
	assert_null(event_bytes(&e, 1, &n));
	assert_memory_equal(event_part(&e, 1, &n, &addr), "part", 4);
	assert_int_equal(n, 4);
	assert_int_equal(addr, at);
	for (unsigned early = 1; early <= 8; early++) {
		r.slots[1].value = offsetof(struct record, data) + 8 - early;
		assert_false(event_decode(&r, sizeof(r), &e));
	}
	r.slots[1] = (struct event_slot){.status = SLOT_NOT_RESIDENT, .len = 5, .value = 0x4000};
	assert_true(event_decode(&r, sizeof(r), &e));
	event_part(&e, 1, &n, &addr);
	assert_int_equal(n, 0);
	assert_int_equal(addr, 0x4000);
	event_part(&e, 99, &n, &addr);
	assert_int_equal(n, 0);
}

static void test_lost_pages(void **state)
{
	struct event_chunk c = {.addr = 3 * EVENT_PAGE - 100, .len = 8000, .status = SLOT_CUT | 2 << EVENT_PAGES_SHIFT};

	assert_int_equal(event_chunk_status(&c), SLOT_CUT);
	assert_false(event_chunk_lost(&c, 0, 100));
	assert_true(event_chunk_lost(&c, 0, 101));
	assert_true(event_chunk_lost(&c, 100, 1));
	assert_true(event_chunk_lost(&c, 100 + EVENT_PAGE - 1, 8));
	assert_false(event_chunk_lost(&c, 100 + EVENT_PAGE, 8));
	assert_true(event_chunk_lost(&c, 0, UINT16_MAX));
	c.status = SLOT_OK;
	assert_false(event_chunk_lost(&c, 0, UINT16_MAX));
}

static void test_bad_header(void **state)
{
	struct record r = good();

	assert_false(decodes(NULL, sizeof(r)));
	for (size_t n = 0; n < sizeof(r); n++)
		assert_false(decodes(&r, n));
	r.head.version++;
	assert_false(decodes(&r, sizeof(r)));
	r = good();
	r.head.slots = 5;
	assert_false(decodes(&r, sizeof(r)));
	r = good();
	r.head.slots = EVENT_MAX_SLOTS + 1;
	assert_false(decodes(&r, sizeof(r)));
	r = good();
	r.head.size += 8;
	assert_false(decodes(&r, sizeof(r)));
}

static void test_bad_slots(void **state)
{
	const struct event_slot bad[] = {
		{.status = SLOT_STATUS_COUNT},
		{.status = SLOT_OK, .copied = 5, .len = 4, .value = offsetof(struct record, data)},
		{.status = SLOT_OK, .copied = 17, .len = 17, .value = offsetof(struct record, data)},
		{.status = SLOT_OK, .copied = 1, .len = 1, .value = sizeof(struct record)},
		{.status = SLOT_OK, .copied = 1, .len = 1, .value = offsetof(struct record, data) - 1},
		{.status = SLOT_OK, .copied = 1, .len = 1, .value = UINT64_MAX},
		{.status = SLOT_OK, .copied = 65535, .len = UINT32_MAX, .value = UINT64_MAX - 65534},
		{.status = SLOT_NOT_RESIDENT, .copied = 1, .len = 1, .value = offsetof(struct record, data)},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct record r = good();

		r.slots[2] = bad[i];
		assert_false(decodes(&r, sizeof(r)));
	}
}

static void test_texts(void **state)
{
	assert_string_equal(slot_status_text(SLOT_NIL), "nil pointer");
	for (int s = 0; s < SLOT_STATUS_COUNT; s++)
		assert_string_not_equal(slot_status_text((enum slot_status)s), "unknown");
	assert_string_equal(slot_status_text(SLOT_STATUS_COUNT), "unknown");
	assert_string_equal(loss_name(LOSS_RING_FULL), "ring_full");
	assert_string_equal(loss_text(LOSS_BUSY), "no free scratch space on that CPU");
	assert_null(loss_name((enum loss)15));
	assert_null(loss_text(LOSS_COUNT));
}

/* Names are keys in JSON, labels in Prometheus: each one once. */
static void test_loss_names_differ(void **state)
{
	for (int i = 0; i < LOSS_COUNT; i++)
		for (int k = i + 1; k < LOSS_COUNT; k++)
			if (loss_name((enum loss)i) && loss_name((enum loss)k))
				assert_string_not_equal(loss_name((enum loss)i), loss_name((enum loss)k));
}

/* ---- chunks and samples ---- */

struct chunked {
	struct event_header head;
	struct event_slot slot;
	struct event_chunk first;
	char bytes[16];
	struct event_chunk second;
};

static struct chunked chunked(void)
{
	return (struct chunked){
		.head = {.size = sizeof(struct chunked), .version = EVENT_VERSION, .kind = EVENT_CALL, .slots = 1,
			 .goid = 7, .chunks = offsetof(struct chunked, first)},
		.slot = {.status = SLOT_OK, .value = offsetof(struct chunked, first)},
		.first = {.addr = 4096, .shape = 3, .len = 11, .status = SLOT_OK},
		.bytes = "hello world",
		.second = {.addr = 8192, .shape = 4, .status = SLOT_UNREADABLE},
	};
}

static bool chunks_decode(const struct chunked *r)
{
	struct event e;

	return event_decode(r, r->head.size, &e);
}

static void test_chunks(void **state)
{
	struct chunked r = chunked();
	const struct event_chunk *c;
	struct event e;

	assert_true(event_decode(&r, sizeof(r), &e));
	c = event_chunk_next(&e, NULL);
	assert_ptr_equal(c, &r.first);
	assert_memory_equal(event_chunk_bytes(c), "hello world", 11);
	c = event_chunk_next(&e, c);
	assert_ptr_equal(c, &r.second);
	assert_null(event_chunk_next(&e, c));
	r.first.len = 17; /* over the second's head */
	assert_false(chunks_decode(&r));
	r = chunked();
	r.second.len = 1; /* over the end */
	assert_false(chunks_decode(&r));
	r = chunked();
	r.second.status = SLOT_STATUS_COUNT;
	assert_false(chunks_decode(&r));
	r = chunked();
	r.head.chunks -= 16; /* in the slots */
	assert_false(chunks_decode(&r));
	r = chunked();
	r.head.chunks += 4;
	assert_false(chunks_decode(&r));
	r = chunked();
	r.head.chunks = 0;
	assert_true(event_decode(&r, sizeof(r), &e));
	assert_null(event_chunk_next(&e, NULL));
}

static void test_samples(void **state)
{
	struct {
		struct record end;
		struct chunked call;
	} s = {good(), chunked()};
	struct event e[2];
	size_t n = 0;

	s.end.head.kind = EVENT_RETURN;
	assert_true(event_decode_sample(&s, sizeof(s), e, &n));
	assert_int_equal(n, 2);
	assert_ptr_equal(e[1].head, &s.call.head);
	assert_false(event_decode_sample(&s, sizeof(s.end), e, &n)); /* an end alone */
	assert_false(event_decode_sample(&s, sizeof(s) - 8, e, &n));
	s.call.head.goid = 8;
	assert_false(event_decode_sample(&s, sizeof(s), e, &n));
	s.call.head.goid = 7;
	s.call.head.kind = EVENT_POINT;
	assert_false(event_decode_sample(&s, sizeof(s), e, &n));
	s.end.head.kind = EVENT_POINT;
	assert_false(event_decode_sample(&s, sizeof(s), e, &n)); /* two that do not belong together */
	assert_true(event_decode_sample(&s, sizeof(s.end), e, &n));
	assert_int_equal(n, 1);
	s.end.head.size = 0;
	assert_false(event_decode_sample(&s, sizeof(s), e, &n));
}

/* ---- contexts and links ---- */

struct with_context {
	struct event_header head;
	struct event_slot slot;
	struct event_context context;
	char padding[4];
};

static struct with_context with_context(void)
{
	return (struct with_context){
		.head = {.size = sizeof(struct with_context), .version = EVENT_VERSION, .slots = 1, .goid = 7},
		.slot = {.status = SLOT_OK, .copied = sizeof(struct event_context), .len = sizeof(struct event_context),
			 .value = offsetof(struct with_context, context)},
		.context = {.trace_id = {1}, .span_id = {[7] = 2}, .flags = EVENT_CONTEXT_SAMPLED},
	};
}

static bool holds_context(const struct with_context *r, struct event_context *ret)
{
	struct event e;

	return event_decode(r, r->head.size, &e) && event_context(&e, 0, ret);
}

static void test_context(void **state)
{
	struct with_context r = with_context();
	struct event_context c = {.flags = 77};
	struct event e;

	assert_true(holds_context(&r, &c));
	assert_memory_equal(&c, &r.context, sizeof(c));
	assert_true(event_decode(&r, sizeof(r), &e));
	assert_false(event_context(&e, 1, &c)); /* no such slot */
	r.slot.value += 4; /* wherever it lies */
	memmove((char *)&r.context + 4, &r.context, sizeof(r.context));
	assert_true(holds_context(&r, &c));
	assert_int_equal(c.trace_id[0], 1);
	r.slot.value += 1; /* over the end */
	assert_false(holds_context(&r, &c));
	r = with_context();
	r.slot.copied = r.slot.len = 24;
	assert_false(holds_context(&r, &c));
	r = with_context();
	r.slot.len++;
	r.slot.status = SLOT_CUT;
	assert_false(holds_context(&r, &c));
	r = with_context();
	r.slot = (struct event_slot){.status = SLOT_NIL};
	assert_false(holds_context(&r, &c));
	r = with_context();
	r.context.trace_id[0] = 0;
	assert_false(holds_context(&r, &c));
	r = with_context();
	r.context.span_id[7] = 0;
	assert_false(holds_context(&r, &c));
}

struct link_record {
	struct event_header head;
	struct event_slot slots[3];
};

static struct link_record link_record(void)
{
	return (struct link_record){
		.head = {.size = sizeof(struct event_header) + LINK_SLOTS * sizeof(struct event_slot),
			 .version = EVENT_VERSION, .kind = EVENT_LINK, .slots = LINK_SLOTS, .goid = 9},
		.slots = {[LINK_PARENT] = {.status = SLOT_OK, .value = 7},
			  [LINK_EPOCH] = {.status = SLOT_OK, .value = 1000}},
	};
}

static bool links(const struct link_record *r)
{
	struct event_link link;
	struct event e;

	return event_decode(r, r->head.size, &e) && event_link(&e, &link);
}

struct with_chain {
	struct event_header head;
	struct event_slot slot;
	uint64_t words[EVENT_CHAIN_BYTES / 8 + 1];
};

/* A record with a chain of so many words. */
static struct with_chain chain_of(size_t n, const uint64_t *words)
{
	struct with_chain r = {
		.head = {.size = (uint32_t)(offsetof(struct with_chain, words) + 8 * n), .version = EVENT_VERSION,
			 .slots = 1, .goid = 7},
		.slot = {.status = SLOT_OK, .copied = (uint16_t)(8 * n), .len = (uint32_t)(8 * n),
			 .value = offsetof(struct with_chain, words)},
	};

	for (size_t i = 0; i < n && i < ARRAY_SIZE(r.words); i++)
		r.words[i] = words ? words[i] : i + 1 < n ? 0x1000 + 8 * i : CHAIN_TOO_LONG;
	return r;
}

static bool holds_chain(const struct with_chain *r, struct event_chain *ret)
{
	struct event e;

	return event_decode(r, r->head.size, &e) && event_chain(&e, 0, ret);
}

static void test_chain(void **state)
{
	struct with_chain r = chain_of(3, (uint64_t[]){0xc000010000, 0xc000020000 | CHAIN_POOLED, CHAIN_ROOT});
	struct event_chain_link l;
	struct event_chain c;

	assert_true(holds_chain(&r, &c));
	assert_int_equal(c.n, 2);
	assert_int_equal(c.end, CHAIN_ROOT);
	assert_true(event_chain_link(&c, 0, &l) && l.addr == 0xc000010000 && !l.pooled);
	assert_true(event_chain_link(&c, 1, &l) && l.addr == 0xc000020000 && l.pooled);
	assert_false(event_chain_link(&c, 2, &l));
	r = chain_of(1, (uint64_t[]){CHAIN_UNKNOWN_TYPE});
	assert_true(holds_chain(&r, &c) && c.n == 0 && c.end == CHAIN_UNKNOWN_TYPE);
	assert_false(event_chain_link(&c, 0, &l));
	r = chain_of(EVENT_MAX_CHAIN + 1, NULL);
	assert_true(holds_chain(&r, &c) && c.n == EVENT_MAX_CHAIN && c.end == CHAIN_TOO_LONG);
}

/* An SDK's span is behind the end: all of it, of a link that is there. Without ids there is none. */
static void test_chain_span(void **state)
{
	uint64_t words[13] = {0xc000010000, 0xc000020000, CHAIN_ROOT, 1, 2, 3, 0xab01, 0xcd01, 2, 0x4000, 9, 2, 0x5000};
	struct with_chain r = chain_of(13, words);
	struct event_chain c;

	assert_true(holds_chain(&r, &c) && c.has_span && c.n == 2 && c.end == CHAIN_ROOT);
	assert_memory_equal(c.span.trace_id, words + 3, 16);
	assert_memory_equal(c.span.span_id, words + 5, 8);
	assert_int_equal(c.span.flags, 1);
	assert_int_equal(c.span.remote, 1);
	assert_true(c.span.kind == 2 && c.span.scope == 0x4000 && c.span.scope_len == 9 && c.span.link == 2);
	assert_int_equal(c.span.object, 0x5000);
	for (uint64_t link = 0; link <= 3; link += 3) {
		words[11] = link;
		r = chain_of(13, words);
		assert_false(holds_chain(&r, &c));
	}
	words[11] = 1;
	r = chain_of(12, words);
	assert_false(holds_chain(&r, &c));
	words[5] = 0;
	r = chain_of(13, words);
	assert_true(holds_chain(&r, &c) && !c.has_span && c.n == 2 && c.span.link == 1 && c.span.object == 0x5000);
}

/* What is no chain is none: without its end, with an end in its middle, too long, cut, unaligned in length. */
static void test_no_chain(void **state)
{
	struct with_chain r = chain_of(2, (uint64_t[]){0x1000, 0x2000});
	struct event_chain c = {.n = 77};

	assert_false(holds_chain(&r, &c));
	r = chain_of(2, (uint64_t[]){CHAIN_ROOT, CHAIN_ROOT});
	assert_false(holds_chain(&r, &c));
	r = chain_of(1, (uint64_t[]){CHAIN_END_COUNT});
	assert_false(holds_chain(&r, &c));
	r = chain_of(EVENT_MAX_CHAIN + 2, NULL);
	assert_false(holds_chain(&r, &c));
	r = chain_of(2, NULL);
	r.slot.copied = 12;
	assert_false(holds_chain(&r, &c));
	r = chain_of(2, NULL);
	r.slot.len = 24;
	assert_false(holds_chain(&r, &c));
	r = chain_of(2, NULL);
	r.slot.status = SLOT_CUT;
	assert_false(holds_chain(&r, &c));
	r = chain_of(0, NULL);
	assert_false(holds_chain(&r, &c));
	assert_int_equal(c.n, 77);
}

static void test_link(void **state)
{
	struct link_record r = link_record(), bad;
	struct record other = good();
	struct event_link link;
	struct event e[2];
	size_t n;

	assert_true(event_decode_sample(&r, r.head.size, e, &n)); /* it stands for itself */
	assert_int_equal(n, 1);
	assert_true(event_link(&e[0], &link));
	assert_int_equal(link.goid, 9);
	assert_int_equal(link.parent, 7);
	assert_int_equal(link.epoch_ns, 1000);
	assert_true(event_decode(&other, sizeof(other), &e[0]));
	assert_false(event_link(&e[0], &link));
	bad = r;
	bad.slots[LINK_PARENT].value = 9; /* of itself */
	assert_false(links(&bad));
	bad.slots[LINK_PARENT].value = 0;
	assert_false(links(&bad));
	bad = r;
	bad.head.goid = 0;
	assert_false(links(&bad));
	bad = r;
	bad.slots[LINK_EPOCH].status = SLOT_UNREADABLE;
	assert_false(links(&bad));
	bad = r;
	bad.head.slots = 1;
	bad.head.size -= sizeof(struct event_slot);
	assert_false(links(&bad));
	bad = r;
	bad.head.slots = 3;
	bad.head.size += sizeof(struct event_slot);
	assert_false(links(&bad));
	bad = r;
	bad.head.size += 8; /* bytes that nothing refers to */
	assert_false(links(&bad));
	bad = r;
	bad.head.chunks = bad.head.size; /* no chunks, but a place for them */
	assert_false(links(&bad));
	bad = r;
	bad.head.kind = EVENT_KIND_COUNT;
	assert_false(links(&bad));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),      cmocka_unit_test(test_part), cmocka_unit_test(test_lost_pages),
		cmocka_unit_test(test_empty_string),
		cmocka_unit_test(test_bad_header), cmocka_unit_test(test_bad_slots),
		cmocka_unit_test(test_chunks),    cmocka_unit_test(test_samples),
		cmocka_unit_test(test_texts),     cmocka_unit_test(test_loss_names_differ),
		cmocka_unit_test(test_context),    cmocka_unit_test(test_link),
		cmocka_unit_test(test_chain),      cmocka_unit_test(test_chain_span), cmocka_unit_test(test_no_chain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
