/*
 * USDT notes: a whole ELF file, or the bytes of a section of notes in a made one (behind a first byte that says for
 * which machine, and with which symbols). Nothing is read outside of it, and each argument is what its place says.
 */
#include "fuzz/replay.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/tiny_usdt.h"
#include "usdt/notes.h"

static void check_arg(const struct usdt_arg *a, uint16_t machine)
{
	const char *base = usdt_register_name(machine, a->base), *index = usdt_register_name(machine, a->index);

	if (!a->text || (a->place == USDT_REFUSED) != (a->why != NULL) || strlen(base) > 3 || strlen(index) > 3)
		abort();
	if (a->place == USDT_REFUSED ? a->base != -1 : !a->size)
		abort();
	if (a->place == USDT_REGISTER && !strcmp(base, "?"))
		abort();
	for (const char *s = a->text; *s; s++)
		if (*s < ' ' || *s == 0x7f)
			abort();
}

static void check_site(const struct usdt_site *s, uint16_t machine)
{
	if (!*s->provider || !*s->name || (!s->why && !s->file_offset) || !usdt_instruction_name(s->instruction) ||
	    (!s->why && !s->semaphore != !s->semaphore_offset))
		abort();
	usdt_site_matches(s, "*:a*");
	for (size_t i = 0; i < s->n_args; i++)
		check_arg(&s->args[i], machine);
}

static int file_of(const void *data, size_t size)
{
	int fd = memfd_create("usdt", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	return fd;
}

static int file_of_notes(const uint8_t *data, size_t size)
{
	static struct tiny_usdt tiny;
	struct tiny_usdt_options o = {0};

	if (size) {
		o = (struct tiny_usdt_options){.type = *data & 1 ? ET_EXEC : ET_DYN,
					       .machine = *data & 2 ? EM_AARCH64 : EM_X86_64,
					       .symbols = *data & 4 ? SHT_SYMTAB : SHT_DYNSYM,
					       .base_section = *data & 8 ? USDT_BASE : 0};
	}
	tiny_usdt_build(&tiny, o);
	if (size)
		tiny_usdt_bytes(&tiny, data + 1, size - 1);
	return file_of(tiny.data, sizeof(tiny.data));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = size > SELFMAG && !memcmp(data, ELFMAG, SELFMAG) ? file_of(data, size) : file_of_notes(data, size);
	struct usdt_notes *n = NULL;
	struct err err = {0};

	if (usdt_notes_read(fd, "input", &n, &err) < 0) {
		if (n || !err.text[0])
			abort();
	} else {
		usdt_notes_sort(n);
		for (size_t i = 0; i < n->n; i++)
			check_site(&n->sites[i], n->machine);
		for (size_t i = 0; i < n->n; i = usdt_probe_end(n, i))
			continue;
	}
	usdt_notes_free(n);
	close(fd);
	return 0;
}
