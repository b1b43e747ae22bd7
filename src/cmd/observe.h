/* How processes get into an observation: those that run, and one that we start. The same for every verb. */
#ifndef CMD_OBSERVE_H
#define CMD_OBSERVE_H

#include "cmd/background.h"
#include "cmd/observation.h"
#include "cmd/targets.h"

/*
 * Observes what the command line means until it is over, and ends the observation. background: NULL, or told when it
 * runs. Returns the verb's exit code.
 */
int observe_running(struct observation *ob, const struct target_plan *plan, struct loop *loop,
		    struct background *background);
/*
 * Starts a program and observes it from its first instruction, with all that it starts; ends the observation, waits for
 * the program. Returns the program's exit code.
 */
int observe_command(struct observation *ob, char **argv, struct loop *loop);

#endif
