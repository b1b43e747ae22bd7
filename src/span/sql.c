/*
 * No grammar of SQL, of which each system has its own: tokens (sql_lex.h) and a few words that all have in common. A
 * statement is a nest of parentheses; each level has an operation, and a table's name stands where its clauses say.
 */
#include "span/sql.h"

#include <string.h>
#include <strings.h>

#include "base/text_view.h"
#include "span/sql_lex.h"

#define MAX_LEVELS 32
#define MAX_NAMES 16        /* of WITH; of tables */
#define MAX_SUMMARY 255     /* as the conventions say */

struct level {
	const char *verb;       /* an operation that takes tables, in capitals; or NULL */
	bool from;              /* in a list of tables */
	bool seen_from;
	bool with;              /* in a WITH: names of its tables follow */
	bool start;             /* an operation may begin here */
};

enum expected {
	ANYTHING,
	A_TABLE,        /* an operation's own */
	A_LISTED,       /* behind a comma in a list of tables: may be anything else */
	A_NAME,         /* of what is no table: a procedure */
	A_WITH_NAME,
	AN_OBJECT,      /* behind CREATE and its like: what is created */
};

/* Oracle writes a password as a name: IDENTIFIED BY new REPLACE old. */
enum password {
	NO_PASSWORD,
	IDENTIFIED,
	A_PASSWORD,     /* the next token is one */
	HAD_PASSWORD,
};

struct reader {
	struct sql_statement *q;
	struct sql_lexer lexer;
	struct level levels[MAX_LEVELS];
	size_t depth;                   /* may be beyond the last level, where nothing is read */
	enum expected expected;
	struct buf name;                /* the name that is being read */
	bool name_open, name_dotted;
	enum expected name_is;
	struct text_view with[MAX_NAMES];
	size_t nwith;
	bool several;
	bool summary_full;
	bool first;                     /* what CREATE creates belongs to the first operation */
	bool distinct, dot;             /* the token before was DISTINCT, was a dot */
	size_t list;                    /* where in the text the values of an IN list begin; 0: not in one */
	size_t listed;                  /* values in it */
	bool in;                        /* the word before was IN */
	enum password password;
};

void sql_statement_done(struct sql_statement *q)
{
	buf_done(&q->text);
	buf_done(&q->summary);
	buf_done(&q->operation);
	buf_done(&q->collection);
}

/* ---- words ---- */

static bool is_word(const struct sql_token *t, const char *word)
{
	return t->kind == SQL_WORD && (t->s[0] | 0x20) == (word[0] | 0x20) && strlen(word) == t->len &&
	       !strncasecmp(t->s, word, t->len);
}

/* The word of the list that t is, or NULL. */
static const char *find_word(const struct sql_token *t, const char *const *words)
{
	for (; *words; words++)
		if (is_word(t, *words))
			return *words;
	return NULL;
}

static const char *const table_verbs[] = {"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "UPSERT", NULL};
static const char *const object_verbs[] = {"CREATE", "ALTER", "DROP", NULL};
static const char *const other_verbs[] = {
	"ABORT", "ANALYZE", "ATTACH", "BEGIN", "CALL", "CHECKPOINT", "CLOSE", "CLUSTER", "COMMENT", "COMMIT", "COPY",
	"DEALLOCATE", "DECLARE", "DESC", "DESCRIBE", "DETACH", "DISCARD", "DO", "END", "EXEC", "EXECUTE", "EXPLAIN",
	"FETCH", "FLUSH", "GRANT", "KILL", "LISTEN", "LOAD", "LOCK", "MOVE", "NOTIFY", "OPTIMIZE", "PRAGMA", "PREPARE",
	"REFRESH", "REINDEX", "RELEASE", "RENAME", "RESET", "REVOKE", "ROLLBACK", "SAVEPOINT", "SET", "SHOW", "START",
	"TRUNCATE", "UNLISTEN", "UNLOCK", "USE", "VACUUM", "VALUES", NULL};
/* Between a verb and the name. */
static const char *const fillers[] = {
	"ABORT", "CONCURRENTLY", "EXISTS", "FAIL", "IF", "IGNORE", "LATERAL", "LOW_PRIORITY", "NOT", "ONLY", "OR",
	"REPLACE", "ROLLBACK", "TABLE", NULL};
static const char *const qualities[] = {
	"CLUSTERED", "EXTERNAL", "FOREIGN", "FULLTEXT", "GLOBAL", "LOCAL", "MATERIALIZED", "NONCLUSTERED", "OR",
	"RECURSIVE", "REPLACE", "SPATIAL", "TEMP", "TEMPORARY", "UNIQUE", "UNLOGGED", "VIRTUAL", NULL};
static const char *const objects[] = {
	"DATABASE", "DOMAIN", "EXTENSION", "FUNCTION", "INDEX", "POLICY", "PROCEDURE", "ROLE", "RULE", "SCHEMA",
	"SEQUENCE", "TABLE", "TRIGGER", "TYPE", "USER", "VIEW", NULL};
/* What ends a list of tables. */
static const char *const clauses[] = {
	"CONNECT", "EXCEPT", "FETCH", "FOR", "FORMAT", "GROUP", "HAVING", "INTERSECT", "LIMIT", "MINUS", "OFFSET",
	"ON", "OPTION", "ORDER", "PREWHERE", "QUALIFY", "RETURNING", "SAMPLE", "SET", "SETTINGS", "START", "UNION",
	"USING", "VALUES", "WHERE", "WINDOW", NULL};

/* ---- what was found ---- */

static struct level *level_of(struct reader *r)
{
	return &r->levels[MIN(r->depth, MAX_LEVELS - 1)];
}

static void add_summary(struct reader *r, const char *s, size_t len)
{
	struct buf *b = &r->q->summary;

	r->summary_full |= b->len + len + 1 > MAX_SUMMARY;
	if (r->summary_full)
		return;
	if (b->len)
		buf_char(b, ' ');
	buf_append(b, s, len);
}

static void add_operation(struct reader *r, const struct sql_token *t)
{
	add_summary(r, t->s, t->len);
	if (!r->q->operation.len && !r->depth)
		buf_append(&r->q->operation, t->s, t->len);
}

static bool is_with_name(const struct reader *r, const struct buf *name)
{
	for (size_t i = 0; i < r->nwith; i++)
		if (r->with[i].len == name->len && !strncasecmp(r->with[i].s, name->data, name->len))
			return true;
	return false;
}

/* The name that is open ends here. `called`: a parenthesis follows it. */
static void end_name(struct reader *r, bool called)
{
	const struct level *l = level_of(r);
	bool read = l->verb && (!strcmp(l->verb, "SELECT") || !strcmp(l->verb, "DELETE"));

	if (!r->name_open)
		return;
	r->name_open = false;
	if (!r->name.len || is_with_name(r, &r->name) || (called && read && r->name_is != A_NAME))
		return;
	add_summary(r, r->name.data, r->name.len);
	if (r->name_is == A_NAME)
		return;
	if (!r->q->collection.len)
		buf_append(&r->q->collection, r->name.data, r->name.len);
	else if (r->q->collection.len != r->name.len || memcmp(r->q->collection.data, r->name.data, r->name.len))
		r->several = true;
}

/* ---- reading ---- */

/* Without quotes where it needs none. */
static void add_name_part(struct reader *r, const struct sql_token *t)
{
	bool plain = t->len > 2;

	for (size_t i = 1; plain && i + 1 < t->len; i++)
		plain = t->s[i] == '_' || (t->s[i] >= '0' && t->s[i] <= '9') ||
			((t->s[i] | 0x20) >= 'a' && (t->s[i] | 0x20) <= 'z');
	if (t->kind == SQL_WORD || !plain)
		buf_append(&r->name, t->s, t->len);
	else
		buf_append(&r->name, t->s + 1, t->len - 2);
}

static void begin_name(struct reader *r, const struct sql_token *t)
{
	buf_reset(&r->name);
	add_name_part(r, t);
	r->name_open = true;
	r->name_dotted = false;
	r->name_is = r->expected;
	r->expected = ANYTHING;
}

static bool in_name(struct reader *r, const struct sql_token *t)
{
	if (!r->name_open)
		return false;
	if (t->kind == SQL_SIGN && t->s[0] == '.' && !r->name_dotted) {
		buf_char(&r->name, '.');
		r->name_dotted = true;
		return true;
	}
	if (r->name_dotted && (t->kind == SQL_WORD || t->kind == SQL_QUOTED || t->kind == SQL_DOUBLE)) {
		add_name_part(r, t);
		r->name_dotted = false;
		return true;
	}
	return false;
}

static void begin_operation(struct reader *r, const struct sql_token *t, const char *verb)
{
	struct level *l = level_of(r);
	bool reads = !strcmp(verb, "SELECT") || !strcmp(verb, "DELETE");

	add_operation(r, t);
	*l = (struct level){.verb = verb};
	r->expected = ANYTHING;
	if (!reads && strcmp(verb, "INSERT") && strcmp(verb, "REPLACE"))
		r->expected = A_TABLE;
}

/* The first word of a statement, or one behind WITH. False: it begins nothing, and may be a name. */
static bool on_start(struct reader *r, const struct sql_token *t)
{
	struct level *l = level_of(r);
	const char *verb = find_word(t, table_verbs);

	if (verb) {
		begin_operation(r, t, verb);
		return true;
	}
	if (is_word(t, "WITH")) {
		*l = (struct level){.with = true};
		r->expected = A_WITH_NAME;
		return true;
	}
	l->start = l->start && r->depth == 0 && is_word(t, "EXPLAIN");
	if (r->depth)
		return false;
	if (!find_word(t, object_verbs) && !find_word(t, other_verbs))
		return true;
	r->first = !r->q->operation.len;
	add_operation(r, t);
	r->expected = find_word(t, object_verbs) ? AN_OBJECT : ANYTHING;
	if (is_word(t, "TRUNCATE") || is_word(t, "COPY"))
		r->expected = A_TABLE;
	if (is_word(t, "CALL") || is_word(t, "EXEC") || is_word(t, "EXECUTE"))
		r->expected = A_NAME;
	return true;
}

/* CREATE TABLE is one operation. */
static void on_object(struct reader *r, const struct sql_token *t)
{
	if (find_word(t, qualities))
		return;
	r->expected = ANYTHING;
	if (!find_word(t, objects))
		return;
	add_summary(r, t->s, t->len);
	if (r->first) {
		buf_char(&r->q->operation, ' ');
		buf_append(&r->q->operation, t->s, t->len);
	}
	if (is_word(t, "TABLE") || is_word(t, "VIEW"))
		r->expected = A_TABLE;
}

static void on_with_name(struct reader *r, const struct sql_token *t)
{
	if (is_word(t, "RECURSIVE"))
		return;
	if (r->nwith < MAX_NAMES)
		r->with[r->nwith++] = (struct text_view){t->s, t->len};
	r->expected = ANYTHING;
}

static bool begins_tables(const struct reader *r, const struct level *l, const struct sql_token *t)
{
	bool writes = l->verb && (!strcmp(l->verb, "INSERT") || !strcmp(l->verb, "REPLACE") ||
				  !strcmp(l->verb, "MERGE") || !strcmp(l->verb, "UPSERT"));

	if (!l->verb)
		return false;
	if (is_word(t, "FROM"))
		return !writes && !l->seen_from && !r->distinct;
	if (is_word(t, "JOIN") || is_word(t, "STRAIGHT_JOIN"))
		return !writes;
	if (is_word(t, "USING"))
		return !strcmp(l->verb, "DELETE") || !strcmp(l->verb, "MERGE");
	return writes && is_word(t, "INTO");
}

static void on_word(struct reader *r, const struct sql_token *t)
{
	struct level *l = level_of(r);

	if (r->expected == A_WITH_NAME) {
		on_with_name(r, t);
	} else if (r->expected == AN_OBJECT) {
		on_object(r, t);
	} else if (begins_tables(r, l, t)) {
		l->from = !is_word(t, "INTO");
		l->seen_from |= is_word(t, "FROM");
		r->expected = A_TABLE;
	} else if (is_word(t, "SELECT")) {
		begin_operation(r, t, "SELECT");
	} else if ((l->start || (l->with && find_word(t, table_verbs))) && on_start(r, t)) {
		return;
	} else if (find_word(t, clauses)) {
		l->from &= is_word(t, "ON") || is_word(t, "USING");
		r->expected = ANYTHING;
	} else if (r->expected != ANYTHING && !find_word(t, fillers)) {
		begin_name(r, t);
	}
}

static void on_sign(struct reader *r, const struct sql_token *t)
{
	bool table = r->expected == A_TABLE || r->expected == A_LISTED;
	struct level *l = level_of(r);

	r->expected = ANYTHING;
	if (t->s[0] == '(') {
		const char *verb = table ? l->verb : NULL;

		l->start = false;
		if (++r->depth < MAX_LEVELS)
			r->levels[r->depth] = (struct level){.verb = verb, .from = table, .start = true};
		r->expected = table && r->depth < MAX_LEVELS ? A_LISTED : ANYTHING;
	} else if (t->s[0] == ')') {
		r->depth -= r->depth > 0;
	} else if (t->s[0] == ';' && !r->depth) {
		*l = (struct level){.start = true};
		r->nwith = 0;
	} else if (t->s[0] == ',' && r->depth < MAX_LEVELS) {
		if (l->with)
			r->expected = A_WITH_NAME;
		else if (l->from)
			r->expected = A_LISTED;
	}
}

/* A token that is no space. False: what may be a name or a literal is a literal. */
static bool read_token(struct reader *r, const struct sql_token *t)
{
	bool is_name = r->dot || r->expected == A_TABLE, is_table = r->expected == A_TABLE;

	r->dot = t->kind == SQL_SIGN && t->s[0] == '.';

	if (in_name(r, t))
		return is_name;
	end_name(r, t->kind == SQL_SIGN && t->s[0] == '(');
	if (r->depth >= MAX_LEVELS && t->kind != SQL_SIGN)
		return false;
	if (t->kind == SQL_WORD)
		on_word(r, t);
	else if (t->kind == SQL_QUOTED && r->expected == A_WITH_NAME)
		on_with_name(r, t);
	else if (t->kind == SQL_QUOTED || (t->kind == SQL_DOUBLE && is_table)) {
		if (r->expected != ANYTHING && r->expected != AN_OBJECT)
			begin_name(r, t);
	} else if (t->kind == SQL_SIGN)
		on_sign(r, t);
	else
		r->expected = ANYTHING;
	r->distinct = is_word(t, "DISTINCT");
	return is_name;
}

/* ---- writing ---- */

/* IN (?, ?, ?) is IN (?). */
static void follow_list(struct reader *r, const struct sql_token *t, bool value)
{
	struct buf *b = &r->q->text;
	char c = t->kind == SQL_SIGN ? t->s[0] : 0;

	if (r->in && c == '(') {
		r->list = b->len;
		r->listed = 0;
	} else if (r->list && c == ')' && r->listed > 1) {
		b->len = r->list;
		buf_str(b, "?)");
		r->list = 0;
	} else if (r->list && value) {
		r->listed++;
	} else if (c != ',' && c != '-' && c != '+') {
		r->list = 0;
	}
	r->in = is_word(t, "IN");
}

static enum password after_password(const struct reader *r, const struct sql_token *t)
{
	if (r->password == A_PASSWORD)
		return HAD_PASSWORD;
	if ((r->password == IDENTIFIED && is_word(t, "BY")) || (r->password == HAD_PASSWORD && is_word(t, "REPLACE")))
		return A_PASSWORD;
	return is_word(t, "IDENTIFIED") ? IDENTIFIED : NO_PASSWORD;
}

static void write_token(struct reader *r, const struct sql_token *t, bool is_name, bool spaced)
{
	bool password = r->password == A_PASSWORD && t->kind != SQL_PARAMETER;
	bool hidden = password || t->kind == SQL_LITERAL || t->kind == SQL_UNCERTAIN ||
		      (t->kind == SQL_DOUBLE && !is_name);
	struct buf *b = &r->q->text;

	if (spaced && b->len)
		buf_char(b, ' ');
	if (hidden)
		buf_char(b, '?');
	else
		buf_append(b, t->s, t->len);
	r->password = after_password(r, t);
	follow_list(r, t, hidden || (t->kind == SQL_PARAMETER && t->s[0] == '?'));
	if (t->kind == SQL_UNCERTAIN)
		buf_str(b, "...");
}

/* In front of a dot nothing but a name can stand. */
static bool precedes_dot(const struct reader *r)
{
	return r->lexer.p + 1 < r->lexer.end && r->lexer.p[0] == '.' && !(r->lexer.p[1] >= '0' && r->lexer.p[1] <= '9');
}

void sql_read(struct sql_statement *q, const char *system, const char *s, size_t len)
{
	struct reader r = {.q = q,
			   .lexer = {.dialect = sql_dialect_find(system, system ? strlen(system) : 0), .p = s,
				     .end = s + len},
			   .levels = {{.start = true}}};
	bool spaced = false;
	struct sql_token t;

	buf_reset(&q->text);
	buf_reset(&q->summary);
	buf_reset(&q->operation);
	buf_reset(&q->collection);
	while ((t = sql_next(&r.lexer)).kind != SQL_END) {
		bool name;

		if (t.kind == SQL_SPACE) {
			spaced = true;
			continue;
		}
		name = read_token(&r, &t);
		write_token(&r, &t, name || precedes_dot(&r), spaced);
		spaced = false;
	}
	end_name(&r, false);
	if (r.several)
		buf_reset(&q->collection);
	buf_done(&r.name);
}
