// SPDX-License-Identifier: Apache-2.0
#include "engine/ledger/refusal.h"

#include <stddef.h>

const struct refusal_info refusals[] = {
#define X(number, symbol, name, burns, meaning) { REFUSED_##symbol, name, meaning, REFUSAL_##burns },
	REFUSALS(X)
#undef X
	{ REFUSAL_NONE, NULL, NULL, false },
};

const struct refusal_info *refusal_find(uint32_t number)
{
	for (const struct refusal_info *info = refusals; info->number; info++)
		if (info->number == number)
			return info;
	return NULL;
}

const struct refusal_info *refusal_by_name(struct str name)
{
	for (const struct refusal_info *info = refusals; info->number; info++)
		if (str_eq(str_of(info->name), name))
			return info;
	return NULL;
}

bool refusal_burns(enum refusal refusal)
{
	const struct refusal_info *info = refusal_find(refusal);
	return info && info->burns;
}
