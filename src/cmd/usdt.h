/* `earshot usdt list`, `script` and `attach`: each a verb below one, in a file of its own. */
#ifndef CMD_USDT_H
#define CMD_USDT_H

#include "base/vec.h"
#include "cmd/verb.h"
#include "usdt/notes.h"

extern const struct verb verb_usdt_list, verb_usdt_script, verb_usdt_attach;

/* A file with USDT probes, sorted (usdt_notes_sort). */
struct usdt_file {
	char *path;      /* as it was given, or as the process sees it */
	char *open_path; /* where others find it, too: path, or one below /proc */
	bool is_deleted;
	struct usdt_notes *notes;
};
typedef VEC(struct usdt_file) usdt_file_vec;

/* The one file; 0 also where it has no probes. Errors are those of open(2) and usdt_notes_read, with a sentence. */
int usdt_file_read(const char *path, usdt_file_vec *ret, struct err *err);
/*
 * All files with probes that process pid has code of. A file that cannot be read is one sentence of `trouble`
 * (NULL: none wanted), and the others are read.
 */
int usdt_files_of_process(const char *procfs, int pid, usdt_file_vec *ret, string_list *trouble, struct err *err);
void usdt_files_done(usdt_file_vec *v);

/* "int32", "uint64", "float64"; "?" where its size was not read. */
const char *usdt_type_name(const struct usdt_arg *a);

#endif
