/* What an earshot that is gone has left in a process: found by the name of its memory. */
#include "plant/patch/remote.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"

#define BEAT_WAIT_US 250000

static uint64_t find_left(int pid)
{
	_cleanup_(buf_done) struct buf maps = {0};
	char path[64], *save = NULL;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	if (file_read(path, &maps, 64u << 20) < 0 || !maps.data)
		return 0;
	for (char *line = strtok_r(maps.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		uint64_t start, off;

		if (strstr(line, "/memfd:" REMOTE_NAME) &&
		    sscanf(line, "%" SCNx64 "-%*x %*s %" SCNx64, &start, &off) == 2 && !off)
			return start;
	}
	return 0;
}

/* Memory that was mapped by one who did not come to write down what: no patch leads there. Held on success. */
static int take_unsigned(struct remote *r, uint64_t at, struct err *err)
{
	_cleanup_(buf_done) struct buf maps = {0};
	const uint64_t magic = REMOTE_MAGIC;
	char path[64], *save = NULL;
	int code = remote_hold_at_last(r, err);

	if (code)
		return code;
	if (!remote_read(r, at, &r->page, sizeof(r->page)) || r->page.magic)
		return err_set(err, -EBUSY, "process %d is being attached to by another earshot; try again", r->target.pid);
	snprintf(path, sizeof(path), "/proc/%d/maps", r->target.pid);
	if (file_read(path, &maps, 64u << 20) < 0 || !maps.data)
		return remote_gone(r, err);
	r->page = (struct remote_page){.magic = magic};
	for (char *line = strtok_r(maps.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct hand_map *m = &r->page.maps[r->page.nmaps];
		uint64_t end;

		if (!strstr(line, "/memfd:" REMOTE_NAME) || r->page.nmaps == HAND_MAPS_MAX ||
		    sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64, &m->addr, &end, &m->off) != 3)
			continue;
		m->len = end - m->addr;
		if (!m->off) { /* the first is where the list is */
			struct hand_map own = *m;

			*m = r->page.maps[0];
			r->page.maps[0] = own;
		}
		r->page.nmaps++;
	}
	if (!r->page.nmaps || !remote_publish(r) || !remote_write(r, at, &magic, sizeof(magic)))
		return remote_gone(r, err);
	return 0;
}

static int check_left(struct remote *r, uint64_t at, struct err *err)
{
	uint64_t beat;

	if (!r->page.magic)
		return take_unsigned(r, at, err);
	if (r->page.magic != REMOTE_MAGIC || !r->page.nmaps || r->page.nmaps > HAND_MAPS_MAX ||
	    r->page.npatches > HAND_PATCHES_MAX || r->page.maps[0].addr != at)
		return err_set(err, -EBUSY, "process %d has memory of another version of earshot mapped", r->target.pid);
	usleep(BEAT_WAIT_US);
	if (remote_read(r, at + HAND_BEAT_OFF, &beat, sizeof(beat)) && beat != r->page.beat)
		return err_set(err, -EBUSY,
			       "process %d is observed from inside by another earshot, and only one can; stop that one, or "
			       "use --planter uprobe",
			       r->target.pid);
	for (uint64_t i = 0; i < r->page.npatches; i++)
		remote_read(r, at + HAND_PAGE + i * sizeof(struct hand_patch), vec_add(&r->patches),
			 sizeof(struct hand_patch));
	return 0;
}

int remote_adopt(const struct hand_target *t, struct remote *ret, bool *ret_found, struct err *err)
{
	uint64_t at = find_left(t->pid);
	struct remote r;
	int code;

	*ret_found = false;
	if (!at)
		return 0;
	code = remote_open(t, &r, err);
	if (code)
		return code;
	if (!remote_read(&r, at, &r.page, sizeof(r.page)))
		code = remote_gone(&r, err);
	if (!code)
		code = check_left(&r, at, err);
	if (code) {
		remote_done(&r);
		return code;
	}
	*ret = r;
	*ret_found = true;
	return 0;
}
