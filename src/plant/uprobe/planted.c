#include "plant/uprobe/planted.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE 4096u

static void *map_page(int fd, uint64_t offset)
{
	return mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, (off_t)(offset - offset % PAGE));
}

/* By the kernel: a page that is not in the file any more would end us. */
static int read_byte(const struct uprobe_view *v, size_t i, const struct uprobe_places *at, unsigned char *ret)
{
	const struct iovec from = {(unsigned char *)v->pages[i] + at->offsets[i] % PAGE, 1}, to = {ret, 1};

	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == 1 ? 0 : -errno;
}

int uprobe_view_open(const struct uprobe_places *at, struct uprobe_view *ret, struct err *err)
{
	_cleanup_(cleanup_fd) int fd = open(at->path, O_RDONLY | O_CLOEXEC);
	struct uprobe_view v = {.pages = xcalloc(at->n + 1, sizeof(*v.pages)), .bytes = xcalloc(at->n + 1, 1)};
	int r = fd < 0 ? -errno : 0;

	while (!r && v.n < at->n) {
		void *page = map_page(fd, at->offsets[v.n]);

		if (page == MAP_FAILED) {
			r = -errno;
			break;
		}
		v.pages[v.n++] = page;
		r = read_byte(&v, v.n - 1, at, &v.bytes[v.n - 1]);
	}
	if (r) {
		uprobe_view_done(&v);
		return err_set(err, r, "%s cannot be mapped, so nobody could tell whether a probe is in it: %s",
			       at->path, strerror(-r));
	}
	*ret = v;
	return 0;
}

#define BREAKPOINT 0xcc /* x86-64's */

int uprobe_view_check(const struct uprobe_view *v, const struct uprobe_places *at, struct err *err)
{
	for (size_t i = 0; i < v->n; i++) {
		unsigned char now;

		if (read_byte(v, i, at, &now))
			return err_set(err, -ESTALE, "%s was cut while probes were put into it", at->path);
		if (now == v->bytes[i] && now != BREAKPOINT) /* another's may have been there before */
			return err_set(err, -ENOTSUP,
				       "the kernel took the probe at file offset %#llx of %s, and has not put it "
				       "there: it knows no way to do that instruction",
				       (unsigned long long)at->offsets[i], at->path);
	}
	return 0;
}

void uprobe_view_done(struct uprobe_view *v)
{
	for (size_t i = 0; i < v->n; i++)
		munmap(v->pages[i], PAGE);
	free(v->pages);
	free(v->bytes);
	*v = (struct uprobe_view){0};
}
