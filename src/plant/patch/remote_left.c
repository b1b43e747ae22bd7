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

struct left_map {
	struct hand_map map;
	uint64_t inode;
};
typedef VEC(struct left_map) left_vec;

/* A line of /proc/PID/maps that is of our memory. */
static bool our_map(const char *line, struct left_map *ret)
{
	uint64_t end;

	*ret = (struct left_map){0};
	if (!strstr(line, "/memfd:" REMOTE_NAME) ||
	    sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %*s %" SCNu64, &ret->map.addr, &end, &ret->map.off,
		   &ret->inode) != 4)
		return false;
	ret->map.len = end - ret->map.addr;
	return true;
}

static void read_left(int pid, left_vec *ret)
{
	_cleanup_(buf_done) struct buf maps = {0};
	char path[64], *save = NULL;
	struct left_map m;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	if (file_read(path, &maps, 64u << 20) < 0 || !maps.data)
		return;
	for (char *line = strtok_r(maps.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (our_map(line, &m))
			vec_push(ret, m);
}

/*
 * What is mapped now: at an address that is only written down somewhere there may be something else by now. The first
 * is the one whose first page is the gate's, or is to be. How many; 0 when there is nothing.
 */
static size_t find_left(int pid, struct hand_map ret[HAND_MAPS_MAX])
{
	const struct left_map *first = NULL;
	left_vec all = {0};
	size_t n = 0;

	read_left(pid, &all);
	for (size_t i = 0; i < all.len && !first; i++)
		if (all.data[i].map.off <= HAND_PAGE)
			first = &all.data[i];
	if (first)
		ret[n++] = (struct hand_map){.addr = first->map.addr - first->map.off,
					     .len = first->map.len + first->map.off};
	for (size_t i = 0; first && i < all.len && n < HAND_MAPS_MAX; i++)
		if (&all.data[i] != first && all.data[i].inode == first->inode)
			ret[n++] = all.data[i].map;
	vec_done(&all);
	return n;
}

static int being_attached_to(const struct remote *r, struct err *err)
{
	return err_set(err, -EBUSY, "process %d is being attached to by another earshot; try again", r->target.pid);
}

/* The page as it is now, but for the maps, some of which may be unmapped already. */
static int read_page(struct remote *r, const struct hand_map *maps, size_t n, struct err *err)
{
	r->page = (struct remote_page){0};
	if (n && !remote_read(r, maps[0].addr + HAND_PAGE, &r->page, sizeof(r->page)))
		return remote_gone(r, err);
	memcpy(r->page.maps, maps, n * sizeof(*maps));
	r->page.nmaps = n;
	return 0;
}

static bool page_is_sound(const struct remote *r)
{
	return r->page.magic == REMOTE_MAGIC && r->page.npatches <= r->page.npatches_max &&
	       hand_own(r->page.npatches_max) <= r->page.maps[0].len;
}

static int no_sign_of_life(struct remote *r, struct err *err)
{
	uint64_t beat;

	if (!page_is_sound(r))
		return err_set(err, -EBUSY, "process %d has memory of another version of earshot mapped",
			       r->target.pid);
	usleep(BEAT_WAIT_US);
	if (!remote_read(r, r->page.maps[0].addr + HAND_BEAT_OFF, &beat, sizeof(beat)) || beat == r->page.beat)
		return 0;
	return err_set(err, -EBUSY,
		       "process %d is observed from inside by another earshot, and only one can; stop that one, or "
		       "use --planter uprobe",
		       r->target.pid);
}

static void read_list(struct remote *r)
{
	const uint64_t list = remote_own(r) + HAND_PAGE;

	for (uint64_t i = 0; i < r->page.npatches; i++)
		remote_read(r, list + i * sizeof(struct hand_patch), vec_add(&r->patches), sizeof(struct hand_patch));
}

/*
 * The hand of the dead one may be alive, and go on whenever the process is not held: so what was found before is looked
 * at anew. No maps: it is done.
 */
static int take(struct remote *r, struct err *err)
{
	const uint64_t beat = r->page.beat, token = r->page.token, magic = r->page.magic;
	struct hand_map maps[HAND_MAPS_MAX];
	int code = remote_hold_at_last(r, err);

	if (!code)
		code = read_page(r, maps, find_left(r->target.pid, maps), err);
	if (code || !r->page.nmaps)
		return code;
	if (r->page.magic != magic || r->page.token != token || r->page.beat != beat)
		return being_attached_to(r, err);
	if (!magic) /* mapped by one who did not come to write down what: no patch leads there */
		return remote_sign(r) ? 0 : remote_gone(r, err);
	if (!page_is_sound(r))
		return being_attached_to(r, err);
	read_list(r);
	return 0;
}

int remote_adopt(const struct hand_target *t, struct remote *ret, bool *ret_found, struct err *err)
{
	struct hand_map maps[HAND_MAPS_MAX];
	size_t n = find_left(t->pid, maps);
	struct remote r;
	int code;

	*ret_found = false;
	if (!n)
		return 0;
	code = remote_open(t, &r, err);
	if (code)
		return code;
	code = read_page(&r, maps, n, err);
	if (!code && r.page.magic)
		code = no_sign_of_life(&r, err);
	if (!code)
		code = take(&r, err);
	if (code || !r.page.nmaps) {
		remote_done(&r);
		return code;
	}
	*ret = r;
	*ret_found = true;
	return 0;
}
