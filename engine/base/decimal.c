// SPDX-License-Identifier: Apache-2.0
/* decimal.c - exact decimal arithmetic on a 128-bit integer and a scale.
 *
 * Idea: work on the magnitude (unsigned) and the sign apart, so that no step negates the smallest integer. Every
 * result that is made here has |digits| <= INT128_MAX and no trailing zero behind the point. Where aligning two
 * scales would not fit, the operands are first stripped of trailing zeros; only then is it an overflow. Comparison
 * and remainder never overflow. Multiplication is done by halves: the compiler's own overflow check needs a runtime
 * function that is not there with every tool chain.
 */
#include "engine/base/decimal.h"

#include "engine/base/assert.h"

typedef unsigned __int128 wide;

static const wide wide_max = ~(wide)0 >> 1;        /* the largest magnitude of a result */

#define E19 ((wide)10000000000000000000u)
static const wide power10[39] = {
	1u, 10u, 100u, 1000u, 10000u, 100000u, 1000000u, 10000000u, 100000000u, 1000000000u, 10000000000u,
	100000000000u, 1000000000000u, 10000000000000u, 100000000000000u, 1000000000000000u, 10000000000000000u,
	100000000000000000u, 1000000000000000000u, E19, E19 * 10u, E19 * 100u, E19 * 1000u, E19 * 10000u, E19 * 100000u, E19 * 1000000u,
	E19 * 10000000u, E19 * 100000000u, E19 * 1000000000u, E19 * 10000000000u, E19 * 100000000000u,
	E19 * 1000000000000u, E19 * 10000000000000u, E19 * 100000000000000u, E19 * 1000000000000000u,
	E19 * 10000000000000000u, E19 * 100000000000000000u, E19 * 1000000000000000000u, E19 * E19,
};
#undef E19

static wide magnitude(struct decimal a)
{
	return a.digits < 0 ? 0 - (wide)a.digits : (wide)a.digits;
}

static struct decimal signed_of(bool negative, wide digits, unsigned scale)
{
	ASSERT(digits <= wide_max && scale <= DECIMAL_SCALE_MAX);
	return (struct decimal){ negative ? -(__int128)digits : (__int128)digits, scale };
}

/* Product of two magnitudes; false where it is larger than wide_max. */
static bool wide_mul(wide a, wide b, wide *out)
{
	wide high, low, sum;
	if (!(a >> 64) && !(b >> 64)) {
		*out = a * b;
		return *out <= wide_max;
	}
	if (a >> 64 && b >> 64)
		return false;
	if (b >> 64) {
		wide swap = a;
		a = b;
		b = swap;
	}
	high = (a >> 64) * b;
	low = (wide)(uint64_t)a * b;
	if (high >> 63)
		return false;
	if (__builtin_add_overflow(high << 64, low, &sum))
		return false;
	*out = sum;
	return sum <= wide_max;
}

static struct decimal stripped(struct decimal a)
{
	if (a.scale && a.digits <= INT64_MAX && a.digits >= INT64_MIN) {
		int64_t few = (int64_t)a.digits;
		while (a.scale && few % 10 == 0) {
			few /= 10;
			a.scale--;
		}
		a.digits = few;
		return a;
	}
	while (a.scale && a.digits % 10 == 0) {
		a.digits /= 10;
		a.scale--;
	}
	return a;
}

/* Puts value = sign * digits / 10^scale into *out where it fits; strips zeros when the scale is too large. */
static bool result(bool negative, wide digits, unsigned scale, struct decimal *out)
{
	while (scale > DECIMAL_SCALE_MAX && digits % 10 == 0) {
		digits /= 10;
		scale--;
	}
	if (!digits)
		scale = 0;
	if (digits > wide_max || scale > DECIMAL_SCALE_MAX)
		return false;
	*out = stripped(signed_of(negative, digits, scale));
	return true;
}

/* Reads sign, digits, fraction and exponent. Strict: JSON's grammar. Lenient: JavaScript's decimal literal, which
 * also allows "+1", "01", "1." and ".5". Returns the length read, 0 where there is no number; *fits says whether *out
 * is it. */
static size_t scan(struct str text, bool lenient, bool *fits, struct decimal *out)
{
	const char *p = text.ptr, *end = p + text.len, *whole, *mark;
	bool negative = false, large = false, any = false;
	long long exponent = 0, written = 0;
	size_t zeros = 0;
	wide digits = 0;
	*fits = false;
	if (p < end && (*p == '-' || (lenient && *p == '+')))
		negative = *p++ == '-';
	whole = p;
	for (bool point = false; p < end; p++) {
		if (*p == '.' && !point) {
			if (!lenient && (p == whole || p + 1 == end || p[1] < '0' || p[1] > '9'))
				break;
			point = true;
			continue;
		}
		if (*p < '0' || *p > '9')
			break;
		if (!lenient && !point && p == whole + 1 && *whole == '0')
			return 0;
		any = true;
		exponent -= point;
		if (*p == '0') {                           /* zeros count only when another digit follows */
			zeros++;
			continue;
		}
		if (digits == 0)
			zeros = 0;
		if (zeros + 1 >= sizeof power10 / sizeof *power10 || !wide_mul(digits, power10[zeros + 1], &digits) ||
		    digits > wide_max - (wide)(*p - '0'))
			large = true;
		else
			digits += (wide)(*p - '0');
		zeros = 0;
	}
	if (!any)
		return 0;
	mark = p;
	if (p < end && (*p == 'e' || *p == 'E')) {
		bool minus = false, some = false;
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			minus = *p++ == '-';
		for (; p < end && *p >= '0' && *p <= '9'; p++) {
			some = true;
			if (written < 1000000000)
				written = written * 10 + (*p - '0');
		}
		if (some)
			exponent += minus ? -written : written;
		else
			p = mark;
	}
	exponent += (long long)zeros;
	if (digits == 0 && !large) {
		*out = (struct decimal){ 0 };
		*fits = true;
	} else if (!large && exponent <= 38 && exponent >= -DECIMAL_SCALE_MAX) {
		*fits = exponent < 0 || wide_mul(digits, power10[exponent], &digits);
		if (*fits)
			*out = signed_of(negative, digits, exponent < 0 ? (unsigned)-exponent : 0);
	}
	return (size_t)(p - text.ptr);
}

bool decimal_parse(struct str text, struct decimal *out)
{
	bool fits;
	/* Short integers are nearly all there is. */
	if (text.len && text.len <= 18 && text.ptr[0] >= '1' && text.ptr[0] <= '9') {
		int64_t sum = 0;
		size_t i = 0;
		for (; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
			sum = sum * 10 + (text.ptr[i] - '0');
		if (i == text.len) {
			*out = decimal_of(sum);
			return true;
		}
	}
	return text.len && scan(text, false, &fits, out) == text.len && fits;
}

size_t decimal_parse_prefix(struct str text, bool *fits, struct decimal *out)
{
	*fits = false;
	return text.len ? scan(text, true, fits, out) : 0;
}

struct decimal decimal_of(int64_t value)
{
	return (struct decimal){ value, 0 };
}

/* Both at the larger of the two scales.  False where that does not fit. */
static bool align(struct decimal *a, struct decimal *b)
{
	wide digits;
	if (a->scale == b->scale)
		return true;
	*a = stripped(*a);
	*b = stripped(*b);
	struct decimal *low = a->scale < b->scale ? a : b;
	unsigned scale = a->scale < b->scale ? b->scale : a->scale;
	if (!wide_mul(magnitude(*low), power10[scale - low->scale], &digits))
		return false;
	*low = signed_of(low->digits < 0, digits, scale);
	return true;
}

bool decimal_add(struct decimal a, struct decimal b, struct decimal *out)
{
	__int128 sum;
	if (!align(&a, &b) || __builtin_add_overflow(a.digits, b.digits, &sum) || sum < -(__int128)wide_max)
		return false;
	*out = stripped((struct decimal){ sum, a.scale });
	return true;
}

bool decimal_sub(struct decimal a, struct decimal b, struct decimal *out)
{
	__int128 difference;
	if (!align(&a, &b) || __builtin_sub_overflow(a.digits, b.digits, &difference) ||
	    difference < -(__int128)wide_max)
		return false;
	*out = stripped((struct decimal){ difference, a.scale });
	return true;
}

bool decimal_mul(struct decimal a, struct decimal b, struct decimal *out)
{
	wide digits;
	if (!wide_mul(magnitude(a), magnitude(b), &digits)) {
		a = stripped(a);
		b = stripped(b);
		if (!wide_mul(magnitude(a), magnitude(b), &digits))
			return false;
	}
	return result((a.digits < 0) != (b.digits < 0), digits, a.scale + b.scale, out);
}

/* rest * 10 divided by `by`: the digit comes back, *rest becomes the remainder. Needs *rest < by <= 2^127, so that
 * twice a remainder fits 128 bits; ten is taken bit by bit. */
static unsigned next_digit(wide *rest, wide by)
{
	unsigned digit = 0;
	wide sum = 0;
	for (unsigned bit = 8; bit; bit >>= 1) {
		sum += sum;
		digit += digit;
		if (sum >= by) {
			sum -= by;
			digit++;
		}
		if (!(10u & bit))
			continue;
		sum += *rest;
		if (sum >= by) {
			sum -= by;
			digit++;
		}
	}
	*rest = sum;
	return digit;
}

bool decimal_div(struct decimal a, struct decimal b, struct decimal *out)
{
	enum { KEPT = 18 };
	bool negative = (a.digits < 0) != (b.digits < 0), up;
	wide quotient, rest, by, scaled;
	if (!b.digits)
		return false;
	a = stripped(a);
	b = stripped(b);
	by = magnitude(b);
	int shift = KEPT + (int)b.scale - (int)a.scale;
	if (shift >= 0 && shift <= 38 && wide_mul(magnitude(a), power10[shift], &scaled)) {
		quotient = scaled / by;
		rest = scaled % by;
		shift = 0;
	} else {
		quotient = magnitude(a) / by;
		rest = magnitude(a) % by;
	}
	/* Digit by digit; an exact quotient ends early, once it is a whole number at least. */
	for (; shift > 0 && (rest || shift > KEPT); shift--) {
		if (!wide_mul(quotient, 10, &quotient))
			return false;
		quotient += next_digit(&rest, by);
		if (quotient > wide_max)
			return false;
	}
	if (shift < 0) {                                   /* more digits than are kept */
		wide unit = power10[-shift], half = unit / 2, tail = quotient % unit;
		quotient /= unit;
		up = tail > half || (tail == half && (rest || (quotient & 1)));
	} else {
		up = rest > by - rest || (rest == by - rest && (quotient & 1));
	}
	return result(negative, quotient + up, (unsigned)(KEPT - (shift > 0 ? shift : 0)), out);
}

bool decimal_mod(struct decimal a, struct decimal b, struct decimal *out)
{
	bool negative = a.digits < 0;
	wide rest, by;
	if (!b.digits)
		return false;
	a = stripped(a);
	b = stripped(b);
	by = magnitude(b);
	if (a.scale > b.scale) {
		if (!wide_mul(by, power10[a.scale - b.scale], &by)) {
			*out = a;                          /* the divisor is the larger one */
			return true;
		}
		return result(negative, magnitude(a) % by, a.scale, out);
	}
	rest = magnitude(a) % by;
	for (unsigned scale = a.scale; scale < b.scale && rest; scale++)
		next_digit(&rest, by);
	return result(negative, rest, b.scale, out);
}

int decimal_cmp(struct decimal a, struct decimal b)
{
	if (a.scale == b.scale)
		return (a.digits > b.digits) - (a.digits < b.digits);
	if ((a.digits < 0) != (b.digits < 0))
		return a.digits < 0 ? -1 : 1;
	wide x = magnitude(a), y = magnitude(b);
	wide x_whole = x / power10[a.scale], y_whole = y / power10[b.scale];
	int order = (x_whole > y_whole) - (x_whole < y_whole);
	if (!order) {
		x = x % power10[a.scale] * power10[DECIMAL_SCALE_MAX - a.scale];
		y = y % power10[b.scale] * power10[DECIMAL_SCALE_MAX - b.scale];
		order = (x > y) - (x < y);
	}
	return a.digits < 0 ? -order : order;
}

bool decimal_trunc(struct decimal a, int64_t *out)
{
	__int128 whole = a.scale ? a.digits / (__int128)power10[a.scale] : a.digits;
	if (whole > INT64_MAX || whole < INT64_MIN)
		return false;
	*out = (int64_t)whole;
	return true;
}

bool decimal_is_zero(struct decimal a)
{
	return a.digits == 0;
}

void decimal_write(struct buf *out, struct decimal a)
{
	char text[48 + DECIMAL_SCALE_MAX];
	size_t n = sizeof text;
	a = stripped(a);
	wide rest = magnitude(a);
	unsigned written = 0;
	do {
		if (written && written == a.scale)
			text[--n] = '.';
		if (rest >> 64) {
			text[--n] = (char)('0' + (unsigned)(rest % 10));
			rest /= 10;
		} else {
			text[--n] = (char)('0' + (uint64_t)rest % 10);
			rest = (uint64_t)rest / 10;
		}
		written++;
	} while (rest || written <= a.scale);
	if (a.digits < 0)
		text[--n] = '-';
	buf_bytes(out, text + n, sizeof text - n);
}
