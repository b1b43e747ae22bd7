#include "cmd/budget.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define PERIOD_NS UINT64_C(1000000000)
#define LEAST_DUTY 0.02      /* a fiftieth of the time: below that there is nothing to see */
#define IDLE_NS 10000000     /* programs that use less CPU time in a period are taken to use this */
#define REPORT_PERIODS 10

struct budget {
	struct budget_options o;
	struct loop *loop;
	struct loop_source *timer;
	double duty;                 /* share of each period with the probes in place */
	bool off;
	unsigned periods;
	uint64_t began_ns, cpu_ns;   /* of the period */
	double cost_ns;              /* of all hits until the period began */
	double last, highest;        /* shares */
	double on_ns, all_ns;
};

int budget_parse(const char *text, double *ret, struct err *err)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || strcmp(end, "%") || !(v > 0 && v <= 100))
		return err_set(err, -EINVAL, "--budget expects a share of CPU time from above 0%% to 100%%, such as "
					     "5%%, not \"%s\"", text);
	*ret = v / 100;
	return 0;
}

static uint64_t cpu_of_all(const struct budget *b)
{
	const struct observation *ob = b->o.observation;
	const struct observed_process *p;
	uint64_t sum = 0;

	for (size_t pos = 0; (p = observation_next_process(ob, &pos));)
		sum += process_cpu_ns(observation_procfs(ob), p->process.pid);
	return sum;
}

static void switch_probes(struct budget *b, bool off)
{
	if (b->off == off)
		return;
	b->off = off;
	if (off) {
		observation_pause(b->o.observation);
		b->o.paused(b->o.arg);
	} else {
		observation_resume(b->o.observation);
	}
}

static void begin_period(struct budget *b)
{
	b->began_ns = clock_monotonic_ns();
	b->cpu_ns = cpu_of_all(b);
	b->cost_ns = b->o.cost_ns(b->o.arg);
}

/* What a period cost, and what follows from it for the next one. */
static void end_period(struct budget *b)
{
	uint64_t cpu = cpu_of_all(b);
	double used = cpu > b->cpu_ns ? (double)(cpu - b->cpu_ns) : 0;
	double cost = b->o.cost_ns(b->o.arg) - b->cost_ns, before = b->duty;

	b->last = cost / MAX(used, (double)IDLE_NS); /* what a probe costs is part of what the program uses */
	b->highest = MAX(b->highest, b->last);
	b->periods++;
	if (b->last > b->o.share)
		b->duty *= 0.9 * b->o.share / b->last;
	else if (b->duty < 1 && b->last < b->o.share / 2)
		b->duty = MIN(1, b->duty * 1.5);
	if (b->duty < before)
		observation_note(b->o.observation,
				 "the probes take %.1f %% of the program's CPU time (budget %.3g %%): observing "
				 "%.0f %% of the time", 100 * b->last, 100 * b->o.share, 100 * b->duty);
	else if (b->periods % REPORT_PERIODS == 0)
		observation_note(b->o.observation,
				 "the probes take %.1f %% of the program's CPU time (budget %.3g %%)", 100 * b->last,
				 100 * b->o.share);
}

static void on_timer(void *arg, uint32_t events);

static void arm(struct budget *b, double ns)
{
	loop_remove(b->loop, b->timer);
	b->timer = NULL;
	loop_add_timer(b->loop, MAX((uint64_t)ns, 1000000), 0, on_timer, b, &b->timer);
}

/* At the end of the time with the probes in place, and at the end of the time without. */
static void on_timer(void *arg, uint32_t events)
{
	struct budget *b = arg;

	(void)events;
	if (!b->off && b->duty < 1) {
		b->on_ns += b->duty * (double)PERIOD_NS;
		switch_probes(b, true);
		arm(b, (1 - b->duty) * (double)PERIOD_NS);
		return;
	}
	if (!b->off)
		b->on_ns += (double)PERIOD_NS;
	b->all_ns += (double)PERIOD_NS;
	end_period(b);
	if (b->duty < LEAST_DUTY) {
		switch_probes(b, true);
		observation_note(b->o.observation,
				 "even a fiftieth of the time would cost more than the budget: the probes are taken "
				 "out; ask for a function that is called less often, or raise --budget");
		observation_quit(b->o.observation);
		return;
	}
	switch_probes(b, false);
	begin_period(b);
	arm(b, b->duty * (double)PERIOD_NS);
}

int budget_new(const struct budget_options *o, struct loop *loop, struct budget **ret, struct err *err)
{
	struct budget *b = xcalloc(1, sizeof(*b));
	int r;

	*b = (struct budget){.o = *o, .loop = loop, .duty = 1};
	begin_period(b);
	r = loop_add_timer(loop, PERIOD_NS, 0, on_timer, b, &b->timer);
	if (r < 0) {
		free(b);
		return err_set(err, r, "cannot make a timer: %s", strerror(-r));
	}
	*ret = b;
	return 0;
}

void budget_free(struct budget *b)
{
	if (!b)
		return;
	loop_remove(b->loop, b->timer);
	free(b);
}

void budget_report(const struct budget *b, double *ret_share, double *ret_duty)
{
	*ret_share = b->highest;
	*ret_duty = b->all_ns > 0 ? b->on_ns / b->all_ns : 1;
}
