// SPDX-License-Identifier: Apache-2.0
/* test_refusal.c - the refusals are the same in code and in docs/protocol.md: number, name, whether the id is used up, meaning. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine/ledger/refusal.h"

static char *page_read(const char *path)
{
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	char *text = calloc(1, 1 << 20);
	assert_non_null(text);
	assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
	fclose(file);
	return text;
}

static void page_has_the_table(void **state)
{
	(void)state;
	char *page = page_read("docs/protocol.md");
	const char *at = strstr(page, "## Refusals");
	assert_non_null(at);
	unsigned lines = 0, listed = 0;
	for (const struct refusal_info *info = refusals; info->number; info++, listed++) {
		char line[512];
		snprintf(line, sizeof line, "\n| %d | `%s` | %s | %s |", (int)info->number, info->name, info->burns ? "yes" : "",
			 info->meaning);
		const char *found = strstr(at, line);
		if (!found)
			fail_msg("docs/protocol.md misses:%s", line);
		at = found + 1;                /* in this order */
	}
	for (at = strstr(page, "## Refusals"); (at = strstr(at, "\n| ")); at++)
		lines += at[3] >= '0' && at[3] <= '9';
	assert_int_equal(lines, listed);
	free(page);
}

static void order_is_precedence(void **state)
{
	(void)state;
	for (const struct refusal_info *info = refusals; info->number; info++) {
		assert_true(info == refusals || info[-1].number < info->number);
		assert_ptr_equal(refusal_find(info->number), info);
		assert_ptr_equal(refusal_by_name(str_of(info->name)), info);
		assert_int_equal(refusal_burns(info->number), info->burns);
		for (const struct refusal_info *other = refusals; other != info; other++)
			assert_string_not_equal(other->name, info->name);
	}
	assert_null(refusal_find(0));
	assert_null(refusal_find(99));
	assert_null(refusal_by_name(STR("exceeds")));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(page_has_the_table), cmocka_unit_test(order_is_precedence) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
