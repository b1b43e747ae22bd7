/*
 * Client spans by the connection that their request goes over, for the server spans that read it at the other end: both
 * ends are observed, on one machine, and nothing is written into either.
 */
#ifndef SPAN_CONNECTIONS_H
#define SPAN_CONNECTIONS_H

#include "base/map.h"
#include "probe/pack/pack.h"
#include "span/attr_list.h"

struct open_span;

struct socket_address {
	uint8_t ip[16];              /* IPv4 as ::ffff:a.b.c.d */
	uint64_t port;
};
/* A request's way, as one process sees it. No padding: compared and hashed as bytes. */
struct request_route {
	uint64_t network;            /* the namespace in which the addresses mean something */
	struct socket_address local, remote;
	uint64_t has_stream, stream;
};

struct request_end {                 /* a client span's, or that of a server span that waits for its client */
	struct request_route route;  /* from the client's side */
	struct open_span *span;
	uint64_t since_ns;           /* of the record that said so */
	bool answered;               /* a client's: a server span has it as its parent */
	bool waits;                  /* a server's */
	struct request_end *next;    /* of the same hash */
};

struct connections {                 /* zero is empty */
	struct map ends, waiting;    /* hash of the route → struct request_end: of clients, of servers */
};

static inline bool connections_any(const struct connections *c) /* whether there is a client's */
{
	return c->ends.len > 0;
}
/* False where the attributes do not say both addresses. network: 0: not known, so nothing is. */
bool request_route_read(const struct pack_connection *c, const struct attr_list *attrs, uint64_t network,
			struct request_route *ret);
/* The client span's request goes over that from now on, and over no other. */
void connections_put(struct connections *c, struct open_span *s, const struct request_route *r, uint64_t now_ns);
/*
 * A server span, which sees the route from its side, has the request, and its client is not known. Of a stream it may
 * still become known: a client's probe may tell it only when the server has begun.
 */
void connections_wait(struct connections *c, struct open_span *s, const struct request_route *server, uint64_t now_ns);
/* The one server span that waits for the request of this end, and began within its client's span; or NULL. */
struct open_span *connections_waiting(const struct connections *c, const struct request_end *client);
void connections_forget(struct connections *c, struct open_span *s);
/*
 * The end of the one client span whose request a server span can have that sees the route from its side and began at
 * start_ns; NULL where there is none or *ret_several. With a stream requests are told apart, and the client's span was
 * there before; without one the connection has one request at a time, so one that has been read by a server is over
 * when the next one comes, and the request itself was on its way before.
 */
struct request_end *connections_client(const struct connections *c, const struct request_route *server,
				       uint64_t start_ns, bool *ret_several);
void connections_done(struct connections *c); /* the spans are forgotten before */

#endif
