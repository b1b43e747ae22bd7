/* What who writes segments and who reads them must both know. */
#ifndef RECORD_SEGMENT_FORMAT_H
#define RECORD_SEGMENT_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define SEGMENT_MAGIC "ESEG"
#define RECORD_HEADER 8  /* size and checksum, of what follows */
#define NUMBER_MAX    10 /* bytes of a varint */

/* Numbers of records are the file's: never reused. */
enum segment_record {
	RECORD_NAME = 1,     /* text; the n-th is name n */
	RECORD_RESOURCE = 2,
	RECORD_SUMMARY = 3,  /* the n-th is summary n */
	RECORD_SPAN = 4,
	RECORD_LOSSES = 5,
};

uint64_t segment_seed(uint64_t sequence, uint64_t recording);
uint32_t segment_checksum(uint64_t seed, const uint8_t *bytes, size_t n);

#endif
