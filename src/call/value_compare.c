/* The order in which Go's fmt shows the keys of a map (internal/fmtsort). */
#include <math.h>
#include <string.h>

#include "call/value_reader.h"

#define ORDER(a, b) ((a) < (b) ? -1 : (a) > (b))

/* NaN comes first. */
static int compare_real(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isnan(b) - isnan(a);
	return ORDER(a, b);
}

static int compare_bytes(const struct value_node *a, const struct value_node *b)
{
	int r = memcmp(a->text, b->text, MIN(a->len, b->len));

	return r ? r : ORDER(a->len, b->len);
}

static int compare_texts(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

static int compare_children(const struct value_node *a, const struct value_node *b)
{
	int r = 0;

	for (size_t i = 0; !r && i < a->nchildren && i < b->nchildren; i++)
		r = value_compare(&a->children[i], &b->children[i]);
	return r ? r : ORDER(a->nchildren, b->nchildren);
}

int value_compare(const struct value_node *a, const struct value_node *b)
{
	int r;

	if (a->form != b->form) /* nil before others */
		return ORDER(a->form, b->form);
	switch (a->form) {
	case FORM_BOOL:
	case FORM_UINT:
	case FORM_POINTER:
	case FORM_ADDRESS:
	case FORM_CHAN:
	case FORM_CYCLE:
		return ORDER(a->u, b->u);
	case FORM_INT:
		return ORDER(a->i, b->i);
	case FORM_FLOAT:
	case FORM_COMPLEX:
		r = compare_real(a->f, b->f);
		return r ? r : compare_real(a->imag, b->imag);
	case FORM_STRING:
	case FORM_BYTES:
		return compare_bytes(a, b);
	case FORM_TEXT:
	case FORM_UNREADABLE:
		return compare_texts(a->text, b->text);
	case FORM_INTERFACE:
	case FORM_ERROR:
		r = compare_texts(a->type_name, b->type_name);
		return r ? r : compare_children(a, b);
	case FORM_NIL:
	case FORM_LIST:
	case FORM_STRUCT:
	case FORM_MAP:
		break;
	}
	return compare_children(a, b);
}
