/*
 * The kernel takes a program with callbacks only with BTF that says where its functions begin and of what type they
 * are. Ours are of two types, so one small blob, made here, serves all programs.
 */
#include "plant/uprobe/bpf.h"

#include <errno.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>

#include "base/macro.h"

/* int name(u64, u64); the type's number or a negative errno. */
static int add_function(struct btf *btf, const char *name, int word)
{
	int proto = btf__add_func_proto(btf, word);

	if (proto < 0)
		return proto;
	for (unsigned i = 0; i < 2; i++) {
		int r = btf__add_func_param(btf, i ? "arg" : "ctx", word);

		if (r < 0)
			return r;
	}
	return btf__add_func(btf, name, BTF_FUNC_STATIC, proto);
}

static int build(struct btf *btf, struct uprobe_btf *ret)
{
	int word = btf__add_int(btf, "u64", 8, 0);

	ret->main = word < 0 ? word : add_function(btf, "probe", word);
	ret->callback = word < 0 ? word : add_function(btf, "callback", word);
	return MIN(ret->main, ret->callback);
}

int uprobe_btf_load(struct uprobe_btf *ret, struct err *err)
{
	struct btf *btf = btf__new_empty();
	const void *data;
	__u32 size = 0;
	int r = -ENOMEM;

	if (btf)
		r = build(btf, ret);
	data = r < 0 ? NULL : btf__raw_data(btf, &size);
	ret->fd = data ? bpf_btf_load(data, size, NULL) : -1;
	if (data && ret->fd < 0)
		r = -errno;
	btf__free(btf);
	if (ret->fd >= 0)
		return 0;
	return err_set(err, r == -EPERM ? r : -ENOSYS,
		       "this kernel takes no BTF for BPF programs with loops, which traced calls need: %s",
		       strerror(-r));
}
