#include "probe/pack/pack_names.h"

#include <string.h>

#include "base/vec.h"
#include "probe/lang/nearest.h"

typedef VEC(const char *) name_vec;

static void names_of_sql(const struct sql_attributes *sql, name_vec *out)
{
	if (sql && sql->operation)
		vec_push(out, sql->operation);
	if (sql && sql->collection)
		vec_push(out, sql->collection);
	if (sql && sql->summary)
		vec_push(out, sql->summary);
}

static void names_of_point(const struct pack_point *p, name_vec *out)
{
	for (size_t v = 0; v < p->nvariants; v++) {
		for (size_t c = 0; c < p->variants[v].ncaptures; c++) {
			const struct pack_capture *cap = &p->variants[v].captures[c];

			if (cap->use == USE_ATTRIBUTE)
				vec_push(out, cap->name);
			if (cap->transform.port_attribute)
				vec_push(out, cap->transform.port_attribute);
			if (cap->transform.original)
				vec_push(out, cap->transform.original);
			names_of_sql(cap->transform.sql, out);
		}
	}
}

static void names_of_span(const struct pack_span *s, name_vec *out)
{
	for (size_t i = 0; i < s->npoints; i++)
		names_of_point(&s->points[i], out);
	for (const char *const *name = s->extended_with; name && *name; name++)
		vec_push(out, *name);
	for (const char *const *pair = s->lists ? s->lists->closures : NULL; pair && *pair; pair += 2)
		vec_push(out, pair[1]);
}

/* A rule that names an attribute which nothing captures is a slip of the pen. */
static int check_attribute(struct yaml *y, const yaml_node_t *node, const name_vec *names,
			   const char *where, const char *attribute)
{
	const char *near;

	if (!attribute)
		return 0;
	for (size_t i = 0; i < names->len; i++)
		if (!strcmp(names->data[i], attribute))
			return 0;
	near = nearest_name(attribute, names->data, names->len);
	if (near)
		return yaml_fail(y, node, "%s names `%.80s`, which no point captures; did you mean "
					  "`%.80s`?", where, attribute, near);
	return yaml_fail(y, node, "%s names `%.80s`, which no point of this span captures", where,
			 attribute);
}

static int check_title(struct yaml *y, const yaml_node_t *node, const name_vec *names,
		       const char *title)
{
	const char *open, *close;
	int r = 0;

	for (open = strchr(title, '{'); open && !r; open = strchr(close, '{')) {
		close = strchr(open, '}');
		if (!close)
			return yaml_fail(y, node, "the title \"%.80s\" has a { without its }", title);
		r = check_attribute(y, node, names, "a title",
				    arena_strndup(y->arena, open + 1, (size_t)(close - open - 1)));
	}
	return r;
}

static int check_list(struct yaml *y, const yaml_node_t *node, const name_vec *names, const char *where,
		      const char *const *list)
{
	int r = 0;

	for (; !r && list && *list; list++)
		r = check_attribute(y, node, names, where, *list);
	return r;
}

static int check_transforms(struct yaml *y, const yaml_node_t *node, const name_vec *names, const struct pack_point *p)
{
	int r = 0;

	for (size_t v = 0; v < p->nvariants; v++)
		for (size_t c = 0; !r && c < p->variants[v].ncaptures; c++) {
			const struct transform *t = &p->variants[v].captures[c].transform;

			r = check_list(y, node, names, "`same`", t->same);
			if (!r)
				r = check_list(y, node, names, "`append`", t->append);
			if (!r)
				r = check_list(y, node, names, "`mounted`", t->mounted);
			if (!r)
				r = check_attribute(y, node, names, "`prefix_of`", t->prefix_of);
			if (!r && t->sql)
				r = check_attribute(y, node, names, "`sql`", t->sql->system);
		}
	return r;
}

static int check_condition(struct yaml *y, const yaml_node_t *node, const name_vec *names, const char *where,
			   const struct condition *c)
{
	int r;

	if (!c)
		return 0;
	if (c->op == CONDITION_ATTRIBUTE)
		return check_attribute(y, node, names, where, c->text);
	r = check_condition(y, node, names, where, c->a);
	return r ? r : check_condition(y, node, names, where, c->b);
}

static int check_summary(struct yaml *y, const yaml_node_t *node, const name_vec *names, const char *where,
			 const struct summary *s)
{
	int r = s ? check_attribute(y, node, names, where, s->status) : 0;

	for (size_t i = 0; s && i < s->n; i++)
		for (size_t k = 0; !r && k < s->parts[i].n; k++) {
			const struct summary_item *item = &s->parts[i].items[k];

			if (item->op != SUMMARY_TEXT)
				r = check_attribute(y, node, names, where, item->text);
		}
	return r;
}

static int check_connection(struct yaml *y, const yaml_node_t *node, const name_vec *names,
			    const struct pack_connection *c)
{
	const char *const used[] = {c->local.address, c->local.port, c->remote.address, c->remote.port, c->stream};
	int r = 0;

	for (size_t i = 0; !r && i < ARRAY_SIZE(used); i++)
		r = check_attribute(y, node, names, "`connection`", used[i]);
	return r;
}

static int check_headers(struct yaml *y, const yaml_node_t *node, const name_vec *names, const struct pack_span *s)
{
	const struct pack_b3_headers *b = s->b3multi;
	const struct pack_datadog_headers *d = s->datadog;
	const char *const multi[] = {b ? b->trace : NULL, b ? b->span : NULL, b ? b->sampled : NULL,
				     b ? b->flags : NULL};
	const char *const dog[] = {d ? d->trace : NULL, d ? d->parent : NULL, d ? d->priority : NULL,
				   d ? d->tags : NULL};
	int r = check_attribute(y, node, names, "`b3`", s->b3);

	for (size_t i = 0; !r && i < ARRAY_SIZE(multi); i++)
		r = check_attribute(y, node, names, "`b3multi`", multi[i]);
	for (size_t i = 0; !r && i < ARRAY_SIZE(dog); i++)
		r = check_attribute(y, node, names, "`datadog`", dog[i]);
	return r;
}

int pack_check_names(struct yaml *y, const yaml_node_t *node, const struct pack_span *s)
{
	name_vec names = {0};
	int r = 0;

	names_of_span(s, &names);
	for (size_t i = 0; !r && i < s->ncomposed; i++)
		r = check_summary(y, node, &names, "`compose`", s->composed[i].forms);
	for (size_t i = 0; i < s->ncomposed; i++)
		vec_push(&names, s->composed[i].name);
	if (!r)
		r = check_condition(y, node, &names, "`error`", s->error);
	if (!r)
		r = check_summary(y, node, &names, "`summary`", s->summary);
	if (!r)
		r = check_attribute(y, node, &names, "`traceparent`", s->traceparent);
	if (!r)
		r = check_attribute(y, node, &names, "`tracestate`", s->tracestate);
	if (!r)
		r = check_headers(y, node, &names, s);
	if (!r && s->connection)
		r = check_connection(y, node, &names, s->connection);
	if (!r)
		r = check_attribute(y, node, &names, "`key`", s->key);
	if (!r)
		r = check_attribute(y, node, &names, "`kind_from`", s->kind_from);
	if (!r)
		r = check_attribute(y, node, &names, "`root`", s->root);
	if (!r)
		r = check_attribute(y, node, &names, "`transparent`", s->transparent);
	if (!r)
		r = check_attribute(y, node, &names, "`status_text`", s->status_text);
	if (!r)
		r = check_attribute(y, node, &names, "`event_name`", s->event_name);
	for (size_t i = 0; !r && i < s->npoints; i++)
		r = check_attribute(y, node, &names, "`discard`", s->points[i].discard_attribute);
	for (size_t i = 0; !r && i < s->npoints; i++)
		r = check_transforms(y, node, &names, &s->points[i]);
	for (size_t i = 0; !r && s->titles[i]; i++)
		r = check_title(y, node, &names, s->titles[i]);
	vec_done(&names);
	return r;
}

int pack_check_extension(struct yaml *y, const yaml_node_t *at, const struct pack_span *s)
{
	name_vec names = {0};
	int r = 0;

	names_of_span(s->of, &names);
	names_of_span(s, &names);
	for (size_t i = 0; !r && i < s->npoints; i++)
		r = check_transforms(y, at, &names, &s->points[i]);
	vec_done(&names);
	return r;
}

size_t pack_attribute_names(const struct pack *p, struct arena *arena, const char *const **ret)
{
	name_vec names = {0};
	size_t n;

	for (size_t i = 0; i < p->nspans; i++) {
		names_of_span(&p->spans[i], &names);
		for (size_t k = 0; k < p->spans[i].ncomposed; k++)
			vec_push(&names, p->spans[i].composed[k].name);
	}
	n = names.len;
	*ret = arena_memdup(arena, names.data, n * sizeof(*names.data));
	vec_done(&names);
	return n;
}
