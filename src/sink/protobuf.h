/*
 * Fields of protobuf messages, written one after the other where there is room: for spans, which by way of protobuf-c's
 * objects take five times as long (of 14 attributes 1.0 instead of 0.2 µs, 19,500 instead of 4,000 instructions). Each
 * function returns where the next field goes.
 * A field that has its type's default value (0, "") is not on the wire in proto3; to leave it out is the caller's,
 * since in a oneof it says which one it is.
 */
#ifndef SINK_PROTOBUF_H
#define SINK_PROTOBUF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/copy.h"

#define PROTOBUF_VARINT_MAX 10 /* bytes */

enum protobuf_wire { PROTOBUF_VARINT = 0, PROTOBUF_FIXED64 = 1, PROTOBUF_LENGTH = 2, PROTOBUF_FIXED32 = 5 };

static inline size_t protobuf_varint_size(uint64_t v)
{
	return v < 0x80 ? 1 : (70u - (size_t)__builtin_clzll(v)) / 7;
}

/* Of a text, bytes or a message of n bytes, with its length and its tag; of fields below 16. */
static inline size_t protobuf_length_size(size_t n)
{
	return 1 + protobuf_varint_size(n) + n;
}

static inline uint8_t *protobuf_put_varint(uint8_t *p, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p++ = (uint8_t)v;
	return p;
}

static inline uint8_t *protobuf_put_tag(uint8_t *p, unsigned field, enum protobuf_wire wire)
{
	return protobuf_put_varint(p, field << 3 | wire);
}

static inline uint8_t *protobuf_put_number(uint8_t *p, unsigned field, uint64_t v)
{
	return protobuf_put_varint(protobuf_put_tag(p, field, PROTOBUF_VARINT), v);
}

/* Little-endian, as this machine is (event/event.h). */
static inline uint8_t *protobuf_put_fixed64(uint8_t *p, unsigned field, uint64_t v)
{
	p = protobuf_put_tag(p, field, PROTOBUF_FIXED64);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static inline uint8_t *protobuf_put_fixed32(uint8_t *p, unsigned field, uint32_t v)
{
	p = protobuf_put_tag(p, field, PROTOBUF_FIXED32);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

/* The head of a field of n bytes, which follow: a message's fields. */
static inline uint8_t *protobuf_put_length(uint8_t *p, unsigned field, size_t n)
{
	return protobuf_put_varint(protobuf_put_tag(p, field, PROTOBUF_LENGTH), n);
}

static inline uint8_t *protobuf_put_bytes(uint8_t *p, unsigned field, const void *bytes, size_t n)
{
	p = protobuf_put_length(p, field, n);
	copy_short(p, bytes, n);
	return p + n;
}

#endif
