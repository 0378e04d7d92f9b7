// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/commands/laws.h"

#include <string.h>

#include "engine/ledger/refusal.h"

static bool answer_listed(const struct reference *reference, int status)
{
	for (const struct answer *answer = reference->answers; answer->status; answer++)
		if (answer->status == status)
			return true;
	return false;
}

static bool problem_listed(const struct reference *reference, int status, const char *code, bool any)
{
	for (size_t i = 0; reference && i < reference->problem_count; i++)
		if (reference->problems[i].status == status && (!code || !strcmp(reference->problems[i].code, code)))
			return true;
	for (const struct problem_code *row = reference_problems(); row->code; row++)
		if ((row->status == status || row->also == status) && (!code || !strcmp(row->code, code)) &&
		    (any || reference_problem_common(row) || row->scope == PROBLEM_RPC))
			return true;
	return false;
}

bool law_listed(const struct reference *reference, int status, const char *code, bool any)
{
	return (reference && answer_listed(reference, status)) || (status >= 400 && problem_listed(reference, status, code, any));
}

bool law_burns(const char *code)
{
	for (const struct refusal_info *info = refusals; info->number; info++)
		if (!strcmp(info->name, code))
			return info->burns;
	return false;
}
