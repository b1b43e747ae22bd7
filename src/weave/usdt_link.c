/*
 * The notes of an executable that the linker has written. All of the file stays where it is; behind its end come the
 * notes, the names of sections, and a new table of these. Beside .note.stapsdt there are the sections that bcc and perf
 * look for: .probes says where in the file semaphores lie, and .stapsdt.base would tell that a prelinker has moved
 * everything. The semaphores lie among Go's own variables, so that section is cut: none overlaps another, and strip
 * leaves each of them where it is.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/vec.h"
#include "weave/usdt.h"

enum {
	CODE_BYTES = 8,      /* of a stub, before its words */
	TEXT_MAX = 4096,     /* of a stub: provider, name, arguments */
	SECTIONS_MAX = 4096,
	NOTE_TYPE = 3,
};

struct stub_words {
	uint64_t magic[2], key;
};

/* The variable, as points.c declares it. */
struct semaphore {
	struct stub_words words;
	uint16_t listening, unused[3];
};
_Static_assert(sizeof(struct semaphore) == 32, "as in Go");

struct found {
	uint64_t address, key;
	const char *texts; /* of a stub: provider, name, arguments, each with its end */
	size_t len;
};
typedef VEC(struct found) found_list;

struct noting {
	const char *path;
	int fd;
	const unsigned char *data; /* the file, of any machine */
	uint64_t size;
	mode_t mode;
	found_list stubs, semaphores;
	uint64_t first, end; /* where the semaphores lie */
	Elf64_Ehdr header;
	VEC(Elf64_Shdr) sections;
	struct buf notes, names;
	size_t container; /* the section that the semaphores are in */
	size_t nsites;
};

/* ---- what there is ---- */

/* Provider, name and arguments behind a stub's words; 0: they have no end. */
static size_t texts_len(const char *at, size_t max)
{
	size_t len = 0;

	for (int i = 0; i < 3; i++) {
		const char *end = memchr(at + len, 0, max - len);

		if (!end)
			return 0;
		len = (size_t)(end + 1 - at);
	}
	return len;
}

static void take(struct noting *n, const Elf64_Phdr *s, const unsigned char *at, size_t left)
{
	struct stub_words words;
	struct found f = {.address = s->p_vaddr + (uint64_t)(at - (n->data + s->p_offset))};

	memcpy(&words, at, sizeof(words));
	f.key = words.key;
	if (s->p_flags & PF_X && at >= n->data + s->p_offset + CODE_BYTES) {
		f.address -= CODE_BYTES;
		f.texts = (const char *)at + sizeof(words);
		f.len = texts_len(f.texts, MIN(left - sizeof(words), (size_t)TEXT_MAX));
		if (f.len)
			vec_push(&n->stubs, f);
	} else if (s->p_flags & PF_W && left >= sizeof(struct semaphore)) {
		vec_push(&n->semaphores, f);
	}
}

/* n bytes of the file; NULL: it has not so many there. */
static const void *bytes_at(const struct noting *n, uint64_t at, uint64_t len)
{
	return at <= n->size && len <= n->size - at ? n->data + at : NULL;
}

static void search(struct noting *n, const Elf64_Phdr *s)
{
	static const uint64_t magic[2] = {USDT_MAGIC_0, USDT_MAGIC_1};
	const unsigned char *from = bytes_at(n, s->p_offset, s->p_filesz), *end = from ? from + s->p_filesz : NULL;

	if (!from || s->p_type != PT_LOAD || !(s->p_flags & (PF_X | PF_W)))
		return;
	for (const unsigned char *at = from; (at = memmem(at, (size_t)(end - at), magic, sizeof(magic))); at++)
		if ((size_t)(end - at) >= sizeof(struct stub_words))
			take(n, s, at, (size_t)(end - at));
}

/* False: it is none that could have probes. */
static bool search_segments(struct noting *n)
{
	const Elf64_Ehdr *h = bytes_at(n, 0, sizeof(*h));
	const unsigned char *all;

	if (!h || memcmp(h->e_ident, ELFMAG, SELFMAG) != 0 || h->e_ident[EI_CLASS] != ELFCLASS64 ||
	    h->e_ident[EI_DATA] != ELFDATA2LSB || h->e_phentsize != sizeof(Elf64_Phdr))
		return false;
	all = bytes_at(n, h->e_phoff, (uint64_t)h->e_phnum * sizeof(Elf64_Phdr));
	for (size_t i = 0; all && i < h->e_phnum; i++) {
		Elf64_Phdr s;

		memcpy(&s, all + i * sizeof(s), sizeof(s));
		search(n, &s);
	}
	n->header = *h;
	return all;
}

static const struct found *semaphore_of(const struct noting *n, uint64_t key)
{
	for (size_t i = 0; i < n->semaphores.len; i++)
		if (n->semaphores.data[i].key == key)
			return &n->semaphores.data[i];
	return NULL;
}

/* ---- what is added ---- */

static void pad(struct buf *b, size_t to)
{
	while (b->len % to)
		buf_char(b, 0);
}

static void add_note(struct noting *n, const struct found *stub, const struct found *semaphore)
{
	const uint64_t place[] = {stub->address, n->first, semaphore->address + offsetof(struct semaphore, listening)};
	const Elf64_Nhdr head = {sizeof("stapsdt"), (Elf64_Word)(sizeof(place) + stub->len), NOTE_TYPE};

	buf_append(&n->notes, &head, sizeof(head));
	buf_append(&n->notes, "stapsdt", sizeof("stapsdt"));
	buf_append(&n->notes, place, sizeof(place));
	buf_append(&n->notes, stub->texts, stub->len);
	pad(&n->notes, 4);
	n->nsites++;
}

/* A stub without its semaphore is never called. */
static void add_notes(struct noting *n)
{
	n->first = UINT64_MAX;
	for (size_t i = 0; i < n->semaphores.len; i++) {
		uint64_t at = n->semaphores.data[i].address;

		n->first = MIN(n->first, at);
		n->end = MAX(n->end, at + sizeof(struct semaphore));
	}
	for (size_t i = 0; i < n->stubs.len; i++) {
		const struct found *semaphore = semaphore_of(n, n->stubs.data[i].key);

		if (semaphore)
			add_note(n, &n->stubs.data[i], semaphore);
	}
}

/* ---- sections ---- */

static int read_sections(struct noting *n, struct err *err)
{
	const Elf64_Ehdr *h = &n->header;
	const Elf64_Shdr *names;
	const unsigned char *all = bytes_at(n, h->e_shoff, (uint64_t)h->e_shnum * sizeof(Elf64_Shdr));
	const void *text;

	if (!all || h->e_shentsize != sizeof(Elf64_Shdr) || h->e_shstrndx >= h->e_shnum || h->e_shnum > SECTIONS_MAX)
		return err_set(err, -EINVAL, "it has no table of sections");
	for (size_t i = 0; i < h->e_shnum; i++)
		memcpy(vec_add(&n->sections), all + i * sizeof(Elf64_Shdr), sizeof(Elf64_Shdr));
	names = &n->sections.data[h->e_shstrndx];
	text = bytes_at(n, names->sh_offset, names->sh_size);
	if (!text || !names->sh_size)
		return err_set(err, -EINVAL, "its sections have no names");
	buf_append(&n->names, text, names->sh_size);
	return 0;
}

static int find_container(struct noting *n, struct err *err)
{
	for (size_t i = 0; i < n->sections.len; i++) {
		const Elf64_Shdr *s = &n->sections.data[i];

		if (s->sh_type != SHT_PROGBITS || !(s->sh_flags & SHF_ALLOC) || s->sh_addr > n->first ||
		    s->sh_addr + s->sh_size < n->end)
			continue;
		n->container = i;
		return 0;
	}
	return err_set(err, -EINVAL, "its semaphores are not in one section");
}

static Elf64_Word add_name(struct noting *n, const char *name)
{
	size_t at = n->names.len;

	buf_append(&n->names, name, strlen(name) + 1);
	return (Elf64_Word)at;
}

/* A part of the section that the semaphores are in. */
static void cut(struct noting *n, Elf64_Word name, uint64_t from, uint64_t to, uint64_t align)
{
	Elf64_Shdr s = n->sections.data[n->container];

	s.sh_name = name;
	s.sh_offset += from - s.sh_addr;
	s.sh_addr = from;
	s.sh_size = to - from;
	s.sh_addralign = align;
	vec_push(&n->sections, s);
}

/* The base lies in the first semaphore's own words. */
static void cut_container(struct noting *n)
{
	const Elf64_Shdr whole = n->sections.data[n->container];

	cut(n, add_name(n, ".stapsdt.base"), n->first, n->first + 1, 1);
	cut(n, add_name(n, ".probes"), n->first + 8, n->end, 8);
	if (n->end < whole.sh_addr + whole.sh_size)
		cut(n, whole.sh_name, n->end, whole.sh_addr + whole.sh_size, 8);
	n->sections.data[n->container].sh_size = n->first - whole.sh_addr;
}

/* All that comes behind the file's end, which is at `from`; the header leads there. */
static void lay_out(struct noting *n, uint64_t from, struct buf *out)
{
	Elf64_Shdr note = {.sh_type = SHT_NOTE, .sh_addralign = 4, .sh_size = n->notes.len, .sh_offset = from};
	Elf64_Shdr *names;

	buf_append(out, n->notes.data, n->notes.len);
	cut_container(n);
	note.sh_name = add_name(n, ".note.stapsdt");
	vec_push(&n->sections, note);
	names = &n->sections.data[n->header.e_shstrndx];
	names->sh_offset = from + out->len;
	names->sh_size = n->names.len;
	buf_append(out, n->names.data, n->names.len);
	pad(out, 8);
	n->header.e_shoff = from + out->len;
	n->header.e_shnum = (Elf64_Half)n->sections.len;
	buf_append(out, n->sections.data, n->sections.len * sizeof(Elf64_Shdr));
}

/* ---- the file ---- */

static int write_copy(struct noting *n, int fd)
{
	uint64_t from = (n->size + 7) / 8 * 8;
	_cleanup_(buf_done) struct buf tail = {0};
	int r = write_all(fd, n->data, n->size);

	lay_out(n, from, &tail);
	if (r >= 0 && (pwrite(fd, tail.data, tail.len, (off_t)from) != (ssize_t)tail.len ||
	               pwrite(fd, &n->header, sizeof(n->header), 0) != (ssize_t)sizeof(n->header) ||
	               fchmod(fd, n->mode & 07777) < 0))
		r = errno ? -errno : -EIO;
	return r;
}

static int replace(struct noting *n, struct err *err)
{
	_cleanup_(buf_done) struct buf path = {0};
	int fd, r;

	buf_printf(&path, "%s.usdt", n->path);
	fd = open(path.data, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
	r = fd < 0 ? -errno : write_copy(n, fd);
	if (fd >= 0 && close(fd) < 0 && r >= 0)
		r = -errno;
	if (r >= 0 && rename(path.data, n->path) < 0)
		r = -errno;
	if (r >= 0)
		return 0;
	if (fd >= 0)
		unlink(path.data);
	return err_set(err, r, "cannot write %s: %s", path.data, strerror(-r));
}

static int write_notes(struct noting *n, struct err *err)
{
	int r;

	if (!search_segments(n))
		return 0;
	add_notes(n);
	if (!n->nsites)
		return 0;
	r = read_sections(n, err);
	if (r >= 0)
		r = find_container(n, err);
	return r < 0 ? r : replace(n, err);
}

static int map_file(struct noting *n)
{
	struct stat st;
	void *p;

	if (fstat(n->fd, &st) < 0)
		return -errno;
	n->size = (uint64_t)st.st_size;
	n->mode = st.st_mode;
	p = n->size ? mmap(NULL, n->size, PROT_READ, MAP_PRIVATE, n->fd, 0) : NULL;
	if (p == MAP_FAILED)
		return -errno;
	n->data = p;
	return 0;
}

int usdt_write_notes(const char *path, size_t *ret_n, struct err *err)
{
	_cleanup_(cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct noting n = {.path = path, .fd = fd};
	int r = fd < 0 ? -errno : map_file(&n);

	if (r < 0)
		return err_set(err, r, "cannot read %s: %s", path, strerror(-r));
	r = write_notes(&n, err);
	if (r >= 0)
		*ret_n = n.nsites;
	if (n.data)
		munmap((void *)n.data, n.size);
	vec_done(&n.stubs);
	vec_done(&n.semaphores);
	vec_done(&n.sections);
	buf_done(&n.notes);
	buf_done(&n.names);
	return r;
}
