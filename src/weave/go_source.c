#include "weave/go_source.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include <tree_sitter/api.h>

#include "weave/go_mask.h"
#include "weave/go_params.h"
#include "weave/go_scan.h"

const TSLanguage *tree_sitter_go(void);

enum {
	SOURCE_MAX = 16 * 1024 * 1024,
	DEPTH_MAX = 2000, /* of nodes in a body: what is deeper is not looked at, and the function broken */
	LITERALS_MAX = 8, /* in each other */
};

typedef VEC(struct go_function) function_list;

struct source_reader {
	struct go_source *s;
	function_list functions;
	VEC(struct go_type_decl) types;
	VEC(struct go_import_decl) imports;
	go_heads heads;
	go_gaps gaps;
};

/* ---- nodes ---- */

enum node_kind {
	N_CALL_EXPRESSION,
	N_COMMENT,
	N_DEFER_STATEMENT,
	N_FOR_STATEMENT,
	N_FUNC_LITERAL,
	N_FUNCTION_DECLARATION,
	N_GENERIC_TYPE,
	N_GOTO_STATEMENT,
	N_IDENTIFIER,
	N_IMPORT_DECLARATION,
	N_IMPORT_SPEC,
	N_IMPORT_SPEC_LIST,
	N_LABELED_STATEMENT,
	N_METHOD_DECLARATION,
	N_PACKAGE_CLAUSE,
	N_PARAMETER_DECLARATION,
	N_PARAMETER_LIST,
	N_POINTER_TYPE,
	N_RETURN_STATEMENT,
	N_SELECTOR_EXPRESSION,
	N_TYPE_ALIAS,
	N_TYPE_DECLARATION,
	N_TYPE_IDENTIFIER,
	NODE_KINDS
};
static const char *const kind_names[NODE_KINDS] = {
	[N_CALL_EXPRESSION] = "call_expression",
	[N_COMMENT] = "comment",
	[N_DEFER_STATEMENT] = "defer_statement",
	[N_FOR_STATEMENT] = "for_statement",
	[N_FUNC_LITERAL] = "func_literal",
	[N_FUNCTION_DECLARATION] = "function_declaration",
	[N_GENERIC_TYPE] = "generic_type",
	[N_GOTO_STATEMENT] = "goto_statement",
	[N_IDENTIFIER] = "identifier",
	[N_IMPORT_DECLARATION] = "import_declaration",
	[N_IMPORT_SPEC] = "import_spec",
	[N_IMPORT_SPEC_LIST] = "import_spec_list",
	[N_LABELED_STATEMENT] = "labeled_statement",
	[N_METHOD_DECLARATION] = "method_declaration",
	[N_PACKAGE_CLAUSE] = "package_clause",
	[N_PARAMETER_DECLARATION] = "parameter_declaration",
	[N_PARAMETER_LIST] = "parameter_list",
	[N_POINTER_TYPE] = "pointer_type",
	[N_RETURN_STATEMENT] = "return_statement",
	[N_SELECTOR_EXPRESSION] = "selector_expression",
	[N_TYPE_ALIAS] = "type_alias",
	[N_TYPE_DECLARATION] = "type_declaration",
	[N_TYPE_IDENTIFIER] = "type_identifier",
};
static TSSymbol kind_symbols[NODE_KINDS];

/* Numbers of the grammar's own: names are compared once. */
static void learn_symbols(const TSLanguage *language)
{
	if (kind_symbols[0])
		return;
	for (size_t i = 0; i < NODE_KINDS; i++)
		kind_symbols[i] =
		    ts_language_symbol_for_name(language, kind_names[i], (uint32_t)strlen(kind_names[i]), true);
}

static bool is(TSNode n, enum node_kind kind)
{
	return ts_node_symbol(n) == kind_symbols[kind];
}

static struct go_span span_of(TSNode n)
{
	return (struct go_span){ts_node_start_byte(n), ts_node_end_byte(n)};
}

static const char *text_of(struct source_reader *r, struct go_span at)
{
	return arena_strndup(&r->s->arena, r->s->text + at.start, at.end - at.start);
}

static bool spells(const struct source_reader *r, TSNode n, const char *word)
{
	struct go_span at = span_of(n);

	return at.end - at.start == strlen(word) && !memcmp(r->s->text + at.start, word, at.end - at.start);
}

static TSNode field(TSNode n, const char *name)
{
	return ts_node_child_by_field_name(n, name, (uint32_t)strlen(name));
}

/* ---- signatures ---- */

static void read_params(struct source_reader *r, struct go_function *f, TSNode list)
{
	struct arena *arena = &r->s->arena;
	struct go_param *params = NULL, *all;
	size_t n = 0;

	if (ts_node_is_null(list))
		return;
	f->broken |= !go_params_read(r->s->text, span_of(list), arena, &params, &n);
	all = arena_array(arena, struct go_param, f->nparams + n);
	if (f->nparams)
		memcpy(all, f->params, f->nparams * sizeof(*all));
	if (n)
		memcpy(all + f->nparams, params, n * sizeof(*all));
	f->params = all;
	f->nparams += n;
}

static void read_results(struct source_reader *r, struct go_function *f, TSNode result)
{
	if (ts_node_is_null(result))
		return;
	f->result = span_of(result);
	if (is(result, N_PARAMETER_LIST)) {
		f->broken |= !go_params_read(r->s->text, f->result, &r->s->arena, &f->results, &f->nresults);
		return;
	}
	f->nresults = 1;
	f->results = arena_new(&r->s->arena, struct go_param);
	*f->results = (struct go_param){.type = f->result, .at = {f->result.start, f->result.start}};
}

/* T, *T, T[P], (T): what the receiver's type is called. */
static void read_receiver(struct source_reader *r, struct go_function *f, TSNode list)
{
	TSNode decl = ts_node_named_child(list, 0), type = ts_node_is_null(decl) ? decl : field(decl, "type");

	while (!ts_node_is_null(type) && !is(type, N_TYPE_IDENTIFIER)) {
		f->by_pointer |= is(type, N_POINTER_TYPE);
		if (is(type, N_GENERIC_TYPE)) {
			f->generic = f->of_generic = true;
			f->type_params[0] = span_of(field(type, "type_arguments"));
		}
		type = ts_node_named_child(type, 0);
	}
	if (ts_node_is_null(type))
		f->broken = true;
	else
		f->receiver = text_of(r, span_of(type));
}

/* ---- comments ---- */

#define USDT_WORD "//earshot:usdt"
typedef VEC(struct go_usdt) usdt_list;

/* What stands behind a directive's word in a line. */
static const char *behind_word(struct arena *arena, const char *word, const char *line, const char *end)
{
	const char *from = line + strlen(word);

	if (end < from || strncmp(line, word, strlen(word)) != 0 || (from < end && !isspace((unsigned char)*from)))
		return NULL;
	while (from < end && isspace((unsigned char)*from))
		from++;
	while (end > from && isspace((unsigned char)end[-1]))
		end--;
	return arena_strndup(arena, from, (size_t)(end - from));
}

static void add_probe(struct source_reader *r, usdt_list *to, struct go_usdt probe)
{
	if (probe.text)
		vec_push(to, probe);
}

static bool is_one_of(TSNode n, const char *const *kinds)
{
	const char *kind = ts_node_type(n);

	while (*kinds && strcmp(kind, *kinds) != 0)
		kinds++;
	return *kinds;
}

static const char *const cases[] = {"expression_case", "default_case", "type_case", "communication_case", NULL};
static const char *const choices[] = {"expression_switch_statement", "type_switch_statement", "select_statement", NULL};

/* A comment's neighbour in a list of statements, which begins with a brace or a colon. */
static TSNode statement_beside(TSNode n, bool before)
{
	do {
		n = before ? ts_node_prev_sibling(n) : ts_node_next_sibling(n);
		if (!ts_node_is_null(n) && strchr("{:}", *ts_node_type(n)))
			return (TSNode){0};
	} while (!ts_node_is_null(n) && (is(n, N_COMMENT) || !ts_node_is_named(n)));
	return n;
}

/* In a list of statements. The grammar has a comment at the end of a case behind that. */
static bool is_statement_place(TSNode n)
{
	TSNode list = ts_node_parent(n), before = n;

	if (is_one_of(list, cases)) {
		do
			before = ts_node_prev_sibling(before);
		while (!ts_node_is_null(before) && strcmp(ts_node_type(before), ":") != 0);
		return !ts_node_is_null(before);
	}
	before = statement_beside(n, true);
	return !strcmp(ts_node_type(list), "block") ||
	       (is_one_of(list, choices) && !ts_node_is_null(before) && is_one_of(before, cases));
}

/* The statement before it in its list; null: there is none. ret_ends_case: the grammar has it behind the case that it
 * is the end of. */
static TSNode statement_before(TSNode n, bool *ret_ends_case)
{
	TSNode before = statement_beside(n, true), last;

	*ret_ends_case = !ts_node_is_null(before) && is_one_of(before, cases);
	if (!*ret_ends_case)
		return before;
	last = ts_node_child(before, ts_node_child_count(before) - 1);
	if (!strcmp(ts_node_type(last), ":"))
		return (TSNode){0};
	return ts_node_is_named(last) && !is(last, N_COMMENT) ? last : statement_beside(last, true);
}

static bool is_behind_fallthrough(TSNode n)
{
	static const char *const fallthrough[] = {"fallthrough_statement", NULL};
	bool ends_case;
	TSNode before = statement_before(n, &ends_case);

	return !ts_node_is_null(before) && is_one_of(before, fallthrough);
}

/* Whether it is the last of its list, behind a statement that control does not leave at its end: Go looks at the last
 * one for that. */
static bool is_behind_end(const struct source_reader *r, TSNode n)
{
	static const char *const plain[] = {"short_var_declaration", "assignment_statement", "inc_statement",
	                                    "dec_statement",         "var_declaration",      "const_declaration",
	                                    "defer_statement",       "go_statement",         "send_statement",
	                                    "expression_statement",  NULL};
	bool ends_case;
	TSNode before = statement_before(n, &ends_case);

	if (ts_node_is_null(before) || (!ends_case && !ts_node_is_null(statement_beside(n, false))))
		return false;
	return !is_one_of(before, plain) || !strncmp(r->s->text + ts_node_start_byte(before), "panic(", 6);
}

static void read_comment(struct source_reader *r, TSNode n, usdt_list *to)
{
	struct go_span at = span_of(n);
	struct go_usdt probe = {.at = at.start, .in_body = true};

	probe.text = behind_word(&r->s->arena, USDT_WORD, r->s->text + at.start, r->s->text + at.end);
	probe.misplaced = probe.text && (!is_statement_place(n) || is_behind_fallthrough(n));
	probe.behind_end = probe.text && !probe.misplaced && is_behind_end(r, n);
	add_probe(r, to, probe);
}

/* ---- bodies ---- */

static bool is_loop(TSNode n)
{
	return is(n, N_FOR_STATEMENT);
}

static void read_call(struct source_reader *r, TSNode n, bool literal, struct go_function *f)
{
	TSNode function = field(n, "function");

	if (!literal && is(function, N_IDENTIFIER) && spells(r, function, "recover"))
		f->recovers = true;
	if (is(function, N_SELECTOR_EXPRESSION) &&
	    (spells(r, function, "runtime.Caller") || spells(r, function, "runtime.Callers")))
		f->asks_caller = true;
}

struct body_place {
	bool literal, loop; /* inside a function literal, inside a loop of the function's own */
	unsigned depth, nested;  /* nodes; literals in each other */
	function_list *literals; /* NULL: they are not listed */
	usdt_list *usdt;
};

static void read_head(struct source_reader *r, TSNode n, struct go_function *f);
static void read_content(struct source_reader *r, TSNode n, struct go_function *f, struct body_place at);

/* A list's elements as the file's own. */
#define KEEP(s, v) ((v).len ? arena_memdup(&(s)->arena, (v).data, (v).len * sizeof(*(v).data)) : NULL)

static void add_literal(struct source_reader *r, TSNode n, struct body_place at, const struct go_function *outer)
{
	struct go_function f = {
	    .broken = ts_node_has_error(n), .read = true, .all = span_of(n), .generic = outer->generic};
	function_list own = {0};
	usdt_list usdt = {0};

	memcpy(f.type_params, outer->type_params, sizeof(f.type_params));
	f.name = arena_printf(&r->s->arena, "%s%zu", at.nested ? "" : "func", at.literals->len + 1);
	read_head(r, n, &f);
	read_content(r, n, &f,
	             (struct body_place){.depth = at.depth,
	                                 .nested = at.nested + 1,
	                                 .usdt = &usdt,
	                                 .literals = at.nested + 1 < LITERALS_MAX ? &own : NULL});
	f.nusdt = usdt.len;
	f.usdt = KEEP(r->s, usdt);
	vec_done(&usdt);
	f.nliterals = own.len;
	f.literals = KEEP(r->s, own);
	vec_done(&own);
	vec_push(at.literals, f);
}

static void read_body(struct source_reader *r, TSTreeCursor *c, struct body_place at, struct go_function *f)
{
	TSNode n = ts_tree_cursor_current_node(c);

	if (++at.depth > DEPTH_MAX) {
		f->broken = true;
		return;
	}
	if (is(n, N_CALL_EXPRESSION))
		read_call(r, n, at.literal, f);
	if (!at.literal && is(n, N_COMMENT))
		read_comment(r, n, at.usdt);
	if (!at.literal) {
		f->returns += is(n, N_RETURN_STATEMENT);
		f->gotos += is(n, N_GOTO_STATEMENT);
		f->labels += is(n, N_LABELED_STATEMENT);
		if (is(n, N_DEFER_STATEMENT)) {
			f->defers++;
			f->loops_defer |= at.loop;
		}
	}
	if (is(n, N_FUNC_LITERAL)) {
		if (at.literals && !at.literal)
			add_literal(r, n, at, f);
		at.literal = true;
	}
	at.loop = !at.literal && (at.loop || is_loop(n));
	if (!ts_tree_cursor_goto_first_child(c))
		return;
	do {
		read_body(r, c, at, f);
	} while (ts_tree_cursor_goto_next_sibling(c));
	ts_tree_cursor_goto_parent(c);
}

static bool ends_in_return(TSNode body)
{
	uint32_t n = ts_node_named_child_count(body);
	TSNode last;

	do { /* a comment is no statement */
		if (!n)
			return false;
		last = ts_node_named_child(body, --n);
	} while (is(last, N_COMMENT));
	return is(last, N_RETURN_STATEMENT);
}

/* ---- directives ---- */

static unsigned directive_of(const char *line, size_t n)
{
	static const struct {
		const char *word;
		unsigned directive;
	} known[] = {
	    {"nosplit", GO_NOSPLIT},
	    {"noinline", GO_NOINLINE},
	    {"linkname", GO_LINKNAME},
	    {"systemstack", GO_RUNTIME_ONLY},
	    {"nowritebarrier", GO_RUNTIME_ONLY},
	    {"nowritebarrierrec", GO_RUNTIME_ONLY},
	    {"yeswritebarrierrec", GO_RUNTIME_ONLY},
	};
	size_t len = 0;

	if (n <= 5 || strncmp(line, "//go:", 5))
		return 0;
	while (len < n - 5 && !isspace((unsigned char)line[5 + len]))
		len++;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strlen(known[i].word) == len && !strncmp(line + 5, known[i].word, len))
			return known[i].directive;
	return GO_OTHER_DIRECTIVE;
}

/* Of the lines of comments right above. */
static void read_directives(struct source_reader *r, uint32_t at, struct go_function *f, usdt_list *usdt)
{
	const struct go_source *s = r->s;
	const char *line = s->text + at;

	while (line > s->text && line[-1] == '\n') {
		const char *end = line - 1, *start = memrchr(s->text, '\n', (size_t)(end - s->text));

		start = start ? start + 1 : s->text;
		if (end - start < 2 || strncmp(start, "//", 2))
			break;
		f->directives |= directive_of(start, (size_t)(end - start));
		f->span = f->span ? f->span : behind_word(&r->s->arena, "//earshot:span", start, end);
		add_probe(r, usdt, (struct go_usdt){.text = behind_word(&r->s->arena, USDT_WORD, start, end)});
		line = start;
	}
}

/* ---- declarations ---- */

/* What declarations and literals have: a signature, but for the receiver, and a body. */
static void read_head(struct source_reader *r, TSNode n, struct go_function *f)
{
	TSNode body = field(n, "body");

	read_params(r, f, field(n, "parameters"));
	read_results(r, f, field(n, "result"));
	if (!ts_node_is_null(body))
		f->body = span_of(body);
}

static void read_content(struct source_reader *r, TSNode n, struct go_function *f, struct body_place at)
{
	TSNode body = field(n, "body");
	TSTreeCursor cursor;

	if (ts_node_is_null(body))
		return;
	f->ends_in_return = ends_in_return(body);
	cursor = ts_tree_cursor_new(body);
	read_body(r, &cursor, at, f);
	ts_tree_cursor_delete(&cursor);
}

static void add_function(struct source_reader *r, TSNode n)
{
	TSNode name = field(n, "name"), receiver = field(n, "receiver");
	struct go_function f = {.broken = ts_node_has_error(n), .all = span_of(n)};
	usdt_list usdt = {0};
	uint32_t behind;

	if (ts_node_is_null(name))
		return;
	f.name = text_of(r, span_of(name));
	f.generic = !ts_node_is_null(field(n, "type_parameters"));
	if (!ts_node_is_null(receiver)) {
		read_receiver(r, &f, receiver);
		read_params(r, &f, receiver);
		f.broken |= f.nparams != 1;
	}
	behind = ts_node_end_byte(name);
	while (behind < r->s->len && (r->s->text[behind] == ' ' || r->s->text[behind] == '\t'))
		behind++;
	if (behind < r->s->len && r->s->text[behind] == '[') { /* those of a method were masked */
		const struct go_scan g = {r->s->text, r->s->len};
		size_t end = go_scan_brackets(&g, behind);

		f.generic = true;
		f.broken |= !end;
		f.type_params[1] = (struct go_span){behind, (uint32_t)end};
	}
	read_directives(r, f.all.start, &f, &usdt);
	read_head(r, n, &f);
	for (size_t i = 0; i < usdt.len; i++)
		usdt.data[i].at = f.body.start + 1;
	f.nusdt = usdt.len;
	f.usdt = KEEP(r->s, usdt);
	vec_done(&usdt);
	vec_push(&r->functions, f);
}

/* Without the brackets around it. */
static struct go_span within(struct go_span s)
{
	return s.end - s.start < 2 ? s : (struct go_span){s.start + 1, s.end - 1};
}

static void add_types(struct source_reader *r, TSNode n)
{
	for (uint32_t i = 0; i < ts_node_named_child_count(n); i++) {
		TSNode spec = ts_node_named_child(n, i), name = field(spec, "name"), type = field(spec, "type");
		struct go_type_decl t;

		if (ts_node_is_null(name) || ts_node_is_null(type) || ts_node_has_error(spec))
			continue;
		t = (struct go_type_decl){.name = text_of(r, span_of(name)), .type = span_of(type)};
		t.alias = is(spec, N_TYPE_ALIAS);
		if (!ts_node_is_null(field(spec, "type_parameters")))
			t.params = within(span_of(field(spec, "type_parameters")));
		vec_push(&r->types, t);
	}
}

static void add_import(struct source_reader *r, TSNode spec)
{
	TSNode name = field(spec, "name"), path = field(spec, "path");
	struct go_span at;

	if (ts_node_is_null(path))
		return;
	at = span_of(path);
	if (at.end - at.start < 2)
		return;
	vec_push(&r->imports,
	         ((struct go_import_decl){.name = ts_node_is_null(name) ? NULL : text_of(r, span_of(name)),
	                                  .path = text_of(r, (struct go_span){at.start + 1, at.end - 1})}));
}

static void add_imports(struct source_reader *r, TSNode n)
{
	for (uint32_t i = 0; i < ts_node_named_child_count(n); i++) {
		TSNode child = ts_node_named_child(n, i);

		if (is(child, N_IMPORT_SPEC))
			add_import(r, child);
		else if (is(child, N_IMPORT_SPEC_LIST))
			add_imports(r, child);
	}
}

static void add_declaration(struct source_reader *r, TSNode n)
{
	if (is(n, N_FUNCTION_DECLARATION) || is(n, N_METHOD_DECLARATION)) {
		add_function(r, n);
	} else if (is(n, N_TYPE_DECLARATION)) {
		add_types(r, n);
	} else if (is(n, N_IMPORT_DECLARATION)) {
		add_imports(r, n);
	} else if (is(n, N_PACKAGE_CLAUSE) && !r->s->package) {
		TSNode name = ts_node_named_child(n, 0);

		if (!ts_node_is_null(name)) {
			r->s->package_at = span_of(name);
			r->s->package = text_of(r, r->s->package_at);
		}
	}
}

/* ---- what was not found ---- */

/* The name behind a head's `func`, for a message. */
static const char *head_name(struct source_reader *r, uint32_t at)
{
	const char *from = r->s->text + at + 4, *end = r->s->text + r->s->len;
	size_t n = 0;

	while (from < end && *from == ' ')
		from++;
	while (from + n < end && n < 80 && from[n] != '\n' && from[n] != '{')
		n++;
	while (n && (from[n - 1] == ' ' || from[n - 1] == '\r'))
		n--;
	return arena_strndup(&r->s->arena, from, n);
}

/* Both lists are in the order of the file. */
static void find_missing(struct source_reader *r)
{
	struct go_source *s = r->s;
	size_t f = 0;

	for (size_t i = 0; i < r->heads.len; i++) {
		uint32_t at = r->heads.data[i];

		while (f < r->functions.len && r->functions.data[f].all.start < at)
			f++;
		if (f < r->functions.len && r->functions.data[f].all.start == at)
			continue;
		if (!s->nmissing++) {
			s->missing = head_name(r, at);
			s->missing_line = go_source_line(s, at);
		}
	}
}

/* ---- the file ---- */

static void read_tree(struct source_reader *r, TSNode root)
{
	struct go_source *s = r->s;
	TSTreeCursor c = ts_tree_cursor_new(root);

	s->clean = !ts_node_has_error(root);
	for (bool more = ts_tree_cursor_goto_first_child(&c); more; more = ts_tree_cursor_goto_next_sibling(&c))
		add_declaration(r, ts_tree_cursor_current_node(&c));
	ts_tree_cursor_delete(&c);
	find_missing(r);
	s->nfunctions = r->functions.len;
	s->functions = KEEP(s, r->functions);
	s->ntypes = r->types.len;
	s->types = KEEP(s, r->types);
	s->nimports = r->imports.len;
	s->imports = KEEP(s, r->imports);
	vec_done(&r->functions);
	vec_done(&r->types);
	vec_done(&r->imports);
}

static bool set_ranges(TSParser *parser, struct go_span part, const go_gaps *gaps)
{
	_cleanup_(cleanup_free) TSRange *ranges = xcalloc(gaps->len + 1, sizeof(*ranges));
	uint32_t at = part.start;

	for (size_t i = 0; i <= gaps->len; i++) {
		uint32_t end = i < gaps->len ? gaps->data[i].start : part.end;

		ranges[i] = (TSRange){.end_point = {UINT32_MAX, UINT32_MAX}, .start_byte = at, .end_byte = end};
		at = i < gaps->len ? gaps->data[i].end : at;
	}
	return ts_parser_set_included_ranges(parser, ranges, (uint32_t)gaps->len + 1);
}

/* Of that part of a text alone, but for the gaps: nothing else is looked at. Offsets are those of the text. */
static TSTree *parse(const char *text, struct go_span part, const go_gaps *gaps)
{
	TSParser *parser = ts_parser_new();
	TSTree *tree = NULL;

	if (parser && ts_parser_set_language(parser, tree_sitter_go()) && set_ranges(parser, part, gaps)) {
		learn_symbols(tree_sitter_go());
		tree = ts_parser_parse_string(parser, NULL, text, part.end);
	}
	if (parser)
		ts_parser_delete(parser);
	return tree;
}

int go_source_parse(const char *text, size_t len, struct go_source **ret, struct err *err)
{
	_cleanup_(cleanup_free) char *copy = NULL;
	struct source_reader r = {0};
	TSTree *tree;

	if (len >= SOURCE_MAX)
		return err_set(err, -EFBIG, "a file of %zu MiB is more than is read", len >> 20);
	copy = xmalloc(len + 1);
	go_mask_outline(text, len, copy, &r.heads, &r.gaps);
	tree = parse(copy, (struct go_span){0, (uint32_t)len}, &r.gaps);
	vec_done(&r.gaps);
	if (!tree) {
		vec_done(&r.heads);
		return err_set(err, -EINVAL, "libtree-sitter does not take the grammar that Earshot was built with");
	}
	r.s = xcalloc(1, sizeof(*r.s));
	r.s->text = text;
	r.s->len = len;
	read_tree(&r, ts_tree_root_node(tree));
	ts_tree_delete(tree);
	vec_done(&r.heads);
	*ret = r.s;
	return 0;
}

void go_source_free(struct go_source *s)
{
	if (s)
		arena_done(&s->arena);
	free(s);
}

/* ---- one function ---- */

static bool is_function_at(TSNode n, uint32_t at)
{
	return (is(n, N_FUNCTION_DECLARATION) || is(n, N_METHOD_DECLARATION)) && ts_node_start_byte(n) == at;
}

static void read_function(struct source_reader *r, TSNode root, struct go_function *f)
{
	TSNode n = ts_node_named_child(root, 0);
	function_list literals = {0};
	usdt_list usdt = {0};

	if (ts_node_is_null(n) || !is_function_at(n, f->all.start)) {
		f->broken = true;
		return;
	}
	f->broken |= ts_node_has_error(n) || ts_node_end_byte(n) != f->all.end;
	for (size_t i = 0; i < f->nusdt; i++)
		vec_push(&usdt, f->usdt[i]);
	read_content(r, n, f, (struct body_place){.literals = &literals, .usdt = &usdt});
	f->nliterals = literals.len;
	f->literals = KEEP(r->s, literals);
	f->nusdt = usdt.len;
	f->usdt = KEEP(r->s, usdt);
	vec_done(&literals);
	vec_done(&usdt);
}

void go_function_read(struct go_source *s, struct go_function *f)
{
	_cleanup_(cleanup_free) char *copy = NULL;
	struct source_reader r = {.s = s};
	TSTree *tree;

	if (f->read)
		return;
	f->read = true;
	if (f->body.start == f->body.end)
		return;
	copy = xmalloc(f->all.end); /* what lies before the function is not looked at */
	go_mask(s->text + f->all.start, f->all.end - f->all.start, copy + f->all.start);
	tree = parse(copy, f->all, &r.gaps);
	f->broken |= !tree;
	if (tree)
		read_function(&r, ts_tree_root_node(tree), f);
	ts_tree_delete(tree);
}

uint32_t go_source_line(const struct go_source *s, uint32_t at)
{
	uint32_t line = 1;

	for (const char *p = s->text; (p = memchr(p, '\n', (size_t)(s->text + at - p))); p++)
		line++;
	return line;
}

const char *go_function_name(struct arena *a, const struct go_function *f)
{
	if (!f->receiver)
		return f->name;
	return arena_printf(a, f->by_pointer ? "(*%s).%s" : "%s.%s", f->receiver, f->name);
}

const char *go_function_symbol(struct arena *a, const struct go_function *f)
{
	const char *own = f->type_params[1].end > f->type_params[1].start ? "[...]" : "";
	const char *of = f->of_generic ? "[...]" : "";

	if (!f->receiver)
		return arena_printf(a, "%s%s", f->name, own);
	return arena_printf(a, f->by_pointer ? "(*%s%s).%s%s" : "%s%s.%s%s", f->receiver, of, f->name, own);
}

/* Names in a list of type parameters stand behind its bracket and its commas. */
static bool is_in_list(const struct go_source *s, struct go_span list, const char *name, size_t n)
{
	const struct go_scan g = {s->text, list.end};
	bool first = true;

	for (size_t i = list.start + 1, behind; i < list.end; i = behind) {
		behind = go_scan_opaque(&g, i);
		if (behind == i && strchr("([{", s->text[i]) && s->text[i])
			behind = go_scan_brackets(&g, i);
		if (!behind)
			return true; /* whatever it is */
		if (behind > i)
			continue;
		behind = MAX(go_scan_name(&g, i), i + 1);
		if (first && behind - i == n && !memcmp(s->text + i, name, n))
			return true;
		first = s->text[i] == ',' || (first && isspace((unsigned char)s->text[i]));
	}
	return false;
}

bool go_function_is_parameter(const struct go_source *s, const struct go_function *f, struct go_span type)
{
	const struct go_scan g = {s->text, type.end};

	for (size_t i = type.start, behind; f->generic && i < type.end; i = behind) {
		behind = MAX(go_scan_name(&g, i), i + 1);
		for (size_t k = 0; k < ARRAY_SIZE(f->type_params); k++)
			if (f->type_params[k].end > f->type_params[k].start &&
			    is_in_list(s, f->type_params[k], s->text + i, behind - i))
				return true;
	}
	return false;
}
