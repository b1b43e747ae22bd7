/* Sites of uprobes: written ones, and those that a function has. */
#ifndef TESTS_UPROBE_SITES_H
#define TESTS_UPROBE_SITES_H

#include "plant/uprobe/site.h"

/* Those of one probe, from an array. NULL: none. */
static inline const struct site *site_chain(struct uprobe_site *s, size_t n)
{
	for (size_t i = 0; i + 1 < n; i++)
		s[i].site.next = &s[i + 1].site;
	if (n)
		s[n - 1].site.next = NULL;
	return n ? &s->site : NULL;
}

static inline int entry_site(struct binary *b, const struct func *f, struct uprobe_site *ret, struct err *err)
{
	const struct site *s = NULL;
	struct join_point at;
	int r = join_point_entry(b, f, &at, err);

	if (!r)
		r = uprobe_locate(b, &at, &s, err);
	if (!r)
		*ret = *uprobe_site_of(s);
	return r;
}

/* The first of them, and how many. */
static inline int return_sites(struct binary *b, const struct func *f, const struct site **ret, size_t *ret_n,
			       struct err *err)
{
	struct join_point at;
	int r = join_point_returns(b, f, &at, err);

	if (!r)
		r = uprobe_locate(b, &at, ret, err);
	if (!r)
		*ret_n = at.nspots;
	return r;
}

static inline int inlined_site(struct binary *b, const struct inlined *i, struct uprobe_site *ret,
			       const char **ret_approximate, struct err *err)
{
	const struct site *s = NULL;
	struct join_point at;
	int r = join_point_inlined(b, i, &at, err);

	if (!r)
		r = uprobe_locate(b, &at, &s, err);
	if (r)
		return r;
	*ret = *uprobe_site_of(s);
	*ret_approximate = at.approximate;
	return 0;
}

#endif
