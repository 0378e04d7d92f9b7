// SPDX-License-Identifier: Apache-2.0
/* decimal.h - exact decimal numbers: a 128-bit integer and a scale, value = digits / 10^scale.
 *
 * No binary floating point comes near a balance: 99.99 x 1.0 truncates to 99, 0.1 x 30 is 3. Overflow and division by
 * zero are answers (false), never a wrong number. Division keeps 18 digits behind the point, rounded half to even.
 */
#ifndef ENGINE_BASE_DECIMAL_H
#define ENGINE_BASE_DECIMAL_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/str.h"

enum { DECIMAL_SCALE_MAX = 30 };

struct decimal {
	__int128 digits;
	unsigned scale;                /* 0..DECIMAL_SCALE_MAX */
};

bool decimal_parse(struct str text, struct decimal *out);  /* JSON number syntax, exponents included; whole text */

/* The longest decimal literal of JavaScript at the start of `text` ("+1", "01", "1." and ".5" count). Returns its
 * length, 0 where there is none; *fits is false where there is one that does not fit (then *out is untouched). */
size_t decimal_parse_prefix(struct str text, bool *fits, struct decimal *out);

struct decimal decimal_of(int64_t value);
bool decimal_add(struct decimal a, struct decimal b, struct decimal *out);
bool decimal_sub(struct decimal a, struct decimal b, struct decimal *out);
bool decimal_mul(struct decimal a, struct decimal b, struct decimal *out);
bool decimal_div(struct decimal a, struct decimal b, struct decimal *out);
bool decimal_mod(struct decimal a, struct decimal b, struct decimal *out); /* sign of the dividend, as in JavaScript */
int decimal_cmp(struct decimal a, struct decimal b);       /* -1, 0, 1; exact */
bool decimal_trunc(struct decimal a, int64_t *out);        /* towards zero; false beyond 64 bits */
bool decimal_is_zero(struct decimal a);
void decimal_write(struct buf *out, struct decimal a);     /* shortest plain form: no exponent, no trailing zeros */

#endif
