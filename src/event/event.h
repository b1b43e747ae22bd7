/*
 * The record that every planter writes and every consumer reads, version 1. Little-endian, 8-byte
 * aligned: header, then `slots` slots, then the bytes that slots refer to. Nothing outside event/
 * decodes it by hand, and the planters write it from these definitions only.
 */
#ifndef EVENT_EVENT_H
#define EVENT_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVENT_VERSION 1
#define EVENT_MAX_SLOTS 48
#define EVENT_MAX_STRING 4096          /* a value longer than this is cut, and says so */
#define EVENT_MAX_DATA (32 * 1024)     /* all string bytes of one record */
#define EVENT_MAX_SIZE (sizeof(struct event_header) + EVENT_MAX_SLOTS * sizeof(struct event_slot) + EVENT_MAX_DATA)

struct event_header {
	uint32_t size;    /* of the whole record */
	uint16_t version;
	uint16_t slots;
	uint32_t probe;   /* which capture program wrote it */
	uint32_t target;  /* which process: the number it was planted under */
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	uint64_t goid;    /* 0: no goroutine (system stack) */
	uint64_t depth;   /* stack.hi - SP at the function's entry: grows with call depth, survives stack moves */
};
_Static_assert(sizeof(struct event_header) == 40, "wire format");

enum slot_status {
	SLOT_ABSENT,      /* its condition was false */
	SLOT_OK,
	SLOT_CUT,         /* a string of len bytes, of which copied are here */
	SLOT_NIL,         /* a nil pointer, interface or map on the way */
	SLOT_NOT_RESIDENT,/* string bytes the planter could not read: value is their address */
	SLOT_UNREADABLE,  /* memory on the way could not be read */
	SLOT_RANGE,       /* index out of range */
	SLOT_NO_KEY,      /* map without that key */
	SLOT_OTHER_TYPE,  /* a type assertion failed */
	SLOT_MAP_BUSY,    /* the map was too large or being moved: not searched to the end */
	SLOT_STATUS_COUNT
};

struct event_slot {
	uint8_t status;
	uint8_t reserved;
	uint16_t copied;  /* bytes in the record */
	uint32_t len;     /* full length in the program */
	uint64_t value;   /* scalar; or offset of the bytes from the record's start; or their address */
};
_Static_assert(sizeof(struct event_slot) == 16, "wire format");

/* A checked view of a record. Points into it. */
struct event {
	const struct event_header *head;
	const struct event_slot *slots;
};

/* False when the bytes are not a whole, consistent record of this version. */
bool event_decode(const void *data, size_t size, struct event *ret);
/* The bytes of a string slot (SLOT_OK or SLOT_CUT), NULL otherwise. */
const char *event_bytes(const struct event *e, size_t slot, size_t *ret_len);
const char *slot_status_text(enum slot_status s); /* "nil pointer", "not resident" … */

#endif
