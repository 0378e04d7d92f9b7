// SPDX-License-Identifier: Apache-2.0
#include "engine/base/problem_codes.h"

#include <stddef.h>

const struct problem_code problem_codes[] = {
#define X(code, status, also, scope, title, action) { #code, status, also, PROBLEM_##scope, title, action },
	PROBLEM_CODES(X)
#undef X
	{ 0 },
};

const struct problem_code *problem_code_find(struct str code)
{
	for (const struct problem_code *row = problem_codes; row->code; row++)
		if (str_eq(str_of(row->code), code))
			return row;
	return NULL;
}
