#include "cmd/resource.h"

#include <string.h>
#include <unistd.h>

#include "binary/binary.h"
#include "call/symbolize.h"

static void add_string(struct attr *attrs, size_t *n, const char *key, const char *value)
{
	if (value && *value)
		attrs[(*n)++] = (struct attr){.key = key, .kind = ATTR_STRING, .s = value, .len = strlen(value)};
}

static bool given(const struct attr *extra, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(extra[i].key, key))
			return true;
	return false;
}

/* info: NULL where it is no Go program. */
static struct resource *make(struct arena *arena, const struct process *proc, const struct build_info *info,
			     const char *service, const struct attr *extra, size_t nextra)
{
	struct attr *attrs = arena_array(arena, struct attr, nextra + 16);
	struct resource *r = arena_new(arena, struct resource);
	char host[256] = "";
	size_t n = 0;

	gethostname(host, sizeof(host) - 1);
	r->name = arena_strdup(arena, process_name(proc));
	r->service = service ? arena_strdup(arena, service) : r->name;
	add_string(attrs, &n, "service.name", r->service);
	if (info && !given(extra, nextra, "service.version") && strcmp(info->main.version, "(devel)"))
		add_string(attrs, &n, "service.version", arena_strdup(arena, info->main.version));
	attrs[n++] = (struct attr){.key = "process.pid", .kind = ATTR_INT, .i = proc->pid};
	add_string(attrs, &n, "process.executable.name", r->name);
	add_string(attrs, &n, "process.executable.path", arena_strdup(arena, proc->exe));
	if (info) {
		add_string(attrs, &n, "process.runtime.name", "go");
		add_string(attrs, &n, "process.runtime.version", arena_strdup(arena, info->go_version));
	}
	if (!given(extra, nextra, "host.name"))
		add_string(attrs, &n, "host.name", arena_strdup(arena, host));
	add_string(attrs, &n, "os.type", "linux");
	add_string(attrs, &n, "telemetry.sdk.name", "earshot");
	if (info)
		add_string(attrs, &n, "telemetry.sdk.language", "go");
	add_string(attrs, &n, "telemetry.sdk.version", EARSHOT_VERSION);
	for (size_t i = 0; i < nextra; i++)
		if (strcmp(extra[i].key, "service.name"))
			attrs[n++] = extra[i];
	r->pid = proc->pid;
	r->attrs = attrs;
	r->nattrs = n;
	return r;
}

const struct resource *resource_new(struct observed_process *p, const char *service, const struct attr *extra,
				    size_t nextra)
{
	struct resource *r = make(&p->arena, &p->process, binary_build_info(p->executable->binary), service, extra,
				  nextra);

	r->id = p->id;
	r->symbolizer = symbolizer_new(&p->arena, p->executable->binary, p->bias, r->name);
	return r;
}

const struct resource *resource_of_any(struct arena *arena, const struct process *proc, uint32_t id,
				       const char *service, const struct attr *extra, size_t nextra)
{
	struct resource *r = make(arena, proc, NULL, service, extra, nextra);

	r->id = id;
	return r;
}
