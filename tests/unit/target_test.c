/* target/: on a made-up /proc below a temporary folder, and on ourselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "target/exec.h"
#include "target/find.h"
#include "target/foreign.h"
#include "target/mapped.h"
#include "target/process.h"

static char root[64];

static void put(const char *path, const char *text)
{
	char full[256];
	int fd;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); p++) {
		*p = 0;
		mkdir(full, 0755);
		*p = '/';
	}
	fd = open(full, O_CREAT | O_WRONLY | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, text, strlen(text)), 0);
	close(fd);
}

static void link_to(const char *path, const char *target)
{
	char full[256];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	assert_int_equal(symlink(target, full), 0);
}

static void make_process(int pid, int parent, const char *exe)
{
	char path[64], text[128];

	snprintf(path, sizeof(path), "%d/stat", pid);
	snprintf(text, sizeof(text), "%d (a) b) S %d 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0", pid, parent,
		 pid * 100);
	put(path, text);
	snprintf(path, sizeof(path), "%d/exe", pid);
	link_to(path, exe);
}

static int setup(void **state)
{
	char exe[128], link[256];

	strcpy(root, "/tmp/earshot-target-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	put("bin/shop", "not really a program");
	snprintf(exe, sizeof(exe), "%s/bin/shop", root);
	make_process(100, 1, exe);
	make_process(101, 100, exe);
	make_process(200, 1, "/bin/sh");
	put("100/net/tcp", "  sl  local_address rem_address   st\n"
			   "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 777 1\n"
			   "   1: 0100007F:1F91 00000000:0000 01 00000000:00000000 00:00000000 00000000 0 0 778 1\n");
	mkdir((snprintf(link, sizeof(link), "%s/100/fd", root), link), 0755);
	link_to("100/fd/5", "socket:[777]");
	link_to("100/fd/6", "socket:[778]");
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

static int teardown(void **state)
{
	return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void test_process_read(void **state)
{
	struct process p, q;
	struct err err = {0};

	assert_int_equal(process_read(root, 100, &p, &err), 0);
	assert_string_equal(process_name(&p), "shop");
	assert_int_equal(p.start_ticks, 10000);
	assert_int_equal(process_read(root, 101, &q, &err), 0);
	assert_true(file_id_equal(&p.file, &q.file));
	process_done(&p);
	process_done(&q);
	assert_int_equal(process_read(root, 999, &p, &err), -ESRCH);
	assert_non_null(strstr(err.text, "no process 999"));
}

static void expect_refusal(int pid, int code, const char *words)
{
	struct process p;
	struct err err = {0};

	assert_int_equal(process_read(root, pid, &p, &err), code);
	if (!strstr(err.text, words))
		print_error("%s\n", err.text);
	assert_non_null(strstr(err.text, words));
}

static void test_without_executable(void **state)
{
	put("300/status", "Name:\tgone\nState:\tZ (zombie)\nTgid:\t300\n");
	put("300/task/300/status", "State:\tZ (zombie)\n");
	expect_refusal(300, -ESRCH, "process 300 has ended");
	put("301/status", "Name:\tled\nState:\tZ (zombie)\nTgid:\t301\n");
	put("301/task/301/status", "State:\tZ (zombie)\n");
	put("301/task/305/status", "State:\tS (sleeping)\n");
	expect_refusal(301, -ENOEXEC, "another runs on");
	put("301/task/306/status", "State:\tR (running)\n");
	expect_refusal(301, -ENOEXEC, "2 others run on");
	put("302/status", "Name:\tkthreadd\nState:\tS (sleeping)\nTgid:\t302\n");
	expect_refusal(302, -ENOEXEC, "kernel thread");
}

static void test_thread(void **state)
{
	struct err err = {0};

	put("310/status", "Name:\tshop\nTgid:\t310\n");
	put("311/status", "Name:\tshop\nTgid:\t310\n");
	assert_int_equal(process_check_id(root, 310, &err), 0);
	assert_int_equal(process_check_id(root, 399, &err), 0); /* process_read says that there is none */
	assert_int_equal(process_check_id(root, 311, &err), -EINVAL);
	assert_non_null(strstr(err.text, "311 is a thread of process 310 (shop)"));
}

static void test_halted(void **state)
{
	_cleanup_(buf_done) struct buf why = {0};

	put("320/status", "State:\tS (sleeping)\n");
	assert_false(process_halted(root, 320, &why));
	put("320/status", "State:\tT (stopped)\n");
	assert_true(process_halted(root, 320, &why));
	assert_non_null(strstr(why.data, "kill -CONT 320"));
	put("320/status", "State:\tt (tracing stop)\n");
	assert_false(process_halted(root, 320, &why));
}

static void test_foreign(void **state)
{
	_cleanup_(buf_done) struct buf why = {0};

	put("330/maps", "400000-500000 r-xp 00000000 00:01 7 /bin/other\n"
			"7f0000000000-7f0000010000 r-xp 00000000 00:01 8 /lib/not there.so\n"
			"7f0000100000-7f0000108000 r-xp 00000000 00:00 0 \n"
			"7ffff0000000-7ffff1000000 r-xp 00000000 00:00 0 [vdso]\n");
	foreign_explain(root, 330, &why);
	assert_int_equal(why.len, 0); /* 32 KiB are too little to tell anything */
	put("330/maps", "400000-500000 r-xp 00000000 00:01 7 /bin/other\n"
			"7f0000100000-7f0000120000 rwxp 00000000 00:00 0 \n"
			"7f0000200000-7f0000220000 r-xp 00000000 00:05 9 /memfd:code (deleted)\n");
	foreign_explain(root, 330, &why);
	assert_non_null(strstr(why.data, "256 KiB of code that lies in no file"));
	put("330/maps", "nonsense\n-\n400000 r-xp\n");
	foreign_explain(root, 330, &why);
}

/* Each field by itself tells files apart: what they are when added or XORed may be the same. */
static void test_file_id(void **state)
{
	const struct file_id a = {1, 2, 3, 4, 5};
	const struct file_id others[] = {{2, 2, 3, 4, 5}, {1, 3, 3, 4, 5}, {1, 2, 4, 4, 5}, {1, 2, 3, 5, 5},
					 {1, 2, 3, 4, 6}, {2, 1, 3, 4, 5}, {1, 2, 3, 5, 4}, {1, 3, 2, 4, 5}};

	assert_true(file_id_equal(&a, &a));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		assert_false(file_id_equal(&a, &others[i]));
		assert_int_equal(file_id_alike(&a, &others[i]), i == 4);
	}
}

/* The file's times do not tell: it may have been renamed, and the same file may have been executed again. */
static void test_process_same(void **state)
{
	const struct process a = {.pid = 7, .start_ticks = 100, .stack = 0x7ffc00001000, .file = {1, 2, 3, 4, 5}};
	struct process b = a;

	b.file.changed_ns++;
	assert_true(process_same(&a, &b));
	b.stack += 16;
	assert_false(process_same(&a, &b));
	b.stack = 0; /* we may not know it any more */
	assert_true(process_same(&a, &b));
	b.file.ino++;
	assert_false(process_same(&a, &b));
	b = a;
	b.start_ticks++;
	assert_false(process_same(&a, &b));
}

static void test_descends(void **state)
{
	assert_true(process_descends(root, 101, 100));
	assert_true(process_descends(root, 100, 100));
	assert_false(process_descends(root, 200, 100));
}

static size_t count(const struct target_query *q)
{
	pid_vec found = {0};
	size_t n;

	assert_int_equal(target_find(root, q, &found, NULL), 0);
	n = found.len;
	vec_done(&found);
	return n;
}

static void test_find(void **state)
{
	const char *by_name[] = {"sho?"}, *by_path[] = {"*/bin/shop"}, *none[] = {"shop2"};
	uint16_t listening[] = {8080}, connected[] = {8081};

	assert_int_equal(count(&(struct target_query){.globs = by_name, .nglobs = 1}), 2);
	assert_int_equal(count(&(struct target_query){.globs = by_path, .nglobs = 1}), 2);
	assert_int_equal(count(&(struct target_query){.globs = none, .nglobs = 1}), 0);
	assert_int_equal(count(&(struct target_query){.ports = listening, .nports = 1}), 1);
	assert_int_equal(count(&(struct target_query){.ports = connected, .nports = 1}), 0);
	assert_int_equal(count(&(struct target_query){.descendants_of = 100}), 2);
}

static void test_bias(void **state)
{
	struct image_segment segments[] = {{.vaddr = 0, .memsz = 0x900, .filesz = 0x900},
					   {.vaddr = 0x1234, .offset = 0x1234, .memsz = 0x1000, .filesz = 0x1000}};
	struct image img = {.segments = segments, .nsegments = 2, .pie = true};
	struct process p;
	struct stat st;
	char maps[512], exe[128];
	uint64_t bias = 0;
	struct err err = {0};

	snprintf(exe, sizeof(exe), "%s/bin/shop", root);
	assert_int_equal(stat(exe, &st), 0);
	assert_int_equal(process_read(root, 100, &p, &err), 0);
	assert_int_equal(process_bias(root, &p, &img, &bias, &err), -ESRCH);
	snprintf(maps, sizeof(maps),
		 "555000000000-555000001000 r--p 00000000 00:01 %" PRIu64 " /bin/other name\n"
		 "7f0000000000-7f0000001000 r-xp 00000000 00:01 %" PRIu64 " /x\n",
		 (uint64_t)st.st_ino, (uint64_t)st.st_ino + 1);
	put("100/maps", maps);
	assert_int_equal(process_bias(root, &p, &img, &bias, &err), 0);
	assert_int_equal(bias, 0x555000000000);
	img.pie = false;
	assert_int_equal(process_bias(root, &p, &img, &bias, &err), 0);
	assert_int_equal(bias, 0);
	process_done(&p);
}

static void test_ourselves(void **state)
{
	struct process p;
	struct err err = {0};

	assert_int_equal(process_read("/proc", getpid(), &p, &err), 0);
	assert_string_equal(process_name(&p), "target_test");
	assert_true(p.start_ticks > 0);
	assert_true(p.stack > 1);
	process_done(&p);
}

static void *wait_for_kill(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/* A child whose first thread has ended: with or without another that runs on. */
static int start_ending(bool another)
{
	int pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		pthread_t t;

		if (another && pthread_create(&t, NULL, wait_for_kill, NULL) == 0)
			syscall(SYS_exit, 0);
		_exit(0);
	}
	return pid;
}

/* What has begun to end is waited for; a thread that runs on is the process. */
static void test_ended(void **state)
{
	int ended = start_ending(false), led = start_ending(true), status;

	assert_true(process_ended("/proc", 1 << 30, 0));
	assert_false(process_ended("/proc", getpid(), 0));
	assert_int_equal(waitid(P_PID, (id_t)ended, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
	assert_true(process_ended("/proc", ended, 0));
	assert_false(process_ended("/proc", led, 1));
	assert_int_equal(kill(led, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, (id_t)led, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
	assert_true(process_ended("/proc", led, 0));
	assert_int_equal(waitpid(ended, &status, 0), ended);
	assert_int_equal(waitpid(led, &status, 0), led);
}

/* ---- execs ---- */

struct told {
	uint64_t pid;
	unsigned of_it, of_others;
};

static void on_told(void *arg, const struct exec_event *e)
{
	struct told *t = arg;

	*(e->pid == t->pid ? &t->of_it : &t->of_others) += 1;
}

/* Executes a program once the other end of the pipe says so. */
static pid_t executing(int ret_say[2])
{
	pid_t pid;
	char c;

	assert_int_equal(pipe(ret_say), 0);
	pid = fork();
	if (pid)
		return pid;
	if (read(ret_say[0], &c, 1) == 1)
		execl("/bin/true", "true", (char *)NULL);
	_exit(1);
}

static void let_execute(pid_t pid, const int say[2])
{
	int status;

	assert_int_equal(write(say[1], "x", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(say[0]);
	close(say[1]);
}

/* Of the first of two that execute. */
static struct told told_of(struct exec_watch *w, bool add, bool remove, bool all)
{
	int say[2][2];
	const pid_t pid = executing(say[0]), other = executing(say[1]);
	struct told t = {.pid = (uint64_t)pid};

	if (add)
		exec_watch_add(w, t.pid);
	if (remove)
		exec_watch_remove(w, t.pid);
	if (all)
		exec_watch_add(w, EXEC_ALL);
	let_execute(other, say[1]);
	let_execute(pid, say[0]);
	exec_watch_drain(w, on_told, &t);
	if (all)
		exec_watch_remove(w, EXEC_ALL);
	exec_watch_remove(w, t.pid);
	return t;
}

/* Needs a kernel that tells us, and the initial PID namespace. */
static void test_execs(void **state)
{
	struct exec_watch *w;
	struct told t;

	if (exec_watch_new(&w, NULL) < 0)
		skip();
	t = told_of(w, false, false, true);
	if (!t.of_it) {
		exec_watch_free(w);
		skip();
	}
	assert_true(t.of_others >= 1);
	t = told_of(w, false, false, false);
	assert_int_equal(t.of_it + t.of_others, 0);
	t = told_of(w, true, false, false);
	assert_int_equal(t.of_it, 1);
	assert_int_equal(t.of_others, 0);
	t = told_of(w, true, true, false);
	assert_int_equal(t.of_it + t.of_others, 0);
	exec_watch_free(w);
}

/* ---- what a process has mapped ---- */

static uint64_t inode_of(const char *path)
{
	struct stat st;
	char full[256];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	assert_int_equal(stat(full, &st), 0);
	return st.st_ino;
}

/* 0: opened by the path that ends so. */
static int open_mapped(const struct mapped_file *m, const char *end)
{
	char path[MAPPED_PATH_MAX];
	int fd, r = mapped_file_open(root, 300, m, path, &fd);

	if (r < 0)
		return r;
	close(fd);
	assert_string_equal(path + strlen(path) - strlen(end), end);
	return 0;
}

static void test_shadow_stack(void **state)
{
	put("320/status", "Name:\tshop\nx86_Thread_features:\tshstk wrss\n");
	put("321/status", "Name:\tshstk\nx86_Thread_features:\t\nx86_Thread_features_locked:\tshstk\n");
	put("322/status", "Name:\tshop\n");
	assert_true(process_has_shadow_stack(root, 320));
	assert_false(process_has_shadow_stack(root, 321));
	assert_false(process_has_shadow_stack(root, 322));
}

static void test_mapped(void **state)
{
	mapped_file_vec v = {0};
	char maps[1600], file[256];
	struct err err = {0};

	put("300/root/lib/a b.so", "a");
	put("300/root/lib/other.so", "of that name now");
	put("memory (deleted)", "one without a name");
	put("300/map_files/7000-8000", "what the kernel gives");
	snprintf(file, sizeof(file), "%s/memory (deleted)", root);
	put("300/fd/none", "");
	link_to("300/fd/7", file);
	snprintf(maps, sizeof(maps),
		 "1000-2000 r--p 00000000 fe:00 %1$" PRIu64 "                  /lib/a b.so\n"
		 "2000-3000 r-xp 00001000 fe:00 %1$" PRIu64 "                  /lib/a b.so\n"
		 "3000-4000 r-xp 00002000 fe:00 %1$" PRIu64 "                  /lib/a b.so\n"
		 "4000-5000 r-xp 00000000 00:00 0 \n"
		 "5000-6000 r-xp 00000000 00:00 0                   [vdso]\n"
		 "6000-7000 r-xp 00000000 00:01 %2$" PRIu64 "       %4$s\n"
		 "7000-8000 r-xp 00000000 fe:00 %3$" PRIu64 "       /lib/gone.so (deleted)\n"
		 "8000-9000 r-xp 00000000 fe:00 1                   /lib/other.so\n"
		 "9000-a000 rw-p 00000000 fe:00 2                   /lib/data\n",
		 inode_of("300/root/lib/a b.so"), inode_of("memory (deleted)"), inode_of("300/map_files/7000-8000"),
		 file);
	put("300/maps", maps);
	assert_int_equal(mapped_files_read(root, 300, &v, &err), 0);
	assert_int_equal(v.len, 4);
	assert_string_equal(v.data[0].path, "/lib/a b.so");
	assert_int_equal(v.data[0].start, 0x2000);
	assert_int_equal(v.data[0].offset, 0x1000);
	assert_false(v.data[0].is_deleted);
	assert_int_equal(open_mapped(&v.data[0], "/root/lib/a b.so"), 0);
	assert_memory_equal(v.data[1].path, file, strlen(file) - strlen(" (deleted)"));
	assert_true(v.data[1].is_deleted);
	assert_int_equal(open_mapped(&v.data[1], "/fd/7"), 0);
	assert_int_equal(open_mapped(&v.data[2], "/map_files/7000-8000"), 0);
	assert_int_equal(open_mapped(&v.data[3], ""), -ESTALE);
	mapped_files_done(&v);
	assert_int_equal(mapped_files_read(root, 301, &v, &err), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file_id),      cmocka_unit_test(test_process_same),
		cmocka_unit_test(test_process_read), cmocka_unit_test(test_descends), cmocka_unit_test(test_find),
		cmocka_unit_test(test_bias),	     cmocka_unit_test(test_ourselves),
		cmocka_unit_test(test_without_executable),
		cmocka_unit_test(test_thread),	     cmocka_unit_test(test_halted),    cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_mapped),	     cmocka_unit_test(test_shadow_stack),
		cmocka_unit_test(test_ended),	     cmocka_unit_test(test_execs),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
