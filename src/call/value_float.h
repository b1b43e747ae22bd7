/* Floating-point numbers as Go's fmt prints them with %v. */
#ifndef CALL_VALUE_FLOAT_H
#define CALL_VALUE_FLOAT_H

#include "base/buf.h"

void float_print(double v, unsigned bits, struct buf *out);                 /* 1.5, 1e+06, +Inf, NaN */
void complex_print(double re, double im, unsigned bits, struct buf *out); /* (1+2i) */

#endif
