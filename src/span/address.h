/* Addresses of sockets, in bytes and as texts. */
#ifndef SPAN_ADDRESS_H
#define SPAN_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The text of an IP of 4 or 16 bytes; IPv4 in 16 has the text of the 4. False at another length. */
bool ip_print(const void *ip, size_t len, char ret[INET6_ADDRSTRLEN]);
/* IPv4 as ::ffff:a.b.c.d. False where the text is no IP, or is that of no host (0.0.0.0, ::). */
bool ip_read(const char *text, size_t len, uint8_t ret[16]);

struct host_port {
	const char *host;    /* in the text; of "[::1]" what is between the brackets */
	size_t len;
	int port;            /* -1: none */
};
/*
 * "host:port", "[::1]:port", "host", "[::1]". False at all else: two colons without brackets (an IPv6 address, which
 * has no port), a port that is no number up to 65535, the name of a Unix socket (/… or @…).
 */
bool host_port_split(const char *text, size_t len, struct host_port *ret);

#endif
