/* Inside the JSON sink: json.c, json_span.c, json_call.c. */
#ifndef SINK_JSON_SINK_H
#define SINK_JSON_SINK_H

#include "base/json.h"
#include "sink/file_sink.h"
#include "sink/frame_names.h"

struct json_sink {
	struct file_sink file;  /* first */
	unsigned gives;         /* of its setup */
	struct frame_names names;
};

/* A line with an object, whose members come between. */
struct json json_line_begin(struct json_sink *o);
void json_line_end(struct json_sink *o, struct json *j);

/* Members of the object that is open. */
void write_number(struct json *j, const char *key, uint64_t value);
void write_string(struct json *j, const char *key, const char *value); /* NULL: "" */

/* Hooks. */
void json_sink_span(struct sink *s, const struct span *span);
void json_sink_call(struct sink *s, const struct call_record *c);
void json_sink_groups(struct sink *s, const struct call_group *groups, size_t n, bool last);
void json_sink_lost(struct sink *s, const struct losses *l);

#endif
