/*
 * Programs that write into the observed program, or look for what is there already, beside the reference interpreter,
 * byte by byte: the including test says who runs them (programs_fresh, program_plant, program_run, programs_done).
 */
#ifndef TESTS_INJECT_SCENES_H
#define TESTS_INJECT_SCENES_H

#include "unit/ir_inject.h"
#include "unit/ir_interp.h"
#include "unit/ir_world.h"

#define SCENE_PROGRAMS 4

static void programs_fresh(void);                                    /* none is planted */
static void program_plant(unsigned k, struct capture_program *p);    /* and gets the layout of its goroutines */
static struct event_slot program_run(unsigned k, uint64_t rax);      /* the first slot of its one record */
static void programs_done(void);

static struct {
	struct ir_insn insns[INJECT_STATE_PROGRAM];
	struct capture_program program;
} scene_programs[SCENE_PROGRAMS];

static struct inject_memory memory, before;
static struct interp_result interpreted;
static struct interp_marks interpreted_marks;

static uint64_t any_id(void)
{
	static uint64_t last;

	return ++last;
}

static void interpret(unsigned k, uint64_t rax)
{
	static const uint64_t g[64]; /* wherever the layout says that things are */
	struct interp_input in = {.g = (uintptr_t)g, .read = inject_read, .write = inject_write,
				  .entry_sp = (uintptr_t)&world_pc_ret, .marks = &interpreted_marks,
				  .regs = {[GPR_RAX] = rax}};

	interpreted_marks = (struct interp_marks){.random = any_id};
	interp_run(&scene_programs[k].program, &in, &interpreted);
}

/* ---- writing: a program for each form ---- */

static void plant_writers(void)
{
	programs_fresh();
	for (unsigned f = 0; f < INJECT_FORMS; f++) {
		scene_programs[f].program = inject_program(scene_programs[f].insns, (enum inject_form)f);
		program_plant(f, &scene_programs[f].program);
	}
}

static void compare(const char *name, enum inject_form form)
{
	static struct inject_memory want;
	struct event_slot s;

	before = memory;
	interpret(form, (uintptr_t)&memory);
	want = memory;
	memory = before;
	s = program_run(form, (uintptr_t)&memory);
	if (s.status != interpreted.slots[0].status || s.value != interpreted.slots[0].value)
		fail_msg("%s: status %u, outcome %llu, and not %u, %llu", name, s.status, (unsigned long long)s.value,
			 interpreted.slots[0].status, (unsigned long long)interpreted.slots[0].value);
	if (memcmp(&memory, &want, sizeof(memory)))
		fail_msg("%s: other bytes", name);
}

static void scene_cases(void **state)
{
	plant_writers();
	for (size_t i = 0; i < ARRAY_SIZE(inject_cases); i++) {
		const struct inject_case *c = &inject_cases[i];

		inject_fill(&memory, c->form, c->filled, c->capacity, c->block);
		if (c->spoil)
			c->spoil(&memory);
		compare(c->name, c->form);
		assert_int_equal(interpreted.slots[0].value, c->outcome);
	}
	programs_done();
}

/* Sizes, ids and lengths of all kinds; what spoils them is of the cases. */
static void scene_random(void **state)
{
	unsigned seen[INJECT_OUTCOMES] = {0};

	plant_writers();
	for (unsigned n = 0; n < 3000; n++) {
		enum inject_form form = (enum inject_form)rnd(INJECT_FORMS);
		uint64_t block = rnd(4) ? rnd(400) : rnd(17000), filled = block + 20 + rnd(200), capacity;
		const struct inject_case *c = &inject_cases[rnd(ARRAY_SIZE(inject_cases))];

		capacity = rnd(8) ? filled + rnd(2000) : filled - rnd(3) + rnd(90);
		inject_fill(&memory, form, filled, capacity, block);
		for (unsigned k = 0; k < 24; k++)
			((uint8_t *)&memory.words[INJECT_TRACE])[k] = (uint8_t)rnd(256);
		memory.words[INJECT_FLAGS] = rnd(256);
		if (!rnd(3) && c->spoil && (c->form == form || c->form == INJECT_LINE))
			c->spoil(&memory);
		compare("at random", form);
		seen[interpreted.slots[0].value]++;
	}
	for (unsigned o = 0; o <= INJECT_NO_ROOM; o++)
		if (o != INJECT_LIMITED)
			assert_true(seen[o]);
	programs_done();
}

/* ---- … with the tracestate that came in ---- */

static char came_in[700];

/* A list of so many bytes, with a blank in its last value. */
static void state_came_in(uint64_t len)
{
	static const char header[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

	memset(came_in, 'v', sizeof(came_in));
	for (size_t at = 0; at < len; at += 100)
		memcpy(came_in + at, ",k=", 3);
	came_in[len - 2] = ' ';
	memory.header = (uintptr_t)header;
	memory.header_len = sizeof(header) - 1;
	memory.state = (uintptr_t)came_in;
	memory.state_len = len;
	memory.words[INJECT_STATE] = INJECT_STATE_WANTED;
}

static void plant_state_writers(void)
{
	programs_fresh();
	for (unsigned f = 0; f < INJECT_FORMS; f++) {
		scene_programs[f].program = inject_program_with_state(scene_programs[f].insns, (enum inject_form)f);
		program_plant(f, &scene_programs[f].program);
	}
}

static uint64_t outcome(enum inject_state s)
{
	return INJECT_WRITTEN | (uint64_t)s << INJECT_STATE_SHIFT;
}

/* A buffer with so much room behind what is filled. */
static void check_state(enum inject_form form, uint64_t len, uint64_t room, enum inject_state expected)
{
	inject_fill(&memory, form, 100, 100 + room, 50);
	state_came_in(len);
	compare("with a tracestate", form);
	if (interpreted.slots[0].value != outcome(expected))
		fail_msg("form %d, %llu bytes, room for %llu: %llx", form, (unsigned long long)len,
			 (unsigned long long)room, (unsigned long long)interpreted.slots[0].value);
}

static void scene_states(void **state)
{
	static const uint64_t field[][2] = {{10, 13}, {126, 13}, {127, 14}, {254, 14}, {255, 15}, {512, 15}};

	plant_state_writers();
	for (size_t k = 0; k < ARRAY_SIZE(field); k++) {
		const uint64_t len = field[k][0], all = field[k][1] + len + INJECT_FIELD_BYTES;

		for (enum inject_form f = INJECT_FIELD; f <= INJECT_FRAME; f++) {
			check_state(f, len, all, INJECT_STATE_WRITTEN);
			check_state(f, len, all - 1, INJECT_STATE_NO_ROOM);
		}
		check_state(INJECT_LINE, len, 14 + len + INJECT_LINE_BYTES, INJECT_STATE_WRITTEN);
		check_state(INJECT_LINE, len, 13 + len + INJECT_LINE_BYTES, INJECT_STATE_NO_ROOM);
	}
	for (enum inject_form f = 0; f < INJECT_FORMS; f++) {
		check_state(f, 513, 2000, INJECT_STATE_TOO_LONG);
		inject_fill(&memory, f, 100, 400, 50);
		state_came_in(20);
		memory.words[INJECT_STATE] = INJECT_STATE_THERE;
		compare("the program's own one", f);
		assert_int_equal(interpreted.slots[0].value, outcome(INJECT_STATE_PRESENT));
		memory.words[INJECT_STATE] = INJECT_STATE_UNWANTED;
		compare("none is wanted", f);
		inject_fill(&memory, f, 100, 400, 50);
		memory.words[INJECT_STATE] = INJECT_STATE_WANTED;
		compare("none came in", f);
		assert_int_equal(interpreted.slots[0].value, outcome(INJECT_STATE_NONE));
		inject_fill(&memory, f, 100, 400, 50);
		state_came_in(20);
		came_in[5] = '\n';
		compare("no list", f);
		assert_int_equal(interpreted.slots[0].value, outcome(INJECT_STATE_NONE));
	}
	/* the largest block */
	for (uint64_t over = 0; over < 2; over++) {
		inject_fill(&memory, INJECT_FRAME, 16600, 20000, 16384 - 69 - 33 + over);
		state_came_in(20);
		compare("a large block", INJECT_FRAME);
		assert_int_equal(interpreted.slots[0].value,
				 outcome(over ? INJECT_STATE_NO_ROOM : INJECT_STATE_WRITTEN));
	}
	programs_done();
}

static void scene_states_random(void **state)
{
	unsigned seen[INJECT_STATES] = {0};

	plant_state_writers();
	for (unsigned n = 0; n < 3000; n++) {
		enum inject_form form = (enum inject_form)rnd(INJECT_FORMS);
		uint64_t block = rnd(4) ? rnd(400) : rnd(17000), filled = block + 20 + rnd(200);

		inject_fill(&memory, form, filled, filled + rnd(900), block);
		state_came_in(rnd(2) ? 5 + rnd(40) : 5 + rnd(520));
		if (!rnd(8))
			came_in[rnd(memory.state_len)] = (char)rnd(256);
		memory.words[INJECT_STATE] = rnd(8) ? INJECT_STATE_WANTED : rnd(3);
		compare("at random", form);
		if ((interpreted.slots[0].value & INJECT_OUTCOME_MASK) == INJECT_WRITTEN)
			seen[interpreted.slots[0].value >> INJECT_STATE_SHIFT]++;
	}
	for (unsigned s = 0; s < INJECT_STATES; s++)
		assert_true(seen[s]);
	programs_done();
}

/* Memory that is not there, or cannot be written to: the slot says so, and nothing else has changed. */
static void scene_faults(void **state)
{
	static const enum inject_word words[] = {INJECT_BUFFER, INJECT_LENGTH_AT};
	static struct inject_memory *readable;

	readable = mmap(NULL, sizeof(*readable), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(readable, MAP_FAILED);
	plant_writers();
	for (unsigned f = 0; f < INJECT_FORMS; f++)
		for (size_t k = 0; k < ARRAY_SIZE(words) + 2; k++) {
			assert_int_equal(mprotect(readable, sizeof(*readable), PROT_READ | PROT_WRITE), 0);
			inject_fill(readable, (enum inject_form)f, 100, 400, 50);
			memory = *readable;
			if (k < ARRAY_SIZE(words))
				memory.words[words[k]] = (uintptr_t)world.hole + 8;
			else if (k == ARRAY_SIZE(words)) /* its length can be written, the bytes cannot */
				memory.words[INJECT_LENGTH_AT] = (uintptr_t)&memory.length;
			before = memory;
			assert_int_equal(mprotect(readable, sizeof(*readable), PROT_READ), 0);
			assert_int_equal(program_run(f, (uintptr_t)&memory).status, SLOT_UNREADABLE);
			assert_memory_equal(&memory, &before, sizeof(memory));
		}
	munmap(readable, sizeof(*readable));
	programs_done();
}

/* ---- what is there already ---- */

static struct ir_slot one_slot = {.name = "found", .kind = VALUE_UINT};

/* Of what is at RAX: a map, or a list of n elements of 40 bytes. */
static void plant_finder(unsigned k, const struct map_layout *map, int64_t n)
{
	static const char key[] = "traceparent";
	const struct ir_insn insns[] = {
	    {.op = IR_REGION},
	    {.op = IR_ARG_REG, .reg = GPR_RAX, .size = 8, .dst = 0},
	    {.op = IR_CONST, .dst = 1, .imm = n},
	    {.op = map ? IR_ANY_KEY : IR_ANY_STR, .dst = 2, .a = 0, .b = map ? 0 : 1, .at = map ? 0 : 40, .map = map,
	     .str = key, .imm = sizeof(key) - 1},
	    {.op = IR_EMIT, .a = 2},
	    {.op = IR_END},
	};

	memcpy(scene_programs[k].insns, insns, sizeof(insns));
	scene_programs[k].program =
	    (struct capture_program){.insns = scene_programs[k].insns, .ninsns = ARRAY_SIZE(insns), .slots = &one_slot,
				     .nslots = 1, .nregs = 3};
	program_plant(k, &scene_programs[k].program);
}

static void check_found(unsigned k, const void *at)
{
	struct event_slot s = program_run(k, (uintptr_t)at);

	interpret(k, (uintptr_t)at);
	assert_int_equal(s.status, interpreted.slots[0].status);
	if (s.status == SLOT_OK)
		assert_int_equal(s.value, interpreted.slots[0].value);
}

static void scene_maps(void **state)
{
	static const char *const spellings[] = {"traceparent", "TRACEPARENT", "tRaCePaReNt", "Traceparenu",
						"traceparen",  "traceparents", "Traceparen\x34", "Trace@arent"};
	struct swiss_map *swiss = swiss_maps[4];
	struct swiss_group *groups = (*(struct swiss_table **)swiss->dir)->groups;

	programs_fresh();
	plant_finder(0, &swiss_layout, 0);
	plant_finder(1, &old_layout, 0);
	for (unsigned k = 0; k < 5; k++) { /* the sixth have more than is searched */
		check_found(0, swiss_maps[k]);
		check_found(1, old_maps[k]);
	}
	assert_int_equal(interpreted.slots[0].value, 1); /* the longest lists have it */
	assert_int_equal(program_run(0, (uintptr_t)swiss_maps[5]).value, 1);
	for (unsigned g = 0; g < 4; g++)
		for (unsigned s = 0; s < 8; s++)
			for (size_t w = 0; w < ARRAY_SIZE(spellings); w++) {
				struct swiss_slot *slot = &groups[g].slots[s];

				if (groups[g].ctrl[s] & 0x80 || slot->key_len != strlen("Traceparent"))
					continue;
				slot->key = spellings[w];
				slot->key_len = strlen(spellings[w]);
				check_found(0, swiss);
				assert_int_equal(interpreted.slots[0].value, !strcasecmp(spellings[w], "traceparent"));
				slot->key_len = strlen("Traceparent");
			}
	assert_int_equal(program_run(0, 0).value, 0);
	programs_done();
}

struct element {
	const char *name;
	uint64_t len, rest[3];
};

static void check_list(unsigned k, const struct element *list, uint64_t found)
{
	check_found(k, list);
	assert_int_equal(interpreted.slots[0].value, found);
}

static void scene_lists(void **state)
{
	enum { FEW, MOST, TOO_MANY, NONE };
	static const int64_t sizes[] = {[FEW] = 3, [MOST] = IR_MAX_ELEMENTS, [TOO_MANY] = IR_MAX_ELEMENTS + 1,
				       [NONE] = 0};
	static struct element list[IR_MAX_ELEMENTS];

	programs_fresh();
	for (unsigned k = FEW; k <= NONE; k++)
		plant_finder(k, NULL, sizes[k]);
	for (unsigned k = 0; k < IR_MAX_ELEMENTS; k++)
		list[k] = (struct element){.name = k % 2 ? "tracexarent" : ":method", .len = k % 2 ? 11 : 7};
	check_list(FEW, list, 0);
	check_list(MOST, list, 0);
	list[1].name = "Traceparent";
	check_list(FEW, list, 1);
	list[1].name = "tracexarent";
	list[2] = (struct element){.name = "TRACEPARENT", .len = 11};
	check_list(FEW, list, 1);
	list[2].name = world.hole;
	assert_int_equal(program_run(FEW, (uintptr_t)list).status, SLOT_UNREADABLE);
	list[2] = list[0];
	list[IR_MAX_ELEMENTS - 1] = (struct element){.name = "TraceParent", .len = 11};
	check_list(MOST, list, 1);
	check_list(FEW, list, 0);
	list[0] = (struct element){.name = world.hole, .len = 11};
	assert_int_equal(program_run(FEW, (uintptr_t)list).status, SLOT_UNREADABLE);
	list[0].len = 12;
	assert_int_equal(program_run(FEW, (uintptr_t)list).status, SLOT_OK);
	assert_int_equal(program_run(FEW, (uintptr_t)world.hole - 80).status, SLOT_UNREADABLE);
	assert_int_equal(program_run(TOO_MANY, (uintptr_t)list).status, SLOT_MAP_BUSY);
	assert_int_equal(program_run(NONE, (uintptr_t)list).value, 0);
	programs_done();
}

#define INJECT_LOOKING cmocka_unit_test(scene_maps), cmocka_unit_test(scene_lists)
#define INJECT_STATES_WRITING cmocka_unit_test(scene_states), cmocka_unit_test(scene_states_random)
#define INJECT_WRITING cmocka_unit_test(scene_cases), cmocka_unit_test(scene_random), cmocka_unit_test(scene_faults)

#endif
