/*
 * Values in this process's memory and a table of their shapes, made by hand: what the planters' walks over images are
 * tried on, so that both must come to the same. SELF_BIAS is the test's load bias.
 */
#ifndef TESTS_UNIT_WALK_SHAPES_H
#define TESTS_UNIT_WALK_SHAPES_H

enum { UNKNOWN, BYTES, STRING, NODE, NODE_PTR, WORDS, BOX, FACES, ITAB, MASKED, INT, WIDE, NSHAPES };

struct node {
	const char *s;
	uint64_t len;
	struct node *next;
	uint64_t n;
};
struct box {                    /* a slice of nodes, of strings */
	struct node *nodes;
	int64_t nnodes, cap;
	uint64_t *words;
	uint8_t shift, pad[7];
	uint64_t zero;
	uint64_t *one_if_zero;
};
struct itab {
	const void *inter;
	uint64_t type;
};
struct faces {
	const struct itab *itab;
	const void *data;
	uint64_t type;
	const void *any;
};
struct masked {
	uint64_t mask;
	uint64_t *words;
};
struct wide {
	uint64_t words[2000];
};

static struct shape shapes[NSHAPES] = {
	[UNKNOWN] = {.size = 1},
	[BYTES] = {.size = 1, .role = SHAPE_BYTES},
	[STRING] = {.size = 16, .first_edge = 0, .nedges = 1},
	[NODE] = {.size = sizeof(struct node), .first_edge = 1, .nedges = 2},
	[NODE_PTR] = {.size = 8, .first_edge = 3, .nedges = 1},
	[WORDS] = {.size = 8},
	[BOX] = {.size = sizeof(struct box), .first_edge = 4, .nedges = 3},
	[FACES] = {.size = sizeof(struct faces), .first_edge = 7, .nedges = 3},
	[ITAB] = {.size = sizeof(struct itab), .role = SHAPE_ITAB},
	[MASKED] = {.size = sizeof(struct masked), .first_edge = 10, .nedges = 1},
	[INT] = {.size = 8},
	[WIDE] = {.size = sizeof(struct wide)},
};
static struct shape_edge edges[] = {
	{EDGE_POINTER, COUNT_WORD, 0, 0, 8, BYTES, 20},
	{EDGE_POINTER, COUNT_WORD, 0, 0, 8, BYTES, 20},
	{EDGE_POINTER, COUNT_ONE, 1, offsetof(struct node, next), 0, NODE, 1},
	{EDGE_POINTER, COUNT_ONE, 1, 0, 0, NODE, 1},
	{EDGE_POINTER, COUNT_WORD, 0, offsetof(struct box, nodes), offsetof(struct box, nnodes), NODE, 5},
	{EDGE_POINTER, COUNT_SHIFT, 0, offsetof(struct box, words), offsetof(struct box, shift), WORDS, 16},
	{EDGE_POINTER, COUNT_ONE_IF_ZERO, 0, offsetof(struct box, one_if_zero), offsetof(struct box, zero), WORDS, 1},
	{EDGE_POINTER, COUNT_ONE, 0, offsetof(struct faces, itab), 0, ITAB, 1},
	{EDGE_IFACE, COUNT_ONE, 1, offsetof(struct faces, itab), 0, 0, 1},
	{EDGE_EFACE, COUNT_ONE, 1, offsetof(struct faces, type), 0, 0, 1},
	{EDGE_POINTER, COUNT_MASK, 0, offsetof(struct masked, words), offsetof(struct masked, mask), WORDS, 1000},
};
#define TYPE_NODE UINT64_C(0x4b1000)
#define TYPE_NODE_PTR UINT64_C(0x4b2000)
static struct shape_dynamic dynamic[] = {{TYPE_NODE, NODE, false}, {TYPE_NODE_PTR, NODE_PTR, true}};
static struct shape_table table = {
	.limits = {.depth = 2, .max_string = 20, .max_items = 5},
	.shapes = {.data = shapes, .len = NSHAPES},
	.edges = {.data = edges, .len = ARRAY_SIZE(edges)},
	.dynamic = {.data = dynamic, .len = ARRAY_SIZE(dynamic)},
	.itab_type_off = offsetof(struct itab, type),
};

static void show_chunk(const struct event *e, const struct event_chunk *c, char *out, size_t n)
{
	static const char *const names[] = {"?", "bytes", "string", "node", "*node", "words", "box", "faces", "itab",
					    "masked", "int", "wide"};
	static const char *const statuses[SLOT_STATUS_COUNT] = {[SLOT_CUT] = " cut", [SLOT_UNREADABLE] = " unreadable"};
	const char *status = statuses[event_chunk_status(c)];
	char pages[16] = "";

	if (c->status >> EVENT_PAGES_SHIFT)
		snprintf(pages, sizeof(pages), " -%x", c->status >> EVENT_PAGES_SHIFT);
	if (c->shape == BYTES)
		snprintf(out, n, "'%.*s'%s%s; ", (int)c->len, (const char *)event_chunk_bytes(c), status ? status : "",
			 pages);
	else
		snprintf(out, n, "%s %u%s%s d%u; ", names[c->shape], c->len, status ? status : "", pages, c->depth);
}

/* ---- memory that is not all there ---- */

typedef char *(*walk_fn)(enum program_role role, uint32_t shape, uint64_t size, bool in_reg, const void *value);

/* Five pages, of which lose takes the second and the fourth. */
static uint8_t *pages_new(void (*lose)(uint8_t *page))
{
	uint8_t *at = mmap(NULL, 5 * EVENT_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static struct node nodes[] = {{"a", 1, NULL, 0}, {"b", 1, NULL, 0}};

	assert_ptr_not_equal(at, MAP_FAILED);
	assert_int_equal(madvise(at, 5 * EVENT_PAGE, MADV_NOHUGEPAGE), 0);
	memset(at, 0x11, 5 * EVENT_PAGE);
	memcpy(at + EVENT_PAGE - 64, nodes, 64);
	memset(at + 2 * EVENT_PAGE, 0, 96);
	memcpy(at + 2 * EVENT_PAGE, nodes, 64);
	lose(at + EVENT_PAGE);
	lose(at + 3 * EVENT_PAGE);
	return at;
}

/*
 * What is there of each is copied, and the status tells the rest, for a page that is lost before, behind and between.
 */
static void check_holes(walk_fn walk, void (*lose)(uint8_t *page))
{
	uint8_t *at = pages_new(lose);
	struct box box = {.nodes = (struct node *)(void *)(at + EVENT_PAGE - 64), .nnodes = 5};
	struct node text = {(const char *)at + EVENT_PAGE - 3, 10, NULL, 0};
	struct masked m = {999, (uint64_t *)(void *)(at + EVENT_PAGE - 8)};

	assert_string_equal(walk(PROGRAM_POINT, BOX, sizeof(box), false, &box),
			    "box 56 d2; node 160 -2 d2; 'a'; 'b'; slot 1 missed 0");
	box.nodes = (struct node *)(void *)(at + 2 * EVENT_PAGE - 64);
	assert_string_equal(walk(PROGRAM_ENTRY, BOX, sizeof(box), false, &box),
			    "box 56 d2; node 160 -1 d2; 'a'; 'b'; slot 1 missed 0");
	box.nodes = (struct node *)(void *)(at + EVENT_PAGE + 64);
	assert_string_equal(walk(PROGRAM_POINT, BOX, sizeof(box), false, &box),
			    "box 56 d2; node 0 unreadable d2; slot 1 missed 0");
	memcpy(at + EVENT_PAGE - 3, "xyz", 3);
	assert_string_equal(walk(PROGRAM_POINT, NODE, sizeof(text), false, &text),
			    "node 32 d2; 'xyz' -2; slot 1 missed 0");
	assert_string_equal(walk(PROGRAM_POINT, MASKED, sizeof(m), false, &m),
			    "masked 16 d2; words 8000 -2 d2; slot 1 missed 0");
	m.words = (uint64_t *)(void *)(at + 2 * EVENT_PAGE - 8);
	assert_string_equal(walk(PROGRAM_POINT, MASKED, sizeof(m), false, &m),
			    "masked 16 d2; words 8000 -5 d2; slot 1 missed 0");
	assert_string_equal(walk(PROGRAM_POINT, WIDE, 4096, false, at + 2048), "wide 4096 cut -2 d2; slot 1 missed 0");
	assert_string_equal(walk(PROGRAM_POINT, WIDE, 4096, false, at + EVENT_PAGE + 2048),
			    "wide 4096 cut -1 d2; slot 1 missed 0");
	assert_string_equal(walk(PROGRAM_POINT, NODE, 32, false, at + EVENT_PAGE), "node 32 -1 d2; slot 5 missed 0");
	munmap(at, 5 * EVENT_PAGE);
}

static void forbid(uint8_t *page)
{
	assert_int_equal(mprotect(page, EVENT_PAGE, PROT_NONE), 0);
}

#endif
