/* A statement of SQL as it may be shown: without its literals, and what it does to which tables. */
#ifndef SPAN_SQL_H
#define SPAN_SQL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Zero-initialised is empty; the buffers are used again by the next statement. */
struct sql_statement {
	struct buf text;         /* literals are ?, comments are gone, white space is one blank */
	struct buf summary;      /* "SELECT users orders": operations and tables in their order, at most 255 bytes */
	struct buf operation;    /* the first one, as it is written: "SELECT", "CREATE TABLE"; empty: none was found */
	struct buf collection;   /* the table, if there is only one, as it is written; else empty */
};
void sql_statement_done(struct sql_statement *q);

/*
 * Reads the first len bytes of a statement; the rest may have been cut off anywhere. system is a db.system.name of
 * the OpenTelemetry conventions, or NULL: it decides about quotes that systems read differently. Where nothing
 * decides, what may be a literal is taken for one; where even its end is uncertain, all that follows is left out.
 */
void sql_read(struct sql_statement *q, const char *system, const char *s, size_t len);

#endif
