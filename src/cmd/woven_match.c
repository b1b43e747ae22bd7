#include "cmd/woven_match.h"

#include <fcntl.h>
#include <string.h>

void woven_set_read(struct binary *b, struct woven_set *ret)
{
	*ret = (struct woven_set){0};
	woven_points(binary_image(b), &ret->arena, &ret->points, &ret->n, &ret->broken);
}

void woven_set_done(struct woven_set *s)
{
	arena_done(&s->arena);
}

/* As the weaver names it: that of another pack, where the part extends one. */
static const char *span_of(const struct join *j)
{
	if (!j->part)
		return "-";
	return j->part->extends ? j->part->extends : j->part->name;
}

static bool is_point(const struct woven_point *p, const struct join *j)
{
	return j->variant && !strcmp(p->pack, j->pack->name) &&
	       !strcmp(p->span, span_of(j)) && !strcmp(p->point, j->point->name) &&
	       p->variant == (unsigned)(j->variant - j->point->variants) && p->at_return == j->variant->at_return &&
	       !strcmp(p->func, j->func.name);
}

/*
 * By number and by name: the pack may be another version of the one that it was built with. Of functions that are spans
 * the names alone count, which are the user's.
 */
static int slot_for(const struct woven_point *p, const struct join *j, size_t item)
{
	for (size_t i = 0; i < p->nslots; i++)
		if ((p->slots[i].capture == (int)item || p->slots[i].capture < 0) &&
		    !strcmp(p->slots[i].name, j->variant->captures[item].name))
			return (int)i;
	return -1;
}

static const int *slots_for(struct arena *arena, const struct woven_point *p, const struct join *j)
{
	int *slots = arena_array(arena, int, j->capture.program.nslots + 1);

	for (size_t i = 0; i < j->capture.program.nslots; i++)
		slots[i] = -1;
	for (size_t item = 0; item < j->variant->ncaptures; item++)
		if (j->capture.slot_of_item[item] >= 0)
			slots[j->capture.slot_of_item[item]] = slot_for(p, j, item);
	return slots;
}

const struct woven_point *woven_match(struct woven_set *s, const struct join *j, const int **ret_slots)
{
	for (size_t i = 0; i < s->n; i++) {
		if (!is_point(&s->points[i], j))
			continue;
		*ret_slots = slots_for(&s->arena, &s->points[i], j);
		return &s->points[i];
	}
	return NULL;
}

bool woven_file(const char *path)
{
	_cleanup_(cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct woven_set s = {0};
	struct image img;

	if (fd < 0 || image_open(fd, path, &img, NULL) < 0)
		return false;
	woven_points(&img, &s.arena, &s.points, &s.n, &s.broken);
	image_close(&img);
	woven_set_done(&s);
	return s.n > 0;
}
