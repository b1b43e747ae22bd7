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

#endif
