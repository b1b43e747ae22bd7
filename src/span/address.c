#include "span/address.h"

#include <arpa/inet.h>
#include <string.h>

static const uint8_t v4_in_v6[12] = {[10] = 0xff, [11] = 0xff};

static void v4_print(const uint8_t *bytes, char *ret)
{
	for (int i = 0; i < 4; i++) {
		if (bytes[i] >= 100)
			*ret++ = (char)('0' + bytes[i] / 100);
		if (bytes[i] >= 10)
			*ret++ = (char)('0' + bytes[i] / 10 % 10);
		*ret++ = (char)('0' + bytes[i] % 10);
		*ret++ = i < 3 ? '.' : '\0';
	}
}

bool ip_print(const void *ip, size_t len, char ret[INET6_ADDRSTRLEN])
{
	const uint8_t *bytes = ip;
	const bool mapped = len == 16 && !memcmp(bytes, v4_in_v6, sizeof(v4_in_v6));

	if (len == 4 || mapped) {
		v4_print(mapped ? bytes + sizeof(v4_in_v6) : bytes, ret);
		return true;
	}
	return len == 16 && inet_ntop(AF_INET6, bytes, ret, INET6_ADDRSTRLEN);
}

bool ip_read(const char *text, size_t len, uint8_t ret[16])
{
	static const uint8_t nowhere[16];
	char copy[INET6_ADDRSTRLEN];

	if (len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	memcpy(ret, v4_in_v6, sizeof(v4_in_v6));
	if (inet_pton(AF_INET, copy, ret + sizeof(v4_in_v6)) == 1)
		return memcmp(ret + sizeof(v4_in_v6), nowhere, 4);
	return inet_pton(AF_INET6, copy, ret) == 1 && memcmp(ret, nowhere, sizeof(nowhere));
}

static bool port_read(const char *s, const char *end, int *ret)
{
	int port = 0;

	if (s == end)
		return false;
	for (; s < end; s++) {
		if (*s < '0' || *s > '9')
			return false;
		port = port * 10 + (*s - '0');
		if (port > UINT16_MAX)
			return false;
	}
	*ret = port;
	return true;
}

bool host_port_split(const char *text, size_t len, struct host_port *ret)
{
	const char *end = text + len, *colon, *bracket;
	struct host_port r = {text, len, -1};

	if (!len || *text == '/' || *text == '@')
		return false;
	colon = memrchr(text, ':', len);
	if (*text == '[') {
		bracket = memchr(text, ']', len);
		if (!bracket || (bracket + 1 != end && bracket + 1 != colon))
			return false;
		r.host = text + 1;
		r.len = (size_t)(bracket - r.host);
		if (bracket + 1 == end)
			colon = NULL; /* one within the brackets */
	} else {
		if (colon && memchr(text, ':', (size_t)(colon - text)))
			return false;
		r.len = colon ? (size_t)(colon - text) : len;
	}
	if (colon && !port_read(colon + 1, end, &r.port))
		return false;
	*ret = r;
	return true;
}
