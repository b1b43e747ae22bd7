/*
 * A value in JSON. What is not all there is {"value":…,"truncated":true,"len":N}, what could not be read
 * {"unreadable":"reason"}; both at once where a part could not be read, with "len" wherever it is known. What was not
 * followed is {"at":"0x…"}. So a reader that meets an object where it expects a text knows that it is one of these.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "call/value.h"

#include <stdio.h>
#include "call/value_float.h"

static void json_address(struct json *j, uint64_t addr)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, addr);
	json_str(j, text);
}

/* Members of an object. */
static void json_at(struct json *j, uint64_t addr)
{
	json_key(j, "at");
	json_address(j, addr);
}

static void json_one(struct json *j, const char *key, const char *text)
{
	json_open(j, '{');
	json_key(j, key);
	json_str(j, text);
	json_close(j, '}');
}

static void json_float(struct json *j, double v, unsigned bits)
{
	struct buf text = {0};

	float_print(v, bits, &text);
	if (isfinite(v))
		json_number(j, text.data);
	else
		json_str(j, text.data);
	buf_done(&text);
}

static void json_complex(struct json *j, const struct value_node *v)
{
	struct buf text = {0};

	complex_print(v->f, v->imag, v->bits, &text);
	json_str(j, text.data);
	buf_done(&text);
}

/* ---- texts ---- */

/* Bytes before a character that the cut went through. */
static size_t whole_characters(const struct value_node *v, bool *ret_valid)
{
	size_t i = 0, len;

	*ret_valid = true;
	while (i < v->len && (len = utf8_valid(v->text + i, v->len - i)))
		i += len;
	if (i < v->len && !(v->cut && v->len - i < 4))
		*ret_valid = false;
	return *ret_valid ? i : v->len;
}

static void json_hex(struct json *j, const struct value_node *v)
{
	struct buf text = {0};

	for (size_t i = 0; i < v->len; i++)
		buf_printf(&text, "%02x", (unsigned char)v->text[i]);
	json_one(j, "hex", text.len ? text.data : "");
	buf_done(&text);
}

static void json_text(struct json *j, const struct value_node *v)
{
	bool valid;
	size_t n = whole_characters(v, &valid);

	if (v->form == FORM_BYTES && !v->u)
		json_null(j);
	else if (v->form == FORM_BYTES && !valid)
		json_hex(j, v);
	else
		json_strn(j, v->text, n);
}

/* ---- composites ---- */

static void json_list(struct json *j, const struct value_node *v)
{
	if (!v->u && !v->nchildren) {
		json_null(j);
		return;
	}
	json_open(j, '[');
	for (size_t i = 0; i < v->nchildren; i++)
		value_json(&v->children[i], j);
	json_close(j, ']');
}

static void json_struct(struct json *j, const struct value_node *v)
{
	json_open(j, '{');
	for (size_t i = 0; i < v->nchildren; i++) {
		json_key(j, v->children[i].name ? v->children[i].name : "");
		value_json(&v->children[i], j);
	}
	json_close(j, '}');
}

static void json_map_key(struct json *j, const struct value_node *key)
{
	struct buf text = {0};

	while (key->form == FORM_INTERFACE && key->nchildren)
		key = key->children;
	if (key->form == FORM_STRING && key->why && !key->len) {
		buf_printf(&text, "<unreadable: %s>", key->why);
	} else if (key->form == FORM_STRING) {
		buf_append(&text, key->text, key->len);
		if (key->cut)
			buf_str(&text, "…");
	} else {
		value_print(key, &text);
	}
	json_strn(j, text.len ? text.data : "", text.len);
	buf_char(j->out, ':');
	j->comma = false;
	buf_done(&text);
}

static void json_map(struct json *j, const struct value_node *v)
{
	if (!v->u) {
		json_null(j);
		return;
	}
	json_open(j, '{');
	for (size_t i = 0; i + 1 < v->nchildren; i += 2) {
		json_map_key(j, &v->children[i]);
		value_json(&v->children[i + 1], j);
	}
	json_close(j, '}');
}

/* What it leads to, as if it were that itself; where that is not here, where it lies. */
static void json_pointer(struct json *j, const struct value_node *v)
{
	const struct value_node *c = v->nchildren ? v->children : NULL;

	if (c && c->form != FORM_UNREADABLE) {
		value_json(c, j);
		return;
	}
	json_open(j, '{');
	if (c) {
		json_key(j, "unreadable");
		json_str(j, c->text);
	}
	json_at(j, v->u);
	json_close(j, '}');
}

static void json_held(struct json *j, const struct value_node *v)
{
	if (v->form == FORM_ERROR && v->text) {
		json_text(j, v);
		return;
	}
	json_open(j, '{');
	json_key(j, "type");
	json_str(j, v->type_name);
	if (v->indirect && !v->nchildren) {
		json_at(j, v->u);
	} else {
		json_key(j, "value");
		json_pointer(j, v);
	}
	json_close(j, '}');
}

static void json_chan(struct json *j, const struct value_node *v)
{
	json_open(j, '{');
	json_key(j, "chan");
	json_address(j, v->u);
	if (!v->cut) {
		json_key(j, "len");
		json_int(j, v->i);
		json_key(j, "cap");
		json_uint(j, v->full_len);
	} else if (v->why) {
		json_key(j, "unreadable");
		json_str(j, v->why);
	}
	json_close(j, '}');
}

static void json_cycle(struct json *j, const struct value_node *v)
{
	json_open(j, '{');
	json_key(j, "cycle");
	json_address(j, v->u);
	json_close(j, '}');
}

/* ---- all ---- */

static void json_whole(const struct value_node *v, struct json *j)
{
	switch (v->form) {
	case FORM_NIL:
		json_null(j);
		break;
	case FORM_BOOL:
		json_bool(j, v->u != 0);
		break;
	case FORM_INT:
		json_int(j, v->i);
		break;
	case FORM_UINT:
		json_uint(j, v->u);
		break;
	case FORM_FLOAT:
		json_float(j, v->f, v->bits);
		break;
	case FORM_COMPLEX:
		json_complex(j, v);
		break;
	case FORM_STRING:
	case FORM_BYTES:
		json_text(j, v);
		break;
	case FORM_TEXT:
		json_str(j, v->text);
		break;
	case FORM_LIST:
		json_list(j, v);
		break;
	case FORM_STRUCT:
		json_struct(j, v);
		break;
	case FORM_MAP:
		json_map(j, v);
		break;
	case FORM_POINTER:
		json_pointer(j, v);
		break;
	case FORM_ADDRESS:
		json_address(j, v->u);
		break;
	case FORM_INTERFACE:
	case FORM_ERROR:
		json_held(j, v);
		break;
	case FORM_CHAN:
		json_chan(j, v);
		break;
	case FORM_CYCLE:
		json_cycle(j, v);
		break;
	case FORM_UNREADABLE:
		json_one(j, "unreadable", v->text);
		break;
	}
}

void value_json(const struct value_node *v, struct json *out)
{
	if (!v->cut || v->form == FORM_CHAN) {
		json_whole(v, out);
		return;
	}
	json_open(out, '{');
	if (!v->why || v->len || v->nchildren) {
		json_key(out, "value");
		json_whole(v, out);
		json_key(out, "truncated");
		json_bool(out, true);
	}
	if (v->why) {
		json_key(out, "unreadable");
		json_str(out, v->why);
	}
	if (v->form != FORM_STRING || v->full_len > v->len) {
		json_key(out, "len");
		json_uint(out, v->full_len);
	}
	json_close(out, '}');
}
