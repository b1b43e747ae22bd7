#include "cmd/usdt.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "target/mapped.h"
#include "target/process.h"

int usdt_file_read(const char *path, usdt_file_vec *ret, struct err *err)
{
	_cleanup_(cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct usdt_notes *notes;
	int r;

	if (fd < 0)
		return err_set(err, -errno, "%s cannot be opened: %s", path, strerror(errno));
	r = usdt_notes_read(fd, path, &notes, err);
	if (r < 0)
		return r;
	usdt_notes_sort(notes);
	vec_push(ret, ((struct usdt_file){.path = xstrdup(path), .open_path = xstrdup(path), .notes = notes}));
	return 0;
}

static int read_mapped(const char *procfs, int pid, const struct mapped_file *m, usdt_file_vec *ret, struct err *err)
{
	_cleanup_(cleanup_fd) int fd = -1;
	struct usdt_notes *notes;
	char open_path[MAPPED_PATH_MAX];
	int r = mapped_file_open(procfs, pid, m, open_path, &fd);

	if (r < 0)
		return err_set(err, r, "%s, which process %d has mapped, cannot be opened: %s", m->path, pid,
			       r == -ESTALE ? "another file has its name" : strerror(-r));
	r = usdt_notes_read(fd, m->path, &notes, err);
	if (r < 0)
		return r;
	if (!notes->n && !notes->why) {
		usdt_notes_free(notes);
		return 0;
	}
	usdt_notes_sort(notes);
	vec_push(ret, ((struct usdt_file){.path = xstrdup(m->path), .open_path = xstrdup(open_path),
					  .is_deleted = m->is_deleted, .notes = notes}));
	return 0;
}

int usdt_files_of_process(const char *procfs, int pid, usdt_file_vec *ret, string_list *trouble, struct err *err)
{
	mapped_file_vec mapped = {0};
	struct process proc;
	int r = process_read(procfs, pid, &proc, err);

	if (r < 0)
		return r;
	process_done(&proc);
	r = mapped_files_read(procfs, pid, &mapped, err);
	for (size_t i = 0; i < mapped.len && r >= 0; i++) {
		struct err one = {0};

		if (read_mapped(procfs, pid, &mapped.data[i], ret, &one) < 0 && one.code != -ENOEXEC && trouble)
			vec_push(trouble, xstrdup(one.text));
	}
	mapped_files_done(&mapped);
	return r;
}

void usdt_files_done(usdt_file_vec *v)
{
	for (size_t i = 0; i < v->len; i++) {
		free(v->data[i].path);
		free(v->data[i].open_path);
		usdt_notes_free(v->data[i].notes);
	}
	vec_done(v);
}

const char *usdt_type_name(const struct usdt_arg *a)
{
	switch (a->size) {
	case 1: return "uint8";
	case 2: return "uint16";
	case 4: return a->is_float ? "float32" : "uint32";
	case 8: return a->is_float ? "float64" : "uint64";
	case -1: return "int8";
	case -2: return "int16";
	case -4: return a->is_float ? "float32" : "int32";
	case -8: return a->is_float ? "float64" : "int64";
	default: return "?";
	}
}
