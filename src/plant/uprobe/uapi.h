/*
 * What linux/bpf.h of an older kernel than 6.6 lacks (Debian 12 has 6.1's): the uprobe_multi link.
 * include/uapi/linux/bpf.h, union bpf_attr, "struct used by BPF_LINK_CREATE command".
 */
#ifndef PLANT_UPROBE_UAPI_H
#define PLANT_UPROBE_UAPI_H

#include <stddef.h>
#include <linux/bpf.h>

#define UAPI_BPF_TRACE_UPROBE_MULTI 48 /* enum bpf_attach_type */

struct uapi_link_create_uprobe_multi {
	__u32 prog_fd;
	__u32 target_fd;
	__u32 attach_type;
	__u32 flags;
	__aligned_u64 path;
	__aligned_u64 offsets;
	__aligned_u64 ref_ctr_offsets;
	__aligned_u64 cookies;
	__u32 cnt;
	__u32 uprobe_flags;
	__u32 pid;
	__u32 pad;
};
_Static_assert(offsetof(union bpf_attr, link_create.target_btf_id) ==
		       offsetof(struct uapi_link_create_uprobe_multi, path),
	       "the part that depends on the attach type begins there");
_Static_assert(sizeof(struct uapi_link_create_uprobe_multi) == 64, "kernel ABI");

#endif
