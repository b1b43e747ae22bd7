/*
 * A pack: what to observe in one library, read from a YAML file under packs/ (the format is explained in
 * docs/packs.md and at the top of packs/net-http.yaml). Pure description: nothing here knows a binary.
 */
#ifndef PROBE_PACK_H
#define PROBE_PACK_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "binary/binary.h"
#include "probe/bind/bind.h"
#include "probe/pack/pack_condition.h"
#include "probe/pack/pack_summary.h"
#include "probe/pack/span_kind.h"

enum point_role {
	POINT_START,   /* opens a span on its goroutine */
	POINT_END,     /* closes the innermost open span of its definition on its goroutine */
	POINT_NOTE,    /* adds attributes to that span */
	POINT_UNWIND,  /* a panic was recovered: every call deeper than the record's depth ended in it */
	POINT_EXIT,    /* the goroutine is ending: all its calls end (Goexit) */
	POINT_PANIC,   /* a panic begins: captures what was panicked with */
	POINT_JOIN,    /* a note, also from another goroutine: that one works for the span that has the same key */
	POINT_TIE,     /* a note that gives the innermost open span of its goroutine its key, for joins only */
	POINT_DETACH,  /* a note that gives the innermost open span of its goroutine its key: it is detached then */
	/* Of a client's span, with --propagate alone. None belongs to the span that is open on the goroutine */
	POINT_ARM,     /* a request is about to be written: what a POINT_INJECT has to know of it is saved */
	POINT_INJECT,  /* its headers are being written: the span's trace context is put among them */
	POINT_RELEASE, /* the function of a POINT_INJECT that lends it memory returns: that is given back */
	POINT_SDK,     /* an OpenTelemetry SDK has begun a span, which the context that is its `parent` has */
};

extern const char *const point_role_names[]; /* as packs write them; ends with NULL */

/* The attributes that a statement of SQL has to do with; each may be NULL. */
struct sql_attributes {
	const char *system;            /* known before: whose SQL it is, a db.system.name */
	const char *operation, *collection, *summary; /* what is read in it goes there */
};

/* How a captured value becomes an attribute (all optional; applied in this order). */
struct transform {
	const char *default_value;     /* used when the value is 0 or "" (one that is not there stays so) */
	const char *field;             /* the value is lines `Name: value` of HTTP: that of the first such field, in
					* whatever case; drop if there is none */
	bool ip;                       /* the value is an IP in its 4 or 16 bytes: it becomes its text */
	const char *until;             /* keep what stands before the first occurrence of this */
	bool escape;                   /* the value is a path: percent-encode it, as Go's URL.EscapedPath does */
	bool unescape;                 /* the value is percent-encoded, as in URLs: decode it */
	const char *const *drop;       /* values that are no attribute, NULL-terminated */
	const char *from;              /* keep from the first occurrence of this on; drop if it has none */
	const char *after;             /* keep what stands behind its first occurrence; drop if it has none */
	bool upper;                    /* ASCII letters become capitals */
	bool trailing_number;          /* keep the number that the text ends with; drop if there is none */
	const char *const *append;     /* attributes, known before, whose texts go behind the value */
	const char *const *replace;    /* pairs text, replacement, …, NULL: each as often as it is found; "text$" at the
					* end only. Never so that nothing is left */
	const char *parameters;        /* attributes NAME.n and NAME.0.at, .len, .name, …: the parts of a path that
					* stand for parameters, which become :name and *name */
	const char *const *mounted;    /* three attributes, known before: a route, a path, a whole path. The value is
					* the route of the path, which is the end of the whole: put the part of the
					* known route in front that belongs to what is before it, or drop it */
	const char *prefix_of;         /* keep only when that attribute, known before, begins with the value (up to
					* its first "{") */
	const char *const *same;       /* two attributes, known before: keep only when they do not
					* contradict each other */
	const char *const *redact;     /* parameters of a URL's query whose values become REDACTED, NULL-terminated */
	const struct sql_attributes *sql; /* the value is a statement: its literals become ?; or NULL */
	const char *const *map;        /* pairs value, replacement, …, NULL */
	const char *const *known;      /* values kept as they are, NULL-terminated; others become `other` */
	const char *other;             /* … and the original goes to attribute `original` */
	const char *original;
	const char *title_other;       /* how titles write a value that became `other` */
	const char *port_attribute;    /* the value is host:port: the host stays, the port goes there */
	bool add;                      /* a number: added to the one that the attribute has. Absent where a record may
					* have been lost meanwhile */
	bool unless_known;             /* keep only when the attribute has no value yet */
	bool keep_empty;               /* emit "" too (default: an empty string is no attribute) */
	bool min_set;
	int64_t min;                   /* integers below are no attribute (ContentLength -1) */
	bool hidden;                   /* for rules and names only, not emitted */
};

enum capture_use {
	USE_ATTRIBUTE,
	USE_SAVED,       /* kept for the other points of the span, where it is called saved.NAME */
	USE_PANIC_TYPE,  /* PANIC: the type of what was panicked with */
	USE_RECOVERY_PC, /* UNWIND: where the program goes on, in the frame that recovered */
	USE_LIST,        /* VALUE_IMAGE: lists of the program's own attributes are in it (struct pack_lists) */
	/* START, VALUE_CONTEXT. No pack says these: whoever makes the ids (or writes the records) adds them to the
	 * variant */
	USE_CONTEXT,     /* the span's own ids, made where the probe fired */
	USE_PARENT,      /* its parent's; NIL: it has none */
	/* START (SDK the first one, DETACH the second one, too), VALUE_CHAIN: contexts, as the variant's `parent` and
	 * `context` say */
	USE_PARENT_CHAIN,/* the context that the span begins under, towards the root: any of its links may be another
			  * span's own one. There may be several captures of it, of which at most one is not ABSENT */
	USE_OWN_CHAIN,   /* the context that the span is given: one link at most, which is the span's as long as it is
			  * open; none where it is nobody's (context.Background). Its end says nothing */
	/*
	 * START, VALUE_UINT but for the pc: lineage, captured without being asked for (the first two by NOTE with
	 * by_lineage, too). Of the record's goroutine: which
	 * one created it, and where it began. And the epoch: ids are handed out from the scheduler's counter in
	 * batches, one to each P. A goroutine was created after the record if its id is greater than GOIDGEN, or not
	 * less than GOID_CACHE and less than GOID_CACHE_END (of the P that the record was written on), which counts
	 * only where the end is at most LINEAGE_BATCH more: the two may be read in the middle of a change. Of a variant
	 * either all of the epoch is there or nothing of it.
	 */
	USE_CREATOR,     /* g.parentGoid; 0: nobody (a timer, a finalizer, a callback) */
	USE_START_PC,    /* VALUE_PC: g.startpc, of the function that the goroutine began with */
	USE_GOIDGEN,     /* sched.goidgen: the newest id that a batch may have */
	USE_GOID_CACHE,  /* p.goidcache: the next id of the own P's batch … */
	USE_GOID_CACHE_END, /* … p.goidcacheend: behind the last one */
	USE_PRESENT,     /* ARM: there where it is a request that has a trace context by the program */
	USE_ARMED,       /* INJECT: there where it is a request that could get a trace context */
	USE_INJECT,      /* … then: enum inject_outcome */
	USE_BY,          /* ARM: likewise no value. A carrier of the span that it is about, not of its goroutine's */
	USE_CARRIER,     /* START, NOTE, JOIN, TIE: no value of the record. The address of an object, by which whoever
			  * writes the span's request finds its mark (probe/mark.h) */
};

struct pack_capture {
	enum capture_use use;
	const char *name;              /* of the attribute (may repeat with other `when`s); "saved.NAME" */
	const char *saved_as;          /* USE_SAVED: NAME */
	const char *const *alternatives; /* NULL-terminated expressions; empty with `constant` */
	const char *constant;          /* a fixed text, emitted where `when` holds */
	bool number;                   /* … which is a number (beside an expression it is of that one's kind) */
	const struct inject_item *inject; /* USE_INJECT */
	const char *when;
	bool optional;
	const char *once_for;          /* read once on a goroutine for as long as this expression is the same word */
	bool may_be_gone;              /* read through memory that may be free: no loss where the attribute is known */
	struct transform transform;
	int line;                      /* in the YAML, for messages */
};

struct pack_variant {              /* one way to find a join point; the first that resolves is used */
	const char *func;              /* as func_ref_parse takes it */
	/* No pack says these two: a pack that is made for one binary knows the function, and what is declared of it */
	const struct func *function;   /* then func is only its name */
	const struct declared_signature *declared; /* or NULL */
	bool at_return;
	const char *when, *goroutine, *sp;
	const char *needs_absent;      /* "pkg.Type.field": only where that field does not exist */
	const char *needs_present;     /* … only where it does */
	const char *needs_func;        /* only where the binary has that function */
	const char *needs_no_func;     /* … only where it has not */
	const char *const *needs_copy; /* a type and functions, NULL-terminated: only where code may copy a value of it,
					* other than these */
	const char *const *needs_no_copy; /* … only where none may */
	const char *needs_run;         /* only where something refers to that function */
	const char *refused;           /* why this cannot be done, where there is the function; NULL: it can */
	bool not_inlined;              /* only where no call of the function was inlined: an entry sees none of these */
	const char *const *needs_call; /* a function and others, NULL-terminated: only where its code calls these */
	const char *const *needs_no_call; /* … none of these (inlined is not called) */
	const struct pack_capture *captures;
	size_t ncaptures;
	int line;
};

struct pack_point {
	enum point_role role;
	const char *name;              /* unique within the span definition, for messages */
	const struct pack_variant *variants;
	size_t nvariants;
	bool optional;                 /* its absence is no refusal of the span */
	bool or_end;                   /* DETACH: without a key there is nothing that outlives the call: it ends */
	bool recovers;                 /* START: a recovery in its own frame ends it as a panic too */
	bool by_lineage;               /* NOTE: also of the span within which its goroutine was created */
	bool may_miss;                 /* END: normally fires without an open span too: no loss then */
	/* END, DETACH with or_end: drop the span when that attribute equals this */
	const char *discard_attribute, *discard_value;
	int line;
};

/* One end of a connection, by the attributes that hold it (what transforms have made of the captures). */
struct pack_endpoint {
	const char *address;           /* the text of an IP; without port the text "IP:port" */
	const char *port;              /* a number, or NULL */
};

/* What a client span and the server span of the same request have in common. */
struct pack_connection {
	struct pack_endpoint local, remote;
	const char *stream;            /* a number that tells the connection's requests apart, or NULL: it has one
					* request at a time */
};

/* An attribute that is put together from others when the span ends. */
struct pack_composed {
	const char *name;
	const struct summary *forms;   /* the first of which all is known; of attributes and texts only */
};

/* Captures of headers that come in other words than W3C's; each may be NULL. */
struct pack_b3_headers {
	const char *trace, *span, *sampled, *flags;
};
struct pack_datadog_headers {
	const char *trace, *parent, *priority, *tags;
};
/* Which of them are looked at (OpenTelemetry's names of propagators): each costs every request reads. */
enum propagators { PROPAGATOR_B3 = 1, PROPAGATOR_B3MULTI = 2, PROPAGATOR_DATADOG = 4 };

/*
 * Libraries of OpenTelemetry that record the same operation: names of instrumentation scopes, NULL-terminated lists or
 * NULL. Their span begins outside of this one, so that this one begins under its context; or inside.
 */
struct pack_sdk {
	const char *const *outside, *const *inside;
};

/*
 * Attributes that the program itself has names for: what an element of a list of them looks like. Fields are paths in
 * it.
 */
enum list_form { LIST_BOOL, LIST_INT, LIST_FLOAT, LIST_TEXT, LIST_ITEMS };
struct pack_list_value {
	const char *number;            /* of its type */
	enum list_form form;           /* ITEMS: an interface that holds an array of one of the others */
	const char *field;
};
struct pack_lists {
	const char *each;              /* the type of an element, a struct: path/package.Type */
	const char *name, *type;       /* fields: a text, a number */
	const struct pack_list_value *values;
	size_t nvalues;
	/* Pairs F, attribute, …, NULL; or NULL. A function value among the captured that was made in the function F:
	 * the first variable that it closes over, a number, is that attribute, hidden. */
	const char *const *closures;
};

struct pack_span {
	const char *name;              /* of the definition */
	enum span_kind kind;
	const char *const *titles;     /* "{http.request.method} {http.route}": first with all parts present */
	const struct condition *error; /* over its attributes: the span is an error when it holds; or NULL */
	const struct summary *summary; /* what a row of the terminal shows of it; or NULL */
	const struct pack_composed *composed;
	size_t ncomposed;
	const char *traceparent;       /* name of the capture that holds an incoming W3C traceparent */
	const char *tracestate;        /* … an incoming W3C tracestate; it counts where the traceparent does */
	const char *b3;                /* … an incoming `b3` header */
	const struct pack_b3_headers *b3multi;
	const struct pack_datadog_headers *datadog;
	const struct pack_connection *connection; /* over which its request goes; or NULL */
	const struct pack_sdk *sdk;    /* who else records it; or NULL */
	const char *key;               /* name of the capture, a pointer or number, that no other open span shares */
	bool context_holds_key;        /* its context is one of a value, which is the span's only while the object at
					* one of its keys is that value */
	const struct pack_lists *lists; /* or NULL */
	/* Attributes, or NULL: a number as enum span_kind, which it has instead of kind; one that says, by being there,
	 * that it begins a trace; one that says so that it is none: what is below it is its parent's; what is said of
	 * it where it is an error. */
	const char *kind_from, *root, *transparent, *status_text;
	const char *event_name;        /* an attribute, or NULL: a note that says it is of a moment within the span */
	bool detached;                 /* once its key is captured it is found by that, on any goroutine */
	bool nested_same;              /* a start while one of this pack is open on the goroutine is the same call */
	/* A start within a span of one of these on its goroutine is part of that one: names of definitions of this
	 * pack, or of packs; NULL-terminated, or NULL. */
	const char *const *part_of;
	const struct pack_point *points;
	size_t npoints;
	const char *const *extended_with; /* attributes that only what extends it captures, NULL-terminated; or NULL */
	const char *extends;           /* "pack/span": its points are of that span, and nothing else is set */
	const struct pack_span *of;    /* … that span; NULL until packs_resolve, or where its pack is not loaded */
	int line;
};

struct pack {
	const char *name, *about, *file;
	uint64_t hash;                 /* fnv1a of its text: another earshot's of that name may be another one */
	bool on_request;               /* used only where --packs has its very name */
	const char *const *packages;   /* applies when the binary has one of them; NULL-terminated. NULL: it is made
					* for one binary */
	const struct pack_span *spans;
	size_t nspans;
	const struct pack_point *hooks;/* UNWIND, EXIT, PANIC: of the runtime, not of a span */
	size_t nhooks;
	const char *const *texts;      /* pairs: an error's type, the field that is its text or a pattern; or NULL */
	const struct declared_type *types; /* that binaries may not describe, for all declared signatures */
	size_t ntypes;
	struct arena arena;
};

struct pack_source {
	const char *file, *text;
	size_t len;
};
extern const struct pack_source pack_builtin[]; /* generated from packs/, ends with a NULL file */

/* Errors: -EINVAL "file:line:column: sentence" (1-based). Expressions and func refs are syntax-checked too. */
int pack_parse(const char *file, const char *text, size_t len, struct pack **ret, struct err *err);
/*
 * Finds the spans that packs add to among these packs. Call it once all are parsed; they refer to each other from then
 * on, so none is freed before the others are out of use. Errors: -ENOENT, the pack is not among them; -EINVAL, it has
 * no such span, or a rule names an attribute that neither of the two captures; or a span is part of what is neither a
 * span of its pack, nor one of these packs or of those that are built in. In words, with file and line.
 */
int packs_resolve(struct pack *const *packs, size_t n, struct err *err);
/* The same for one of them. Spans that it adds to refer to those packs from then on. */
int pack_resolve(struct pack *const *packs, size_t n, struct pack *p, struct err *err);
/*
 * What the starts of a span's points capture of lineage without being asked for, as its kind and contexts want it.
 * pack_parse does it; who makes a span otherwise does it once all its points are there. In arena.
 */
void pack_add_lineage(struct arena *arena, const struct pack_span *s);
void pack_free(struct pack *p); /* NULL ok */

/* What its span is called where a point is woven, by the part that has the point; "-": part is NULL, it is a hook. */
static inline const char *pack_woven_span(const struct pack_span *part)
{
	if (!part)
		return "-";
	return part->extends ? part->extends : part->name;
}

/* Whether the point is for --propagate alone. */
static inline bool point_writes(const struct pack_point *p)
{
	return p->role == POINT_ARM || p->role == POINT_INJECT || p->role == POINT_RELEASE;
}

/* Whether a variant lends its function what it writes, until that returns: a point with role release sees to that. */
bool pack_lends(const struct pack_variant *v);
bool pack_loan(const struct pack_point *p, const struct pack_variant *v); /* it does, or sees to that */

#endif
