#include "cmd/dump.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cmd/summary.h"

#define ROOM_MS   10000 /* that an output which takes nothing is waited for */
#define FINISH_MS 10000
#define SECOND_NS UINT64_C(1000000000)

struct writing {
	sink_list sinks;
	bool stuck;
};

/* ---- names ---- */

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool to_stdout(const struct dump_place *place)
{
	return !strcmp(place->path, "-");
}

static bool prints_nothing(const struct output_options *o)
{
	return o->form && !strcmp(o->form, "none");
}

static const char *ending_of(const struct output_options *o)
{
	const char *form = o->form ? o->form : OUTPUTS_DUMP_FORM;

	return !strcmp(form, "json") ? "json" : !strcmp(form, "perfetto") ? "perfetto.json" : "txt";
}

/* n: how many there are of that name already. */
static char *name_in(const struct dump_place *place, const struct dump_request *q, uint64_t at_unix_ns, unsigned n)
{
	const time_t seconds = (time_t)(at_unix_ns / SECOND_NS);
	char when[32], number[16] = "";
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(when, sizeof(when), "%Y%m%dT%H%M%S", &tm);
	if (n)
		snprintf(number, sizeof(number), "-%u", n + 1);
	return xasprintf("%s/earshot-%s.%03uZ-%s%s.%s", place->path, when, (unsigned)(at_unix_ns / 1000000 % 1000),
			 q->cause, number, ending_of(place->out));
}

int dump_place_check(const struct dump_place *place, struct err *err)
{
	_cleanup_(cleanup_free) char *copy = xstrdup(place->path);
	char *slash = strrchr(copy, '/');
	const char *folder = is_folder(place->path) ? place->path : !slash ? "." : slash == copy ? "/" : copy;
	int r = outputs_check_dump(place->out, err);
	struct stat st;

	if (r < 0 || to_stdout(place))
		return r;
	if (folder != place->path && lstat(place->path, &st) == 0 && !S_ISREG(st.st_mode)) /* /dev/null is not ours */
		return err_set(err, -EEXIST, "--dump-to: %s is neither a folder nor a file that a dump may replace: "
			       "name another, or - for standard output", place->path);
	if (folder == copy)
		*slash = 0;
	if (!is_folder(folder))
		return err_set(err, -ENOTDIR, "--dump-to: %s is no folder: make it, or name another", folder);
	if (access(folder, W_OK) < 0)
		return err_set(err, -errno, "--dump-to: nothing can be written to %s: %s", folder, strerror(errno));
	return 0;
}

void dump_place_print(const struct dump_place *place, struct buf *out)
{
	if (prints_nothing(place->out))
		buf_str(out, "no dump is written: --otlp gets them, where it is given");
	else if (to_stdout(place))
		buf_str(out, "dumps go to standard output");
	else if (is_folder(place->path))
		buf_printf(out, "dumps go to %s", place->path);
	else
		buf_printf(out, "%s is no folder, but a file that each dump replaces", place->path);
}

/* ---- what is said of it ---- */

static void print_since(const struct recording_about *a, uint64_t at_unix_ns, struct buf *out)
{
	char text[24];

	format_duration(at_unix_ns > a->begun_unix_ns ? at_unix_ns - a->begun_unix_ns : 0, text);
	if (a->from_start)
		buf_printf(out, "of %s, since the recorder began", text);
	else
		buf_printf(out, "of the last %s", text);
}

static void print_about(const struct recording_about *a, uint64_t at_unix_ns, struct buf *out)
{
	const struct run_summary sum = {.spans = a->spans, .spans_lost = a->lost.spans, .losses = a->lost.losses};

	buf_printf(out, "%" PRIu64 " %s ", a->spans, plural(a->spans, "span", "spans"));
	print_since(a, at_unix_ns, out);
	buf_str(out, "; ");
	losses_print(&sum, &(struct summary_text){.spans = true}, out);
	if (a->damaged)
		buf_printf(out, "; %u %s of the recording %s damaged, and what lay behind the damage is missing",
			   a->damaged, plural(a->damaged, "segment", "segments"), a->damaged == 1 ? "is" : "are");
	if (a->left_out)
		buf_printf(out, "; %u older %s left out: one between is missing", a->left_out,
			   a->left_out == 1 ? "segment is" : "segments are");
	if (a->cut)
		buf_printf(out, "; %" PRIu64 " bytes are missing at the file's end", a->cut);
}

/* ---- writing ---- */

static void take_span(void *arg, const struct span *s)
{
	struct writing *w = arg;

	if (!w->stuck)
		w->stuck = !outputs_wait_for_room(&w->sinks, ROOM_MS);
	outputs_span(&w->sinks, s);
}

/* What nobody took is no dump. */
static int finish(struct writing *w, const struct recording_about *a, struct err *err)
{
	struct run_summary sum = {.spans = a->spans, .spans_lost = a->lost.spans, .losses = a->lost.losses};
	struct losses not_taken = {0};
	_cleanup_(buf_done) struct buf why = {0};
	const char *trouble;
	uint64_t left;

	outputs_finish(&w->sinks, FINISH_MS, &not_taken);
	losses_add(&sum.losses, &not_taken);
	outputs_summary(&w->sinks, &sum);
	for (size_t pos = 0; (trouble = outputs_trouble(&w->sinks, &pos));)
		buf_printf(&why, "%s%s", why.len ? "; " : "", trouble);
	left = not_taken.count[LOSS_SINK_QUEUE] + not_taken.count[LOSS_SINK_REFUSED];
	if (!left && !why.len)
		return 0;
	return err_set(err, -EIO, "%s%s%" PRIu64 " of %" PRIu64 " spans were not taken", why.len ? why.data : "",
		       why.len ? "; " : "", left, a->spans);
}

static int write_to(const struct dump_place *place, const struct dump_request *q, const char *path,
		    const struct dump_note *note, struct segment_memory *memory, struct err *err)
{
	const struct sink_setup with = {.gives = SINK_SPANS, .show_process = true, .env = place->env};
	struct recording_about about;
	struct writing w = {0};
	int r = outputs_open_dump(place->out, path, &with, &w.sinks, err);

	if (r >= 0) {
		outputs_dump(&w.sinks, note);
		r = q->read(q->arg, q->from_unix_ns,
			    &(struct segment_reading){.span = take_span, .arg = &w, .memory = memory}, &about, err);
	}
	if (r >= 0)
		r = finish(&w, &about, err);
	outputs_close(&w.sinks, FINISH_MS);
	return r;
}

/* Where it belongs, in one step: a file of that name is replaced, a file in a folder is one more. */
static int put_in_place(const struct dump_place *place, const struct dump_request *q, uint64_t at_unix_ns,
			const char *part, struct buf *ret_text)
{
	const bool folder = is_folder(place->path);

	for (unsigned n = 0;; n++) {
		_cleanup_(cleanup_free) char *path = folder ? name_in(place, q, at_unix_ns, n) : xstrdup(place->path);

		if (renameat2(AT_FDCWD, part, AT_FDCWD, path, folder ? RENAME_NOREPLACE : 0) < 0 &&
		    (errno != EINVAL || rename(part, path) < 0)) { /* a file system that cannot tell */
			if (folder && errno == EEXIST)
				continue;
			return -errno;
		}
		buf_printf(ret_text, " → %s", path);
		return 0;
	}
}

/* A file that was not there, so that nobody else chooses where a dump goes: in a folder of everybody's, by a link. */
static int make_part(char *part, struct err *err)
{
	_cleanup_(cleanup_fd) int fd = mkostemp(part, O_CLOEXEC);
	const mode_t mask = umask(0);

	umask(mask);
	if (fd < 0 || fchmod(fd, 0666 & ~mask) < 0)
		return err_set(err, -errno, "cannot write %s: %s", part, strerror(errno));
	return 0;
}

static int write_whole(const struct dump_place *place, const struct dump_request *q, const struct dump_note *note,
		       struct segment_memory *memory, struct buf *ret_text, struct err *err)
{
	_cleanup_(cleanup_free) char *part =
		xasprintf("%s%s.part-XXXXXX", place->path, is_folder(place->path) ? "/.earshot" : "");
	int e, r = make_part(part, err);

	if (r < 0)
		return r;
	r = write_to(place, q, part, note, memory, err);
	if (r >= 0 && (e = put_in_place(place, q, note->at_unix_ns, part, ret_text)) < 0)
		r = err_set(err, e, "%s cannot be put in its place: %s", part, strerror(-e));
	if (r < 0)
		unlink(part);
	return r;
}

int dump_write(const struct dump_place *place, const struct dump_request *q, struct buf *ret_text, struct err *err)
{
	struct segment_memory memory = {0}, first = {0};
	_cleanup_(buf_done) struct buf text = {0};
	struct recording_about about;
	struct dump_note note;
	struct attr extra[2];
	/* What comes first in a dump is known when all of it was gone through once. */
	int r = q->read(q->arg, q->from_unix_ns, &(struct segment_reading){.memory = &first}, &about, err);

	segment_memory_done(&first);
	if (r < 0)
		return r;
	note = (struct dump_note){.reason = q->reason, .spans = about.spans, .from_unix_ns = about.begun_unix_ns,
				  .at_unix_ns = q->at_unix_ns ? q->at_unix_ns : about.last_unix_ns,
				  .from_start = about.from_start, .lost = about.lost.losses};
	buf_printf(&text, "%s: ", q->reason);
	print_about(&about, note.at_unix_ns, &text);
	note.text = text.data;
	/* Collectors show it beside each span. */
	extra[0] = (struct attr){.key = "earshot.dump.reason", .kind = ATTR_STRING, .s = q->reason,
				 .len = strlen(q->reason)};
	extra[1] = (struct attr){.key = "earshot.dump.unix_ns", .kind = ATTR_INT, .i = (int64_t)note.at_unix_ns};
	memory.extra = extra;
	memory.nextra = ARRAY_SIZE(extra);
	buf_str(ret_text, text.data);
	if (to_stdout(place) || prints_nothing(place->out))
		r = write_to(place, q, "-", &note, &memory, err);
	else
		r = write_whole(place, q, &note, &memory, ret_text, err);
	segment_memory_done(&memory);
	return r;
}
