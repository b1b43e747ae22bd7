/* Calls and groups made by hand, and what an output of trace wrote for them. For tests of sink/call_*. */
#ifndef TESTS_UNIT_CALLS_H
#define TESTS_UNIT_CALLS_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "call/call.h"
#include "sink/call_sinks.h"

#define CALL_START UINT64_C(1700000000123456789) /* 22:13:20.123 UTC */

static const struct resource shop_resource = {.id = 1, .pid = 4711, .name = "shop"};
static const struct resource cart_resource = {.id = 2, .pid = 80, .name = "cart"};
static const struct call_process shop = {.resource = &shop_resource}, cart = {.resource = &cart_resource};

static const struct shown add_shown[] = {
	{.name = "user", .kind = SHOWN_ARG, .at_entry = true, .slot = 0},
	{.name = "n", .kind = SHOWN_ARG, .at_entry = true, .slot = 1},
	{.name = "err", .kind = SHOWN_RESULT, .slot = 0},
};
static const struct call_plan add_plan = {
	.name = "main.(*Cart).Add", .func = {.entry = 0x2000, .end = 0x2100, .name = "main.(*Cart).Add"},
	.has_return = true, .shown = add_shown, .nshown = 3, .stack_slot = -1,
};

static inline struct value_node a_string(const char *s)
{
	return (struct value_node){.form = FORM_STRING, .text = s, .len = strlen(s), .full_len = strlen(s)};
}

static inline struct value_node a_text(const char *s)
{
	return (struct value_node){.form = FORM_TEXT, .text = s, .len = strlen(s)};
}

static inline struct value_node an_int(int64_t i)
{
	return (struct value_node){.form = FORM_INT, .i = i};
}

/* A call of (*Cart).Add; values must hold three. */
static inline struct call_record a_call(struct call_value *values, const char *user, int n, uint64_t duration_ns)
{
	values[0] = (struct call_value){&add_shown[0], a_string(user)};
	values[1] = (struct call_value){&add_shown[1], an_int(n)};
	values[2] = (struct call_value){&add_shown[2], {.form = FORM_NIL}};
	return (struct call_record){.plan = &add_plan, .process = &shop, .end = CALL_RETURNED,
				    .start_unix_ns = CALL_START, .start_ns = 5000000000, .duration_ns = duration_ns,
				    .goid = 17, .depth = 0x200, .values = values, .nvalues = 3};
}

static inline void call_ended(struct call_record *c, struct call_value *values, enum call_end end)
{
	c->end = end;
	c->duration_ns = end == CALL_POINT ? 0 : c->duration_ns;
	values[2].value = (struct value_node){.form = FORM_UNREADABLE};
}

/* ---- what was written ---- */

static int kept_fd;

static inline int written_fd(void)
{
	int fd = memfd_create("written", 0);

	setenv("TZ", "UTC", 1);
	tzset();
	kept_fd = dup(fd);
	return fd;
}

/* The whole text; the next call frees it. */
static inline const char *written_so_far(void)
{
	static char text[1 << 20];
	ssize_t n = pread(kept_fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = 0;
	return text;
}

static inline const char *written_close(struct sink *s)
{
	const char *text;

	s->ops->close(s, 2000);
	text = written_so_far();
	close(kept_fd);
	return text;
}

#endif
