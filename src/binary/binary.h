/*
 * A Go executable as data: build facts, functions, types, argument locations and probe sites, all
 * read from the file itself (pclntab, moduledata, type descriptors, DWARF, instructions), lazily.
 * There is no table of Go versions or offsets here; what cannot be verified is an error.
 *
 * All addresses are file virtual addresses; a running process adds its load bias.
 * A struct binary is used by one thread. Everything it returns lives as long as it does.
 */
#ifndef BINARY_BINARY_H
#define BINARY_BINARY_H

#include <stdio.h>

#include "base/arena.h"
#include "base/err.h"
#include "binary/arch.h"
#include "binary/image.h"
#include "binary/symbol.h"
#include "binary/type.h"

struct binary;

/* name is what messages call the file. Errors: -ENOEXEC (not ELF, not of this architecture, not Go, packed…). */
int binary_open(const char *path, struct binary **ret, struct err *err);
/* Opens path as binary_open does, but messages say name: path may be one for us only, such as /proc/PID/exe. */
int binary_open_as(const char *path, const char *name, struct binary **ret, struct err *err);
int binary_open_fd(int fd, const char *name, struct binary **ret, struct err *err);
void binary_free(struct binary *b);
DEFINE_CLEANUP(struct binary *, binary, binary_free)

const char *binary_name(const struct binary *b);
const struct image *binary_image(const struct binary *b);
const struct arch *binary_arch(const struct binary *b);
struct arena *binary_arena(struct binary *b); /* for results that should live as long as b */
/*
 * What a user of b has found out about it and keeps with it: made at the first call for a key (the address of something
 * of the user's), released with b.
 */
void *binary_keep(struct binary *b, const void *key, void *(*make)(struct binary *b), void (*release)(void *data));
/*
 * Others may write to the file, or cut it. What was read of it is right if it is intact afterwards (image_intact): who
 * has read much checks once at the end (-ESTALE with a sentence); types that are read later check by themselves. Names
 * of functions and files, and what image_at gives, lie in the mapped file; types, signatures and sites do not.
 */
bool binary_intact(const struct binary *b);
int binary_check(struct binary *b, struct err *err);

/* ---- build facts (buildinfo.c) ---- */

struct module {
	const char *path, *version; /* version may be "" */
};
struct build_info {
	const char *go_version;  /* "go1.26.8"; never NULL */
	const char *main_package;/* "" if unknown */
	const char *build_mode;  /* "exe", "pie", "c-shared", "plugin" …; "" if unknown */
	struct module main;      /* path "" if the build carries no module list (Debian) */
	const struct module *deps;
	size_t ndeps;
	bool has_symtab, has_dwarf;
};
const struct build_info *binary_build_info(struct binary *b);

/* ---- functions (pclntab.c) ---- */

enum func_flags {
	FUNC_ASM = 1 << 0,        /* assembly: ABI0, no goroutine in its register */
	FUNC_WRAPPER = 1 << 1,    /* compiler-made wrapper (funcID_wrapper) */
	FUNC_NO_FUNCDATA = 1 << 2,/* cgo's C code and the like: not Go, not probed */
	FUNC_SPWRITE = 1 << 3,
};
struct func {
	uint64_t entry, end; /* [entry, end): without the padding to the next function */
	const char *name;    /* as people read it: "net/http.(*response).finishRequest", "gopkg.in/yaml.v3.Marshal" */
	const char *symbol;  /* as pclntab has it, so that the package can be told: "gopkg.in/yaml%2ev3.Marshal" */
	uint32_t index;      /* in the function table */
	uint32_t flags;
	int32_t frame_size;  /* largest SP delta of the pcsp table: bytes from entry SP down */
};


/* -ENODATA with the sentence when the program's Go runtime is not in this file. */
int binary_check_runtime(const struct binary *b, struct err *err);
/*
 * Whether the file at path was made by Go's linker, by the names of its sections: a hint, cheap enough for all
 * libraries of a process.
 */
bool binary_file_is_go(const char *path);
/* Whether such a file alone has a section of this name. */
bool binary_section_is_go(const char *name);

/*
 * What was found out about an address in the code stays known when the file has changed: text is copied. key: an
 * address and what of it, in whatever form the caller likes. NULL: nothing is known. So many are kept, others are found
 * out again.
 */
const char *binary_remembered(const struct binary *b, uint64_t key);
void binary_remember(struct binary *b, uint64_t key, const char *text);
/* Copies f's name, for who keeps it. */
void binary_func_keep(struct binary *b, struct func *f);
size_t binary_func_count(const struct binary *b);
/* The i-th function in address order; false if its record is damaged. */
bool binary_func(const struct binary *b, size_t i, struct func *ret);
bool binary_func_at(const struct binary *b, uint64_t pc, struct func *ret); /* containing pc */
/*
 * All functions named name (ABI pairs and generic instances share names). Generic instances match
 * "pkg.F[...]" when asked as such or as "pkg.F". Fills up to max, returns how many there are.
 */
size_t binary_func_find(const struct binary *b, const char *name, struct func *ret, size_t max);
/*
 * One pass over the table for many names at once: ret[i] is the index of a function named names[i]
 * (the ABIInternal one of a pair), or -1. Name lookups at start-up use this.
 */
void binary_func_find_all(const struct binary *b, const char *const *names, size_t n, int64_t *ret);
/* Whether any function name begins with prefix, e.g. "github.com/gin-gonic/gin." */
bool binary_has_package(const struct binary *b, const char *import_path);
/* The address of FUNCDATA blob i of f, 0 if absent. */
uint64_t binary_funcdata(const struct binary *b, const struct func *f, unsigned i);
/* Source position of a pc: file name and line; false if unknown. */
bool binary_pc_line(const struct binary *b, uint64_t pc, const char **ret_file, int *ret_line);
/*
 * The functions that the instruction at pc belongs to, innermost first: those inlined there, then the
 * one that contains them, each with its position (file "" and line 0 if unknown). Stripped binaries
 * have this, too. For a return address pass the address minus 1. Fills up to max (64 are plenty; the
 * last is always the containing function); 0 when pc is in no function.
 */
struct pc_frame {
	const char *function, *file;
	int line;
	bool inlined;
};
size_t binary_pc_frames(const struct binary *b, uint64_t pc, struct pc_frame *ret, size_t max);

/* ---- types (rtype_object.c, rtype_index.c, typeexpr.c, dwarf_type.c) ---- */

/* By full name, "net/http.Request". Descriptors first, DWARF where there is none. NULL if absent. */
const struct type *binary_type(struct binary *b, const char *full_name);
/* The descriptor at addr (an interface's type word minus load bias); NULL if that is none. */
const struct type *binary_type_at(struct binary *b, uint64_t rtype_addr);
/*
 * A type written in Go syntax, in package pkg ("*Request", "map[string][]byte", "*net/url.URL",
 * "url.URL" when unambiguous). Composite types are composed when the binary has no descriptor of them.
 * NULL with a sentence otherwise.
 */
const struct type *binary_type_parse(struct binary *b, const char *pkg, const char *go_syntax,
				     struct err *err);
/* For all types that are parsed in b from now on, after what b itself describes; the first of a name counts. Copied. */
void binary_declare_types(struct binary *b, const struct declared_type *types, size_t n);

/* What else names mean while a type is parsed. */
struct type_scope {
	const struct declared_type *types; /* as above, for this one; what b describes must be the same (-EPROTO) */
	size_t ntypes;
	const char *const *params;         /* type parameters … */
	const struct type *const *args;    /* … and what they stand for: of KIND_INVALID where that is not known */
	size_t nparams;
};
/*
 * As binary_type_parse. Errors: -ENOENT nothing describes a type that is named (the sentence says what to write),
 * -EINVAL no Go type, -EPROTO a declaration that differs from what the binary describes.
 */
const struct type *binary_type_parse_in(struct binary *b, const char *pkg, const struct type_scope *scope,
					const char *go_syntax, struct err *err);
/* Whether the text is a type in Go syntax, whatever its names mean. -EINVAL: the sentence, and where in the text. */
int type_syntax_check(const char *go_syntax, size_t *ret_at, struct err *err);
const struct type *binary_type_pointer_to(struct binary *b, const struct type *t); /* never NULL */

/*
 * What a descriptor has where it begins, for those who read one in a process; the same in all versions (rtype.c). A
 * value is held directly in an interface when either of the two bytes has DIRECT; REGULAR, of tflag: values are equal
 * just where their bytes are.
 */
enum { DESCRIPTOR_SIZE = 0, DESCRIPTOR_TFLAG = 20, DESCRIPTOR_KIND = 23, /* offsets: 8 bytes, 1, 1 */
       DESCRIPTOR_KIND_MASK = 31, DESCRIPTOR_DIRECT = 32, DESCRIPTOR_REGULAR = 8 };

size_t type_field_count(struct binary *b, const struct type *t);
bool type_field(struct binary *b, const struct type *t, size_t i, struct type_field *ret);
bool type_field_find(struct binary *b, const struct type *t, const char *name, struct field_path *ret);
size_t type_method_count(struct binary *b, const struct type *t);
bool type_method(struct binary *b, const struct type *t, size_t i, struct type_method *ret);
/* KIND_FUNC: parameters and results. */
size_t type_param_count(struct binary *b, const struct type *t);
const struct type *type_param(struct binary *b, const struct type *t, size_t i);
size_t type_result_count(struct binary *b, const struct type *t);
const struct type *type_result(struct binary *b, const struct type *t, size_t i);
/* KIND_MAP: false with a sentence when the layout cannot be verified. */
bool type_map_layout(struct binary *b, const struct type *t, struct map_layout *ret, struct err *err);
/*
 * The blocks (buckets or groups) of a map whose keys lie in place. -EOPNOTSUPP: a block has more than max bytes, an
 * entry does not lie within it, keys lie behind pointers, or have other than key_size bytes (0: any).
 */
int map_layout_block(const struct map_layout *l, uint32_t key_size, uint32_t max, struct map_block *ret,
		     struct err *err);
/* What of the layout the runtime's own types say of every map: swiss and count_off. False: not described. */
bool type_map_count(struct binary *b, struct map_layout *ret);
/* Iterates over all descriptors in the binary (for listings and tests); false at the end. */
bool binary_type_next(struct binary *b, size_t *pos, const struct type **ret);
/*
 * Iterates over the types that an interface may hold: those with its methods, all if it has none (functions without a
 * name are left out). False at the end.
 */
bool binary_type_holdable_next(struct binary *b, const struct type *interface, size_t *pos, const struct type **ret);

/* ---- constants and variables of packages (dwarf_global.c) ---- */

/*
 * By name: "net/http.StatusOK", or with the last element of the path alone, "http.StatusOK", where only one package
 * ends so. Integer constants that DWARF has, variables that DWARF or the symbol table has. -ENOENT, without a sentence:
 * there is none. -EINVAL: more than one package has it, or its type cannot be read.
 */
int binary_global(struct binary *b, const char *name, struct global *ret, struct err *err);
/* The name, without its package, of a constant of the named type t that has this value; NULL if there is none. */
const char *binary_constant_name(struct binary *b, const struct type *t, int64_t number);

/* ---- signatures and argument locations (signature.c) ---- */

enum piece_where { IN_REG, IN_FLOAT_REG, ON_STACK };
struct piece {               /* a part of a value that lies in one place */
	enum piece_where where;
	uint8_t reg;         /* arch.h */
	uint8_t size;        /* 1, 2, 4, 8 (stack pieces may be any size: see bytes) */
	uint32_t bytes;      /* ON_STACK: size of the whole piece */
	uint32_t offset;     /* within the value */
	int32_t stack;       /* ON_STACK: offset from SP at function entry */
};
struct param {
	const char *name;           /* "" if unknown */
	const struct type *type;    /* NULL if unknown */
	const struct piece *pieces;
	size_t npieces;             /* 0 with why set, or a zero-sized type */
	const char *why;            /* why this parameter cannot be located, or NULL */
	const char *untyped;        /* a type was declared, but is not known: which, and what to write; or NULL */
	/*
	 * In a generic function, where type is a shape ("go.shape.int", "[]go.shape.string"): which
	 * word of the dictionary leads to the real type (binary_dictionary_type), counted from 1; 0
	 * where type is the real one or no such word is known (the compiler writes none for functions
	 * that it also inlined somewhere).
	 */
	unsigned dict_word;
};
enum signature_source {
	SIG_ARGINFO = 1, SIG_SPILLS = 2, SIG_PTRMAP = 4, SIG_METHOD = 8, SIG_DWARF = 16, SIG_DECLARED = 32,
};
struct signature {
	bool has_receiver;          /* params[0] is the receiver */
	const struct param *params;
	size_t nparams;
	const struct param *results;
	size_t nresults;
	bool results_known;
	uint32_t sources;           /* what it was derived from and checked against */
	const struct param *dictionary; /* generic: where the pointer to the dictionary is; or NULL */
};

/*
 * The signature of f from every source there is, checked against each other; decl may be NULL. The
 * receiver comes from f's name. Errors: -ENODATA nothing known (a declaration would help),
 * -EPROTO the sources contradict each other (the sentence says how).
 */
/* What to say of a function in ABI0 form: "… is X": what it is, and what to probe instead. */
const char *binary_abi0_text(const struct binary *b, const struct func *f);
int binary_signature(struct binary *b, const struct func *f, const struct declared_signature *decl,
		     struct signature *ret, struct err *err);

/*
 * The type that a word of a generic function's dictionary points to; dict is the pointer that a call
 * was given, minus the load bias. NULL when that word is no type descriptor's address.
 */
const struct type *binary_dictionary_type(struct binary *b, uint64_t dict, unsigned dict_word);

/*
 * f's name with the type arguments of one call in place of its shapes: "main.Map[int,string]". NULL
 * without a symbol table, or when dict is no dictionary. Each answer takes memory in b's arena.
 */
const char *binary_instance_name(struct binary *b, const struct func *f, uint64_t dict);

/*
 * A variable that a closure captured. arch.context points to the closure object at function entry. Names that
 * begin with a dot are the compiler's: ".this" is the receiver of a method value ("-fm").
 */
struct closure_var {
	const char *name;
	const struct type *type; /* of the variable; NULL if unknown */
	uint32_t offset;         /* in the closure object */
	bool by_reference;       /* there is a pointer to the variable at offset */
	unsigned dict_word;      /* as in struct param */
};
/* Whether f is a closure's code: a function literal, a method value, a wrapper. */
bool binary_is_closure(struct binary *b, const struct func *f);
/*
 * The receiver of a method value, "(*T).m-fm", which no debug information is needed for: the compiler makes the object
 * as struct { F uintptr; R T }. False when f is none. ret->name is "recv".
 */
bool binary_method_value(struct binary *b, const struct func *f, struct closure_var *ret);
/* The captured variables of f, in b's arena. -ENODATA where DWARF does not mark them. */
int binary_closure_vars(struct binary *b, const struct func *f, const struct closure_var **ret,
			size_t *ret_n, struct err *err);

/* ---- calls (callees.c) ---- */

/* What f calls directly, or leaves for by a jump, each address once, in the order of its code; and how many calls (and
 * such jumps) go through a register or memory, so that the code does not say where to. In b's arena. */
struct callees {
	const uint64_t *targets;
	size_t n, indirect;
};
int binary_callees(struct binary *b, const struct func *f, struct callees *ret, struct err *err);

/* ---- copies (copies.c): both read all of the code ---- */

/*
 * Whether code may copy a value of type t, other than the functions that are named in beside (NULL-terminated or
 * NULL). True as well where that cannot be told. ret_by: one that may; its name is NULL where none is known.
 */
bool binary_may_copy(struct binary *b, const struct type *t, const char *const *beside, struct func *ret_by);
/* Whether anything but f itself refers to f: false, and it does not run (but by reflection). */
bool binary_may_run(struct binary *b, const struct func *f);

/* ---- join points (join_point.c, inline_site.c) ---- */

/* The side of a call that a probe is at: parameters are known at its entry, results at its return. */
enum site_kind { SITE_ENTRY, SITE_RETURN };

/* An instruction where a probe would fire once a call, at an entry with the register arguments live. */
struct spot {
	uint32_t offset;         /* from the function's entry */
	int32_t sp_delta;        /* SP there + sp_delta = SP at function entry; of an inlined call: see func_sp_delta */
	uint8_t len;             /* bytes of the instruction */
	uint8_t flags_skip;      /* a jbe: when FLAGS & this, the stack grows and control comes here again */
	uint8_t rank;            /* of those that cost the same the lowest is preferred, then the first */
};

/*
 * Where a probe is to fire, as far as the code alone tells. At which instruction it is put is the planter's to say
 * (planter_ops.locate): at one of the spots; at a return, at each of them.
 */
struct join_point {
	enum join_kind { JOIN_ENTRY, JOIN_RETURN, JOIN_INLINED, JOIN_PLACE /* of any file: no function's */ } kind;
	uint32_t func;           /* its index; of an inlined call: the host */
	const struct spot *spots;/* in the binary's arena */
	uint32_t nspots;         /* 0: the analysis of its code refused it */
	const char *approximate; /* JOIN_INLINED: why hits need not be as many as calls; NULL: they are */
};
/* How many probes it takes. */
static inline size_t join_point_probes(const struct join_point *at)
{
	return at->kind == JOIN_RETURN ? at->nspots : at->nspots != 0;
}

/*
 * What a planter makes of a join point: the instruction that a probe is put on. Planters embed it in a struct of their
 * own. In the binary's arena.
 */
struct site {
	const struct site *next; /* of the same join point */
	uint64_t addr;           /* in the image */
	enum join_kind kind;
	unsigned price;          /* index in planter_ops.prices */
};

/*
 * Both fill in kind and function also where they fail. -ENOTSUP, -EPROTO, -ENOENT (it never returns) with a sentence.
 * Returns are all RETs; a function that leaves by a tail jump only is refused.
 */
int join_point_entry(struct binary *b, const struct func *f, struct join_point *ret, struct err *err);
int join_point_returns(struct binary *b, const struct func *f, struct join_point *ret, struct err *err);
/*
 * 0 when every return of f is one of its RETs. -ENOTSUP with a sentence when it leaves, on some way
 * or on all, by a jump to another function, whose return then is f's own.
 */
int binary_returns_complete(struct binary *b, const struct func *f, struct err *err);
/* SP at pc + *ret = SP at the entry of f, as the binary's own tables have it. */
bool func_sp_delta(const struct binary *b, const struct func *f, uint64_t pc, int32_t *ret);
/* The instruction at addr, in Intel syntax. False where none begins. */
bool binary_insn_text(struct binary *b, uint64_t addr, char *buf, size_t size);

/* ---- inlined calls (inlined.c, inline_site.c, dwarf_inline.c) ---- */

struct inlined {
	uint64_t entry;       /* lowest address of what is left of the call's body: not where that begins */
	struct func host;     /* the function it was inlined into, at whatever depth */
	uint64_t call;        /* an instruction of the host at the position of the call: binary_pc_frames() of it
	                       * are the call's callers, the host last. 0: not known */
	uint64_t die;         /* private: for the functions below */
	int32_t index;        /* private, too */
};
/*
 * Names match as in binary_func_find. Fills up to max, returns how many. Stripped binaries have them, too. A call of
 * whose body nothing is left in the code is not among them: nothing in the binary tells of it.
 */
size_t binary_inlined(struct binary *b, const char *name, struct inlined *ret, size_t max);
/* Iterates over the names of functions that were inlined somewhere (names may come twice). */
bool binary_inlined_next(struct binary *b, size_t *pos, const char **ret_name);
/*
 * Those that were inlined into f (entry, host, call, index are set), with their names. Fills up to max, returns how
 * many.
 */
size_t binary_inlined_into(struct binary *b, const struct func *f, struct inlined *ret, const char **ret_names,
			   size_t max);
/*
 * The parameters of one instance where DWARF says they are when control comes to its site; those
 * that the compiler does not keep there have a why. Nothing is known of results. Stack pieces count
 * from SP at the entry of the host. -ENODATA without DWARF. site: the planter's, for its join point.
 */
int binary_inlined_signature(struct binary *b, const struct inlined *i, uint64_t site, struct signature *ret,
			     struct err *err);
/*
 * The spots that stand for the call. ret->approximate is NULL where they are proved to be passed once for each call and
 * by nothing else; otherwise the sentence that says why the number of hits is not that of the calls for certain.
 * -ENOTSUP where it is certain that a probe would fire more than once a call.
 */
int join_point_inlined(struct binary *b, const struct inlined *i, struct join_point *ret, struct err *err);

/* ---- where a goroutine's facts lie ---- */

struct goroutine_layout {
	uint32_t goid, stack_hi, stack_lo, m;   /* in runtime.g */
	uint32_t stackguard0;
	uint32_t m_curg;                        /* in runtime.m */
};
int binary_goroutine_layout(struct binary *b, struct goroutine_layout *ret, struct err *err);
/*
 * Who created a goroutine, the function it began with, and the ids that new ones get (lineage.c): from the scheduler's
 * counter, of which each P takes LINEAGE_BATCH at a time. Errors: -ENODATA where types and code do not tell all of it.
 */
#define LINEAGE_BATCH 16
struct lineage_layout {
	uint32_t creator, start_pc; /* in runtime.g */
	uint32_t m_p;               /* in runtime.m */
	uint32_t cache, cache_end;  /* in runtime.p: the next id of its batch, behind the last one */
	uint64_t counter;           /* the last id of the newest batch: its address in the image */
};
int binary_lineage_layout(struct binary *b, struct lineage_layout *ret, struct err *err);
/* Where an itab (the first word of an interface with methods) keeps its type word. Errors: -ENODATA. */
int binary_itab_type_offset(struct binary *b, uint32_t *ret, struct err *err);

#endif
