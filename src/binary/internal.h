/*
 * What the files of src/binary share and nobody else sees: the insides of struct binary, the type
 * objects with their lazily read parts, and the readers each file offers the others.
 */
#ifndef BINARY_INTERNAL_H
#define BINARY_INTERNAL_H

#include "base/map.h"
#include "base/vec.h"
#include "binary/binary.h"
#include "binary/insn.h"

/* ---- pclntab (pclntab.c) ---- */

struct pclntab {
	uint64_t addr;         /* of the header */
	uint32_t func_size;    /* bytes of a _func record before its pcdata and funcdata arrays */
	uint32_t pc_unit;      /* bytes: what pc-value tables count in */
	uint64_t nfunc;
	uint64_t text;         /* what function offsets count from (moduledata.text) */
	uint64_t gofunc;       /* what funcdata offsets count from, 0 when it could not be verified */
	uint8_t wrapper_id;    /* the funcID of compiler-made wrappers, 0 when unknown */
	const uint8_t *names, *cus, *files, *pcs, *funcs; /* the sub-tables, in the image */
	uint64_t names_len, cus_len, files_len, pcs_len, funcs_len;
	const uint8_t *ftab;   /* nfunc + 1 pairs of u32 (function, record), at the start of funcs */
};

/* Where the sub-tables start, relative to the header. */
struct pclntab_header {
	uint64_t addr, nfunc;
	uint32_t func_size;
	uint64_t offsets[5];   /* names, cus, files, pcs, funcs */
};
/*
 * Iterates over what looks like a header (start with *pos 0), the one in its section first. A program
 * may carry another Go program as data, so only moduledata says which is the right one.
 */
bool pclntab_next(const struct image *img, uint64_t *pos, struct pclntab_header *ret);
/* The sentence for a file in which no header was accepted; returns -ENOEXEC. */
int pclntab_missing(const struct image *img, const char *name, struct err *err);
/* Fills p from the header and the lengths that moduledata repeats; -ENOEXEC when they lie. */
int pclntab_open(const struct image *img, const struct pclntab_header *h, const uint64_t lens[5],
		 struct pclntab *ret);
void pclntab_find_wrapper_id(struct pclntab *p); /* after p->text is known */

/*
 * Walks one pc-value table of f: each call yields the value that holds on [*ret_start, *ret_end).
 * Start with struct pc_walk zeroed except for table and pc (= f->entry).
 */
struct pc_walk {
	uint32_t table;        /* offset in the pctab */
	uint64_t pc;           /* end of the range yielded last */
	int32_t value;
	uint64_t pos;          /* private */
	bool started;
};
struct pc_range {
	uint64_t start, end;
	int32_t value;
};
bool pc_walk_next(const struct binary *b, struct pc_walk *w, struct pc_range *ret);

/* The pcsp table of f (offset in the pctab), 0 when it has none. */
uint32_t func_pcsp(const struct binary *b, const struct func *f);
/* PCDATA table i of f at pc; false when there is none. */
bool func_pcdata(const struct binary *b, const struct func *f, unsigned i, uint64_t pc, int32_t *ret);
uint32_t func_pcdata_table(const struct binary *b, const struct func *f, unsigned i); /* for pc_walk; 0: none */
/*
 * The next character of a function's name as look-ups see it, 0 at the end: without what is in
 * brackets, and with %2e as a dot. Whether a function named have is meant by the name asked for.
 */
char func_name_next(const char **s);
/*
 * The linker writes some characters of an import path as % and two hex digits: dots of its last element, quotes, what
 * is not ASCII (cmd/internal/objabi.PathToPrefix). Returns the one written so at s, -1 where none is.
 */
int func_name_escaped(const char *s);
bool func_name_equal(const char *have, const char *asked);
/* The args word of the _func record: bytes of the argument area, negative when unknown. */
bool func_args_size(const struct binary *b, const struct func *f, int32_t *ret);

/* ---- moduledata (moduledata.c) ---- */

struct moduledata {
	uint64_t addr;
	uint64_t text, etext;
	uint64_t types, etypes; /* 0, 0 when they could not be verified */
};
/*
 * Finds runtime.firstmoduledata by the header it points to and, by content, the fields above; opens
 * the pclntab on the way. -ENOENT when nothing refers to the header in this way.
 */
int moduledata_open(const struct image *img, const struct pclntab_header *h, struct moduledata *ret,
		    struct pclntab *ret_pcln);

/* ---- types (rtype_object.c, rtype_index.c, typeexpr.c, dwarf_type.c) ---- */

/*
 * Every struct type is the first member of one of these, whichever reader made it, in the binary's
 * arena. The parts that few types are asked for are read at the first question by load (NULL: they
 * are there already); load fills what it can and leaves the rest empty.
 */
struct type_full {
	struct type t;
	void (*load)(struct binary *b, struct type_full *f);
	const struct type_field *fields;
	size_t nfields;
	const struct type_method *methods;
	size_t nmethods;
	const struct type *const *params, *const *results; /* KIND_FUNC */
	size_t nparams, nresults;
	bool variadic;          /* KIND_FUNC: the last parameter is ...T (its type is []T) */
	uint8_t chan_dir;       /* KIND_CHAN: 1 receive, 2 send, 3 both */
	uint64_t private_addr;  /* for the reader: a map's bucket or group descriptor, a DIE offset … */
	const struct type *pointer_to; /* cached binary_type_pointer_to */
};

/* The whole object, its lazy parts read. t comes from this binary; the object is not const. */
struct type_full *type_full(struct binary *b, const struct type *t);
/* A zeroed object in b's arena; the caller fills t, load and what it knows. */
struct type_full *type_full_new(struct binary *b);

struct type_index;
void type_index_free(struct type_index *x);
const struct type *rtype_by_name(struct binary *b, const char *full_name); /* named types only */
/* All named types that package-name.Name may mean ("http.Request"); up to max of them, how many. */
size_t rtype_by_short_name(struct binary *b, const char *name, const struct type **ret, size_t max);
uint64_t rtype_pointer_to(const struct binary *b, uint64_t rtype); /* from ptrToThis; 0 if unset */
/*
 * The descriptor of a composite from its parts' descriptors, NULL when the binary has none. extra is
 * an array's length or a channel's direction. KIND_STRUCT and KIND_INTERFACE mean the empty ones.
 */
const struct type *rtype_composite(struct binary *b, enum type_kind kind, const struct type *elem,
				   const struct type *key, uint64_t extra);
/* The name of a composite from its parts' names, in b's arena (typeexpr.c). */
const char *type_composite_name(struct binary *b, enum type_kind kind, const struct type *elem,
				const struct type *key, uint64_t extra);
const char *type_func_name(struct binary *b, const struct type_full *f);

/*
 * dwarf_type.c: by full name, NULL without DWARF or when absent. Named types are cached by the caller
 * (binary.c keeps composed and DWARF types by name), so each name is asked for once.
 */
const struct type *dwarf_type(struct binary *b, const char *full_name);
/* Releases b->dwarf; accepts NULL. */
struct dwarf;
void dwarf_free(struct dwarf *d);

/*
 * Shapes (generic.c): what the compiler calls the types that stand for type arguments, "go.shape.int", before the
 * unified IR "go.shape.int_0". All pointers that a type argument may be are "go.shape.*uint8", whatever they lead to.
 */
bool shape_is_any_pointer(const char *name);
/* The type of that shape where the program has one that is as certain: a map, error or any. NULL otherwise. */
const struct type *shape_certain(struct binary *b, const char *name);

/*
 * What the type parameters of f's instance stand for, n of them: by the shapes in its name. KIND_INVALID where these do
 * not tell (in Go 1.19 none are there), a pointer without elem for any pointer. -EPROTO when f has another number.
 */
int shape_arguments(struct binary *b, const struct func *f, size_t n, const struct type *const **ret, struct err *err);
/* Whether all shapes in f's name tell the whole type. */
bool shape_is_instance(const struct func *f);

/* Part of a type that cannot be read: KIND_INVALID, size 0. One for each binary. */
const struct type *type_unknown(struct binary *b);

/* Types by full name that have no descriptor: builtin kinds, composed, DWARF. */
const struct type *type_cached(struct binary *b, const char *full_name);
void type_cache(struct binary *b, const struct type *t);
/*
 * Composites of known parts, the binary's descriptor of them when there is one: KIND_POINTER,
 * KIND_SLICE, KIND_ARRAY (len), KIND_MAP (key), KIND_CHAN (len = direction). elem may be NULL for a
 * pointer to an unknown type, which is then named name_if_unknown.
 */
const struct type *type_compose(struct binary *b, enum type_kind kind, const struct type *elem,
				const struct type *key, uint64_t len, const char *name_if_unknown);
/* A builtin ("int", "error", "any", "unsafe.Pointer" …), composed when there is no descriptor. */
const struct type *type_builtin(struct binary *b, const char *name);

/* ---- layout.c ---- */

struct wanted_field {
	const char *name;
	uint32_t *ret;
	uint64_t size; /* bytes the field must have, 0: any */
};
/* The offsets of fields of the struct t (NULL: it is not described) named type_name, by their own names. -ENODATA. */
int read_offsets(struct binary *b, const struct type *t, const char *type_name, const struct wanted_field *want,
		 size_t n, struct err *err);

/* ---- the binary itself (binary.c) ---- */

/* Names that pclntab has escaped, as people read them; grows as they are asked for. */
struct name_pool {
	struct arena arena;
	struct map by_address; /* of the name in the image */
};

struct kept {                /* what a user of the binary has with it */
	const void *key;
	void *data;
	void (*release)(void *data);
};

struct binary {
	struct arena arena;
	const char *name;
	struct image img;
	struct pclntab pcln;
	struct name_pool *names;
	struct moduledata md;
	struct build_info *info;       /* NULL until asked for */
	struct type_index *index;      /* NULL until the first look-up by name */
	struct map types;              /* descriptor address -> struct type_full * */
	struct strmap named;           /* types without a descriptor, by full name */
	bool checked;                  /* the analysis has ended: each type that is read from now on is
					* checked for itself */
	VEC(uint64_t) fresh;           /* descriptors read since depth was 0, once checked */
	unsigned depth;                /* of the type being read: bounds recursion on hostile input */
	uint64_t type_bytes;           /* spent on type objects: bounds memory on hostile input */
	const struct type *unknown;    /* stands for a part that cannot be read: KIND_INVALID */
	struct dwarf *dwarf;           /* dwarf.c's own; NULL until it is asked */
	bool dwarf_tried;
	VEC(struct declared_type) declared; /* binary_declare_types */
	struct map dictionaries;       /* address -> name in the file's string table */
	struct map remembered;         /* key → text */
	bool dictionaries_read;
	struct strmap variables; /* of the symbol table, by the name behind the last slash -> number + 1 */
	bool variables_read;
	uint32_t itab_type_end;        /* end of an itab's type word; 0: not asked for yet */
	struct disasm last_code;         /* func_disasm's */
	struct inline_index *inline_index; /* inltree.c's; NULL until it is asked */
	struct map never_returns;      /* flow.c's: of functions that were called, 2 if so, 1 if not */
	struct inline_host *inline_host;   /* inline_site.c's: the function looked at last */
	VEC(struct kept) kept;         /* binary_keep */
};

/* Section by name from the section headers: a hint, absent in stripped-to-the-bone files. */
struct section {
	uint64_t addr, offset, size;
	uint32_t type;
};
bool image_section(const struct image *img, const char *name, struct section *ret);
/* ---- build info (buildinfo.c) ---- */

uint64_t build_info_find(const struct image *img); /* address of the blob, 0 if none */

#endif
