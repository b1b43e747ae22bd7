/*
 * The address pair of an established connection is unique in its network namespace, but for what is between: proxies,
 * address translation and other namespaces give no match or, at worst, two. Time tells apart a client that gave up and
 * a port that is used again: the client's request was on its way before the server had it, and neither has ended.
 */
#include "span/connections.h"

#include <string.h>

#include "base/hash.h"
#include "span/address.h"
#include "span/open_span.h"

_Static_assert(sizeof(struct request_route) == 9 * sizeof(uint64_t), "compared as bytes");

/* "127.0.0.1:80", "[::1]:80". */
static bool both_read(const char *text, size_t len, struct socket_address *ret)
{
	struct host_port hp;

	if (!host_port_split(text, len, &hp) || hp.port <= 0)
		return false;
	ret->port = (uint64_t)hp.port;
	return ip_read(hp.host, hp.len, ret->ip);
}

static const struct attr_value *attribute(const struct attr_list *l, const char *name)
{
	return name ? attr_list_find(l, name, strlen(name)) : NULL;
}

static bool endpoint_read(const struct pack_endpoint *e, const struct attr_list *l, struct socket_address *ret)
{
	const struct attr_value *address = attribute(l, e->address), *port = attribute(l, e->port);
	const char *text;

	if (!address || address->kind != ATTR_STRING || address->cut)
		return false;
	text = attr_list_text(l, address);
	if (!e->port)
		return both_read(text, address->len, ret);
	if (!port || port->kind != ATTR_INT || port->i <= 0 || port->i > UINT16_MAX)
		return false;
	ret->port = (uint64_t)port->i;
	return ip_read(text, address->len, ret->ip);
}

bool request_route_read(const struct pack_connection *c, const struct attr_list *attrs, uint64_t network,
			struct request_route *ret)
{
	struct request_route r = {.network = network};
	const struct attr_value *stream = attribute(attrs, c->stream);

	if (!network || !endpoint_read(&c->local, attrs, &r.local) || !endpoint_read(&c->remote, attrs, &r.remote))
		return false;
	if (stream && stream->kind != ATTR_INT)
		return false;
	r.has_stream = stream != NULL;
	r.stream = stream ? (uint64_t)stream->i : 0;
	*ret = r;
	return true;
}

static uint64_t hash_of(const struct request_route *r)
{
	return hash_of_bytes(r, sizeof(*r));
}

static bool same_route(const struct request_route *a, const struct request_route *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static struct map *ends_of(struct connections *c, const struct request_end *e)
{
	return e->waits ? &c->waiting : &c->ends;
}

static void put(struct connections *c, struct open_span *s, const struct request_end *like)
{
	struct request_end *e = s->request;
	uint64_t hash = hash_of(&like->route);
	struct map *ends = ends_of(c, like);

	if (e && e->waits == like->waits && same_route(&e->route, &like->route))
		return;
	connections_forget(c, s);
	e = xmalloc(sizeof(*e));
	*e = *like;
	e->span = s;
	e->next = map_get(ends, hash);
	map_set(ends, hash, e);
	s->request = e;
}

void connections_put(struct connections *c, struct open_span *s, const struct request_route *r, uint64_t now_ns)
{
	put(c, s, &(struct request_end){.route = *r, .since_ns = now_ns});
}

static struct request_route from_the_other_side(const struct request_route *r)
{
	struct request_route other = *r;

	other.local = r->remote;
	other.remote = r->local;
	return other;
}

void connections_wait(struct connections *c, struct open_span *s, const struct request_route *server, uint64_t now_ns)
{
	if (server->has_stream)
		put(c, s, &(struct request_end){.route = from_the_other_side(server), .since_ns = now_ns,
						.waits = true});
}

void connections_forget(struct connections *c, struct open_span *s)
{
	struct request_end *gone = TAKE(s->request), *first, *before;
	struct map *ends;
	uint64_t hash;

	if (!gone)
		return;
	ends = ends_of(c, gone);
	hash = hash_of(&gone->route);
	first = map_get(ends, hash);
	if (first == gone) {
		first = gone->next;
		if (first)
			map_set(ends, hash, first);
		else
			map_del(ends, hash);
	} else {
		for (before = first; before->next != gone;)
			before = before->next;
		before->next = gone->next;
	}
	free(gone);
}

struct open_span *connections_waiting(const struct connections *c, const struct request_end *client)
{
	struct open_span *found = NULL;

	for (struct request_end *e = map_get(&c->waiting, hash_of(&client->route)); e; e = e->next) {
		if (!same_route(&e->route, &client->route) || e->span->start_ns < client->span->start_ns)
			continue;
		if (found)
			return NULL;
		found = e->span;
	}
	return found;
}

struct request_end *connections_client(const struct connections *c, const struct request_route *server,
				       uint64_t start_ns, bool *ret_several)
{
	struct request_route r = from_the_other_side(server);
	struct request_end *found = NULL;

	for (struct request_end *e = map_get(&c->ends, hash_of(&r)); e; e = e->next) {
		if (!same_route(&e->route, &r) || e->answered ||
		    (r.has_stream ? e->span->start_ns : e->since_ns) > start_ns)
			continue;
		if (found) {
			*ret_several = true;
			return NULL;
		}
		found = e;
	}
	return found;
}

void connections_done(struct connections *c)
{
	map_done(&c->ends);
	map_done(&c->waiting);
}
