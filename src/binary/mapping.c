#include "binary/mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/macro.h"

#define PAGE 4096u
#define SAMPLES 64u
#define SAMPLE_BYTES 256u

/* ---- faults ---- */

static struct mapping *mappings; /* changed by one thread at a time; the handler runs in a thread that reads one */
static struct sigaction former;

static struct mapping *mapping_at(uintptr_t addr)
{
	for (struct mapping *m = mappings; m; m = m->next)
		if (addr >= (uintptr_t)m->data && addr - (uintptr_t)m->data < m->size)
			return m;
	return NULL;
}

/* From the page on to the end: behind what was cut off there is nothing more, and one fault is enough. */
static bool put_zeros(struct mapping *m, uintptr_t addr)
{
	uintptr_t page = addr / PAGE * PAGE, end = (uintptr_t)m->data + ALIGN_UP(m->size, PAGE);

	m->broken = true;
	return mmap((void *)page, end - page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
	       MAP_FAILED;
}

/* A fault of anybody else comes again, and finds who was there before. */
static void on_bus(int sig, siginfo_t *info, void *context)
{
	int saved = errno;
	struct mapping *m = mapping_at((uintptr_t)info->si_addr);

	(void)context;
	if (!m || !put_zeros(m, (uintptr_t)info->si_addr))
		sigaction(sig, &former, NULL);
	errno = saved;
}

static void guard(struct mapping *m)
{
	const struct sigaction ours = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	struct sigaction now;

	if (sigaction(SIGBUS, NULL, &now) == 0 && now.sa_sigaction != on_bus) {
		former = now;
		sigaction(SIGBUS, &ours, NULL);
	}
	m->next = mappings;
	mappings = m;
}

/* ---- the content ---- */

/*
 * Of the first page, where Go's linker puts its build ID (a hash of all it linked), and of places all over the file.
 * Read rather than mapped: that takes no memory.
 */
static uint64_t sample(int fd, uint64_t size)
{
	unsigned char bytes[PAGE];
	uint64_t hash = FNV1A_BASIS;

	for (unsigned i = 0; i <= SAMPLES; i++) {
		size_t want = i ? SAMPLE_BYTES : PAGE;
		ssize_t n = pread(fd, bytes, want, (off_t)(size / SAMPLES * i - (i == SAMPLES ? MIN(size, want) : 0)));

		hash = fnv1a(hash, bytes, n > 0 ? (size_t)n : 0);
	}
	return hash;
}

/* ---- mappings ---- */

/* A link to it, or another name, moves the change time and nothing else. */
static bool same_content(struct mapping *m, const struct file_id *now)
{
	struct stat st;
	struct file_id after;

	if (!file_id_alike(&m->id, now) || sample(m->fd, m->size) != m->content || fstat(m->fd, &st) < 0)
		return false;
	after = file_id_of(&st);
	if (!file_id_equal(now, &after))
		return false;
	m->id = after;
	return true;
}

bool mapping_intact(struct mapping *m)
{
	struct file_id now;
	struct stat st;

	if (m->broken)
		return false;
	if (fstat(m->fd, &st) < 0)
		return true; /* nothing says otherwise */
	now = file_id_of(&st);
	if (!file_id_equal(&m->id, &now) && !same_content(m, &now))
		m->broken = true;
	return !m->broken;
}

static int map(struct mapping *m)
{
	uint64_t whole = ALIGN_UP(m->size, PAGE) + PAGE;
	void *p = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	m->data = p;
	if (mmap(p, m->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, m->fd, 0) == MAP_FAILED)
		return -errno;
	return 0;
}

int mapping_new(int fd, struct mapping **ret)
{
	struct mapping *m;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || !st.st_size)
		return -ENOEXEC;
	m = xcalloc(1, sizeof(*m));
	m->id = file_id_of(&st);
	m->size = m->id.size;
	m->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	r = m->fd < 0 ? -errno : map(m);
	if (r < 0) {
		mapping_free(m);
		return r;
	}
	m->content = sample(m->fd, m->size);
	guard(m);
	*ret = m;
	return 0;
}

void mapping_free(struct mapping *m)
{
	struct mapping **at = &mappings;

	if (!m)
		return;
	while (*at && *at != m)
		at = &(*at)->next;
	if (*at)
		*at = m->next;
	if (m->data)
		munmap(m->data, ALIGN_UP(m->size, PAGE) + PAGE);
	close_fd(m->fd);
	free(m);
}
