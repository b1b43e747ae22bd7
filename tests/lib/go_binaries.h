/* The Go programs that tests/lib/build.sh and third_party.sh leave in the cache. */
#ifndef TESTS_GO_BINARIES_H
#define TESTS_GO_BINARIES_H

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline const char *cache_dir(void)
{
	const char *dir = getenv("EARSHOT_CACHE");

	return dir && *dir ? dir : "/var/cache/earshot";
}

/* Executable files below the cache that match pattern ("bin/httpd-go1.*-plain"); globfree() it. */
static inline size_t go_binaries(const char *pattern, glob_t *ret)
{
	char full[4096];
	size_t n = 0;

	memset(ret, 0, sizeof(*ret));
	snprintf(full, sizeof(full), "%s/%s", cache_dir(), pattern);
	if (glob(full, 0, NULL, ret) != 0)
		ret->gl_pathc = 0;
	for (size_t i = 0; i < ret->gl_pathc; i++) {
		const char *dot = strrchr(ret->gl_pathv[i], '.');
		char *path = ret->gl_pathv[i];

		if ((dot && (!strcmp(dot, ".by") || !strcmp(dot, ".new"))) ||
		    access(path, X_OK) != 0)
			continue;
		ret->gl_pathv[i] = ret->gl_pathv[n]; /* a swap: globfree frees them all */
		ret->gl_pathv[n++] = path;
	}
	if (!n)
		printf("skip: no %s (tests/lib/build.sh and third_party.sh make them)\n", full);
	return n;
}

/* Calls fn with each of them; how many there are. */
__attribute__((warn_unused_result)) static inline size_t go_binaries_each(const char *pattern, void (*fn)(const char *path))
{
	glob_t files;
	size_t n = go_binaries(pattern, &files);

	for (size_t i = 0; i < n; i++)
		fn(files.gl_pathv[i]);
	globfree(&files);
	return n;
}

/* The same for all programs that serve HTTP with net/http, our own and other people's. */
static inline size_t go_servers_each(void (*fn)(const char *path))
{
	static const char *const patterns[] = {
		"bin/httpd-go1.*-*", "third-party/*/caddy/usr/bin/caddy",
		"third-party/*/etcd-server/usr/bin/etcd", "third-party/*/hugo/usr/bin/hugo",
		"third-party/*/prometheus/usr/bin/prometheus"};
	size_t total = 0;

	for (size_t p = 0; p < sizeof(patterns) / sizeof(*patterns); p++)
		total += go_binaries_each(patterns[p], fn);
	printf("%zu servers\n", total);
	return total;
}

#endif
