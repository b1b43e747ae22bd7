/*
 * strconv's format 'g' with precision -1: as few digits as give the same number back, and an exponent where it is below
 * -4 or above 5. Source: strconv/ftoa.go.
 */
#include "call/value_float.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { DIGITS_64 = 17, DIGITS_32 = 9, EXPONENT_MIN = -4, EXPONENT_MAX = 5 };

static bool gives_back(const char *text, double v, unsigned bits)
{
	return bits == 32 ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v;
}

/* v > 0 as its digits and the exponent of the first. */
static int shortest(double v, unsigned bits, char digits[DIGITS_64 + 1])
{
	char text[40];
	int max = bits == 32 ? DIGITS_32 : DIGITS_64, n = 0;

	for (int i = 1; i <= max; i++) {
		snprintf(text, sizeof(text), "%.*e", i - 1, v);
		if (gives_back(text, v, bits))
			break;
	}
	for (const char *p = text; *p != 'e'; p++)
		if (*p != '.')
			digits[n++] = *p;
	while (n > 1 && digits[n - 1] == '0')
		n--;
	digits[n] = '\0';
	return atoi(strchr(text, 'e') + 1);
}

static void print_exponent(const char *digits, int exponent, struct buf *out)
{
	buf_char(out, digits[0]);
	if (digits[1])
		buf_printf(out, ".%s", digits + 1);
	buf_printf(out, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
}

static void print_plain(const char *digits, int exponent, struct buf *out)
{
	int n = (int)strlen(digits);

	if (exponent < 0) {
		buf_printf(out, "0.%.*s%s", -exponent - 1, "000000", digits);
		return;
	}
	for (int i = 0; i <= exponent; i++)
		buf_char(out, i < n ? digits[i] : '0');
	if (n > exponent + 1)
		buf_printf(out, ".%s", digits + exponent + 1);
}

void float_print(double v, unsigned bits, struct buf *out)
{
	char digits[DIGITS_64 + 1];
	int exponent;

	if (isnan(v)) {
		buf_str(out, "NaN");
		return;
	}
	if (isinf(v)) {
		buf_str(out, v > 0 ? "+Inf" : "-Inf");
		return;
	}
	if (signbit(v))
		buf_char(out, '-');
	if (v == 0) {
		buf_char(out, '0');
		return;
	}
	exponent = shortest(fabs(v), bits, digits);
	if (exponent < EXPONENT_MIN || exponent > EXPONENT_MAX)
		print_exponent(digits, exponent, out);
	else
		print_plain(digits, exponent, out);
}

void complex_print(double re, double im, unsigned bits, struct buf *out)
{
	buf_char(out, '(');
	float_print(re, bits, out);
	if (isnan(im) || (!signbit(im) && !isinf(im)))
		buf_char(out, '+');
	float_print(im, bits, out);
	buf_str(out, "i)");
}
