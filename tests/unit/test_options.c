// SPDX-License-Identifier: Apache-2.0
/* test_options.c - the order of the sources, and what an error says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/cli/options.h"

static char folder[] = "/tmp/tally-options-XXXXXX";
static char *before;

static int setup(void **state)
{
	(void)state;
	before = getcwd(NULL, 0);
	return before && mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	unlink(".env");
	unlink("conf");
	int result = chdir(before);
	rmdir(folder);
	free(before);
	return result;
}

static void file_write(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void environment_clear(void)
{
	unsetenv("TALLY_BIN");
	unsetenv("TALLY_SHARDS");
	unsetenv("TALLY_DATA");
	unsetenv("TALLY_HTTP");
	unsetenv("TALLY_NONSENSE");
	unsetenv("DATABASE_URL");
	unsetenv("TIGERBEETLE_ADDRESS");
	unsetenv("REDIS_URL");
	unlink(".env");
}

#define WORDS(...) (char *[]){ __VA_ARGS__ }
#define READ(options, error, ...)                                                                                 \
	options_read((options), (int)(sizeof(WORDS(__VA_ARGS__)) / sizeof(char *)), WORDS(__VA_ARGS__), (error))

static void a10_takes_defaults(void **state)
{
	struct options options;
	struct buf error = { 0 };

	(void)state;
	environment_clear();
	assert_true(options_read(&options, 0, NULL, &error));
	assert_string_equal(options.data, "./data");
	assert_int_equal(options.http.count, 1);
	assert_string_equal(options.http.list[0].host, "127.0.0.1");
	assert_int_equal(options.http.list[0].port, 8000);
	assert_int_equal(options.rpc.count, 1);
	assert_int_equal(options.log_segment, 64 << 20);
	assert_int_equal(options.log_ring, 16 << 20);
	assert_true(options.log_direct);
	assert_int_equal(options.customers, CUSTOMERS_AUTO);
	assert_int_equal(options.log_level, LOG_LEVEL_INFO);
	assert_null(options.ready_file);
	options_free(&options);
}

static void a7_prefers_the_stronger_source(void **state)
{
	struct options options;
	struct buf error = { 0 };

	(void)state;
	environment_clear();
	file_write("conf", "# all of them\ndata = file\nshards = 2   # two\nhttp = 127.0.0.1:1\nhttp = "
		"[::1]:2=ledger\nrows-max=5\n");
	file_write(".env", "TALLY_DATA=dotenv\nexport TALLY_SHARDS='3'\nOTHER=x\nDATABASE_URL=postgresql://x\n"
		"TIGERBEETLE_ADDRESS=localhost:8000\n");
	setenv("TALLY_DATA", "environment", 1);
	assert_true(READ(&options, &error, "--config", "conf", "--rows-max=7"));
	assert_string_equal(options.data, "environment");
	assert_int_equal(options.shards, 3);
	assert_int_equal(options.rows_max, 7);
	assert_int_equal(options.http.count, 2);
	assert_string_equal(options.http.list[1].host, "::1");
	assert_string_equal(options.http.list[1].service, "ledger");
	assert_true(options.database_url_unused);
	assert_true(options.tigerbeetle_address_unused);
	assert_false(options.redis_url_unused);
	options_free(&options);
	assert_true(READ(&options, &error, "--config", "conf", "--data", "flag", "--http", "127.0.0.1:9"));
	assert_string_equal(options.data, "flag");
	assert_int_equal(options.rpc.count, 1);
	assert_int_equal(options.http.count, 1);
	assert_int_equal(options.http.list[0].port, 9);
	options_free(&options);
	environment_clear();
	setenv("TALLY_RPC", "127.0.0.1:3,127.0.0.1:4", 1);
	assert_true(options_read(&options, 0, NULL, &error));
	assert_int_equal(options.rpc.count, 2);
	options_free(&options);
	assert_true(READ(&options, &error, "--rpc", "none"));
	assert_int_equal(options.rpc.count, 0);
	options_free(&options);
	setenv("TALLY_RPC", "none", 1);
	assert_true(READ(&options, &error, "--rpc", "none", "--rpc", "127.0.0.1:7"));
	assert_int_equal(options.rpc.count, 1);
	options_free(&options);
	assert_true(options_read(&options, 0, NULL, &error));
	assert_int_equal(options.rpc.count, 0);
	options_free(&options);
	unsetenv("TALLY_RPC");
	setenv("TALLY_HTTP", "127.0.0.1:1,127.0.0.1:2", 1);
	assert_true(options_read(&options, 0, NULL, &error));
	assert_int_equal(options.http.count, 2);
	options_free(&options);
}

#define EXPECT_ERROR(text, ...)                                           \
	do {                                                              \
		struct options options_;                                  \
		struct buf error_ = { 0 };                                \
		assert_false(READ(&options_, &error_, __VA_ARGS__));      \
		buf_char(&error_, '\0');                                  \
		assert_string_equal(error_.ptr, text);                    \
		options_free(&options_);                                  \
		buf_free(&error_);                                        \
	} while (0)

static void names_what_is_wrong(void **state)
{
	(void)state;
	environment_clear();
	EXPECT_ERROR("unknown option --shard (tally help serve lists them)", "--shard", "3");
	EXPECT_ERROR("--shards needs a value: a number from 1 to 64, or 0 (one on up to two "
		     "processors, else half of them)", "--shards");
	EXPECT_ERROR("--shards is \"65\"; expected a number from 1 to 64, or 0 (one on up to two "
		     "processors, else half of them)", "--shards", "65");
	EXPECT_ERROR("--shards is \"-1\"; expected a number from 1 to 64, or 0 (one on up to two "
		     "processors, else half of them)", "--shards", "-1");
	EXPECT_ERROR("--rpc is \"127.0.0.1:1=ledger\"; expected ADDR:PORT such as 127.0.0.1:8000 or [::1]:8000, at most 8 of "
		     "them, or none", "--rpc", "127.0.0.1:1=ledger");
	EXPECT_ERROR("--http is \"8000\"; expected ADDR:PORT such as 127.0.0.1:8000 or [::1]:8000 (with =ledger, =membership or "
		     "=all for a service's name), at most 8 of them",
		     "--http",
		     "8000");
	EXPECT_ERROR("--http is \"127.0.0.1:1=api\"; expected ADDR:PORT such as 127.0.0.1:8000 or [::1]:8000 (with =ledger, "
		     "=membership or =all for a service's name), at most 8 of them",
		     "--http",
		     "127.0.0.1:1=api");
	EXPECT_ERROR("--log-ring is \"3M\"; expected bytes, or with K, M, G or T behind, from 64K to 4G, a power of two", "--log-ring",
		"3M");
	EXPECT_ERROR("--snapshot-interval is \"x\"; expected seconds from 1 to 31536000, or 0 (never)", "--snapshot-interval", "x");
	EXPECT_ERROR("--retain-bytes is \"1\"; expected bytes, or with K, M, G or T behind, from 1M to 1024T, or 0 (never)",
		"--retain-bytes", "1");
	EXPECT_ERROR("--log-direct is \"maybe\"; expected on or off", "--log-direct", "maybe");
	EXPECT_ERROR("--data is no UTF-8", "--data", "d\xff");
	EXPECT_ERROR("--customers is \"\"; expected one of auto|strict", "--customers", "");
	EXPECT_ERROR("unexpected \"data\"; options are --name value", "data");
	file_write("conf", "\n\nshards = many\n");
	EXPECT_ERROR("conf:3: shards is \"many\"; expected a number from 1 to 64, or 0 (one on up to two "
		     "processors, else half of them)", "--config",
		"conf");
	file_write("conf", "shard = 1\n");
	EXPECT_ERROR("conf:1: unknown option \"shard\" (tally help serve lists them)", "--config", "conf");
	file_write("conf", "shards\n");
	EXPECT_ERROR("conf:1: expected \"name = value\"", "--config", "conf");
	EXPECT_ERROR("none cannot be read: No such file or directory", "--config", "none");
	file_write(".env", "A=b\nTALLY_SHARD=1\n");
	EXPECT_ERROR(".env:2: unknown variable TALLY_SHARD (tally help serve lists them)", "--shards", "1");
	environment_clear();
	setenv("TALLY_NONSENSE", "1", 1);
	EXPECT_ERROR("environment: unknown variable TALLY_NONSENSE (tally help serve lists them)", "--shards", "1");
	environment_clear();
	EXPECT_ERROR("log-ring is larger than log-segment; expected at most 1048576", "--log-segment", "1M");
}

static void reads_sizes(void **state)
{
	int64_t size;

	(void)state;
	assert_true(options_parse_size("4096", &size) && size == 4096);
	assert_true(options_parse_size("64k", &size) && size == 65536);
	assert_true(options_parse_size("2T", &size) && size == INT64_C(2) << 40);
	assert_false(options_parse_size("", &size));
	assert_false(options_parse_size("M", &size));
	assert_false(options_parse_size("1.5M", &size));
	assert_false(options_parse_size("-1", &size));
	assert_false(options_parse_size("99999999999T", &size));
}

static void shows_options_as_json(void **state)
{
	struct options options;
	struct buf error = { 0 }, out = { 0 };

	(void)state;
	environment_clear();
	assert_true(READ(&options, &error, "--http", "[::1]:0=all", "--customers", "strict"));
	options_json(&options, &out);
	buf_char(&out, '\0');
	assert_non_null(strstr(out.ptr, "{\"data\":\"./data\",\"http\":[\"[::1]:0=all\"],\"rpc\":[\"127.0.0.1:8100\"],\"shards\":0"));
	assert_non_null(strstr(out.ptr, "\"customers\":\"strict\""));
	buf_free(&out);
	options_free(&options);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a10_takes_defaults),
		cmocka_unit_test(a7_prefers_the_stronger_source),
		cmocka_unit_test(names_what_is_wrong),
		cmocka_unit_test(reads_sizes),
		cmocka_unit_test(shows_options_as_json),
	};

	return cmocka_run_group_tests_name("options", tests, setup, teardown);
}
