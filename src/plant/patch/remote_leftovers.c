/* The leftovers of an earshot that is gone: its memory in a process is found by name. */
#include "plant/patch/remote.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"

#define HEARTBEAT_WAIT_US 250000

struct leftover_map {
	struct shared_map map;
	uint64_t inode;
};
typedef VEC(struct leftover_map) leftover_vec;

/* A line of /proc/PID/maps that is of our memory. */
static bool our_map(const char *line, struct leftover_map *ret)
{
	uint64_t end;

	*ret = (struct leftover_map){0};
	if (!strstr(line, "/memfd:" SHARED_NAME) ||
	    sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %*s %" SCNu64, &ret->map.addr, &end, &ret->map.off,
		   &ret->inode) != 4)
		return false;
	ret->map.len = end - ret->map.addr;
	return true;
}

static void read_leftovers(int pid, leftover_vec *ret)
{
	_cleanup_(buf_done) struct buf maps = {0};
	char path[64], *save = NULL;
	struct leftover_map m;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	if (file_read(path, &maps, 64u << 20) < 0 || !maps.data)
		return;
	for (char *line = strtok_r(maps.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (our_map(line, &m))
			vec_push(ret, m);
}

/*
 * What is mapped now: something else may be by now where the list of a dead earshot says that its memory is. The first
 * map is the one whose first page is the fork guard, or was to become it. Returns how many maps there are.
 */
static size_t find_leftovers(int pid, struct shared_map ret[SHARED_MAPS_MAX])
{
	const struct leftover_map *first = NULL;
	leftover_vec all = {0};
	size_t n = 0;

	read_leftovers(pid, &all);
	for (size_t i = 0; i < all.len && !first; i++)
		if (all.data[i].map.off <= SHARED_PAGE)
			first = &all.data[i];
	if (first)
		ret[n++] = (struct shared_map){.addr = first->map.addr - first->map.off,
					     .len = first->map.len + first->map.off};
	for (size_t i = 0; first && i < all.len && n < SHARED_MAPS_MAX; i++)
		if (&all.data[i] != first && all.data[i].inode == first->inode)
			ret[n++] = all.data[i].map;
	vec_done(&all);
	return n;
}

static int another_attaches(const struct remote *r, struct err *err)
{
	return err_set(err, -EBUSY, "another earshot is attaching to process %d; try again", r->target.pid);
}

/* The page as it is now, but for the maps, some of which may be unmapped already. */
static int read_page(struct remote *r, const struct shared_map *maps, size_t n, struct err *err)
{
	r->page = (struct shared_page){0};
	if (n && !remote_read(r, maps[0].addr + SHARED_PAGE, &r->page, sizeof(r->page)))
		return remote_gone(r, err);
	memcpy(r->page.maps, maps, n * sizeof(*maps));
	r->page.nmaps = n;
	return 0;
}

static bool page_is_sound(const struct remote *r)
{
	return r->page.magic == SHARED_MAGIC && r->page.npatches <= r->page.npatches_max &&
	       shared_head_bytes(r->page.npatches_max) <= r->page.maps[0].len;
}

static int check_abandoned(struct remote *r, struct err *err)
{
	uint64_t heartbeat;

	if (!page_is_sound(r))
		return err_set(err, -EBUSY, "process %d has memory of another version of earshot mapped",
			       r->target.pid);
	usleep(HEARTBEAT_WAIT_US);
	if (!remote_read(r, r->page.maps[0].addr + SHARED_HEARTBEAT_OFF, &heartbeat, sizeof(heartbeat)) ||
	    heartbeat == r->page.heartbeat)
		return 0;
	return err_set(err, -EBUSY,
		       "another earshot has patched process %d, and only one can at a time; stop that one, or use "
		       "--planter uprobe",
		       r->target.pid);
}

static void read_list(struct remote *r)
{
	const uint64_t list = remote_page_addr(r) + SHARED_PAGE;

	for (uint64_t i = 0; i < r->page.npatches; i++)
		remote_read(r, list + i * sizeof(struct shared_patch), vec_add(&r->patches),
			    sizeof(struct shared_patch));
}

/*
 * The helper of the dead one may be alive, and go on whenever the process is not held: so all is read anew while the
 * process is held. No maps: that helper has taken everything out meanwhile.
 */
static int hold_and_check(struct remote *r, struct err *err)
{
	const uint64_t heartbeat = r->page.heartbeat, token = r->page.token, magic = r->page.magic;
	struct shared_map maps[SHARED_MAPS_MAX];
	int code = remote_hold_retry(r, err);

	if (!code)
		code = read_page(r, maps, find_leftovers(r->target.pid, maps), err);
	if (code || !r->page.nmaps)
		return code;
	if (r->page.magic != magic || r->page.token != token || r->page.heartbeat != heartbeat)
		return another_attaches(r, err);
	if (!magic) /* mapped by a helper that was killed before it wrote its page: no patch leads there */
		return remote_claim(r) ? 0 : remote_gone(r, err);
	if (!page_is_sound(r))
		return another_attaches(r, err);
	read_list(r);
	return 0;
}

int remote_take_over(const struct helper_target *t, struct remote *ret, bool *ret_found, struct err *err)
{
	struct shared_map maps[SHARED_MAPS_MAX];
	size_t n = find_leftovers(t->pid, maps);
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
		code = check_abandoned(&r, err);
	if (!code)
		code = hold_and_check(&r, err);
	if (code || !r.page.nmaps) {
		remote_done(&r);
		return code;
	}
	*ret = r;
	*ret_found = true;
	return 0;
}
