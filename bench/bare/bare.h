// SPDX-License-Identifier: Apache-2.0
/* bare.h - what the two programs of the bare path share: rows, two open-addressing tables, a log file, percentiles.
 *
 * The bare path is the floor that the real thing is compared with: durable transfers with nothing around them. No
 * protocol, no actors, no refusals, no recovery. Memory is in huge pages, the log is a file that was written with zeros
 * before and is written over, round and round, with O_DIRECT and O_DSYNC.
 */
#ifndef BENCH_BARE_BARE_H
#define BENCH_BARE_BARE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

enum { ROW_BYTES = 64, TENANTS = 10, BLOCK = 4096, AHEAD = 16, HUGE_PAGE = 2 << 20 };

struct bare_row { uint64_t id[2], debit[2], credit[2], amount, rest; };
struct bare_account { uint64_t id[2]; int64_t balance; uint64_t last; };      /* id 0: free */
struct bare_id { uint64_t hash, position; };                                /* hash 0: free */

struct bare {
	struct bare_account *accounts;
	struct bare_id *ids;
	uint64_t account_mask, id_mask, id_count, repeated;
	int log;
	uint64_t log_bytes, log_at, position;  /* size of the file, next write in it, bytes of rows so far */
};

static inline _Noreturn void die(const char *what)
{
	fprintf(stderr, "bare: %s: %s\n", what, strerror(errno));
	exit(2);
}

static inline uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
	return x ^ x >> 31;
}

static inline uint64_t hash_id(const uint64_t id[2])
{
	return mix(id[0] ^ id[1] * UINT64_C(0x9E3779B97F4A7C15));
}

/* xoshiro256** */
static inline uint64_t random_next(uint64_t s[4])
{
	uint64_t five = s[1] * 5, result = (five << 7 | five >> 57) * 9, t = s[1] << 17;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = s[3] << 45 | s[3] >> 19;
	return result;
}

static inline void *pages(uint64_t bytes)
{
	bytes = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
	char *all = mmap(NULL, bytes + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (all == MAP_FAILED)
		die("memory");
	char *aligned = (char *)(((uintptr_t)all + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
	madvise(aligned, bytes, MADV_HUGEPAGE);
	memset(aligned, 0, bytes);     /* page faults now, not while measuring */
	return aligned;
}

static inline struct bare_account *account_of(struct bare *bare, const uint64_t id[2])
{
	uint64_t at = hash_id(id) & bare->account_mask;
	while (bare->accounts[at].id[0] && (bare->accounts[at].id[0] != id[0] || bare->accounts[at].id[1] != id[1]))
		at = (at + 1) & bare->account_mask;
	return &bare->accounts[at];
}

/* Accounts 1..tenants are the liabilities, the members are behind them. */
static inline void bare_open(struct bare *bare, uint64_t members, uint64_t ids)
{
	uint64_t accounts = 1, slots = 1;
	while (accounts < (members + TENANTS) * 2)
		accounts *= 2;
	while (slots < ids + ids / 3)
		slots *= 2;
	bare->accounts = pages(accounts * sizeof *bare->accounts);
	bare->ids = pages(slots * sizeof *bare->ids);
	bare->account_mask = accounts - 1;
	bare->id_mask = slots - 1;
	for (uint64_t i = 1; i <= members + TENANTS; i++) {
		struct bare_account *free_slot = account_of(bare, (uint64_t[]){ i, 1 });
		free_slot->id[0] = i;
		free_slot->id[1] = 1;
	}
}

static inline void bare_close(struct bare *bare)
{
	munmap(bare->accounts, (bare->account_mask + 1) * sizeof *bare->accounts);
	munmap(bare->ids, (bare->id_mask + 1) * sizeof *bare->ids);
}

static inline void row_prefetch(const struct bare *bare, const struct bare_row *row)
{
	__builtin_prefetch(&bare->accounts[hash_id(row->credit) & bare->account_mask], 1);
	__builtin_prefetch(&bare->ids[hash_id(row->id) & bare->id_mask], 1);
}

/* Both look-ups and both balances; a known id changes nothing. */
static inline void row_apply(struct bare *bare, const struct bare_row *row, uint64_t position)
{
	uint64_t hash = hash_id(row->id) | 1, at = hash_id(row->id) & bare->id_mask;
	while (bare->ids[at].hash && bare->ids[at].hash != hash)
		at = (at + 1) & bare->id_mask;
	if (bare->ids[at].hash) {
		bare->repeated++;
		return;
	}
	if (++bare->id_count > bare->id_mask - bare->id_mask / 4) {
		fprintf(stderr, "bare: the table of ids is full\n");
		exit(2);
	}
	bare->ids[at] = (struct bare_id){ hash, position + 1 };
	struct bare_account *debit = account_of(bare, row->debit), *credit = account_of(bare, row->credit);
	debit->balance -= (int64_t)row->amount;
	credit->balance += (int64_t)row->amount;
	debit->last = credit->last = position;
}

/* The books sum to zero, and as many ids are known as rows came. */
static inline bool bare_check(const struct bare *bare, uint64_t rows)
{
	int64_t sum = 0;
	for (uint64_t i = 0; i <= bare->account_mask; i++)
		sum += bare->accounts[i].balance;
	if (sum || bare->id_count + bare->repeated != rows || bare->repeated > rows / 1000000 + 1)
		fprintf(stderr, "bare: sum %lld, %llu ids of %llu rows\n", (long long)sum,
			(unsigned long long)bare->id_count, (unsigned long long)rows);
	return !sum && bare->id_count + bare->repeated == rows && bare->repeated <= rows / 1000000 + 1;
}

/* A file without a name in `directory`, so that nothing stays behind however this ends. */
static inline int log_open(const char *directory, uint64_t bytes)
{
	char path[4096], *zeros = pages(HUGE_PAGE);
	snprintf(path, sizeof path, "%s/bare.%d", directory, (int)getpid());
	int log = open(path, O_CREAT | O_EXCL | O_RDWR | O_DIRECT | O_DSYNC | O_CLOEXEC, 0600);
	if (log < 0 || unlink(path))
		die(path);
	for (uint64_t at = 0; at < bytes; at += HUGE_PAGE)
		if (pwrite(log, zeros, HUGE_PAGE, (off_t)at) != HUGE_PAGE)
			die("zeros");
	fsync(log);
	return log;
}

static inline void log_write(struct bare *bare, const void *bytes, size_t len)
{
	if (bare->log_at + len > bare->log_bytes)
		bare->log_at = 0;
	if (pwrite(bare->log, bytes, len, (off_t)bare->log_at) != (ssize_t)len)
		die("log");
	bare->log_at += len;
}

static inline void rows_make(struct bare_row *rows, size_t count, uint64_t random[4], uint64_t members)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t r = random_next(random), tenant = (r & 0xFFFF) * TENANTS >> 16;
		uint64_t member = (r >> 32) * (members / TENANTS) >> 32;
		rows[i] = (struct bare_row){ .id = { random_next(random), random_next(random) }, .debit = { tenant + 1, 1 },
			.credit = { TENANTS + 1 + member * TENANTS + tenant, 1 }, .amount = ((r >> 16 & 0xFFFF) * 1000 >> 16) + 1 };
	}
}

static inline int socket_listen(struct sockaddr_in *address)
{
	socklen_t len = sizeof *address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	*address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (fd < 0 || bind(fd, (struct sockaddr *)address, sizeof *address) || listen(fd, 1024) ||
	    getsockname(fd, (struct sockaddr *)address, &len))
		die("listen");
	return fd;
}

static inline int socket_ready(int fd, const struct sockaddr_in *connect_to)
{
	int one = 1;
	if (fd < 0 || (connect_to && connect(fd, (const struct sockaddr *)connect_to, sizeof *connect_to)))
		die("socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

/* The server says that its tables are there; what comes before is not measured. */
static inline void ready_say(int fd)
{
	if (send(fd, "!", 1, MSG_NOSIGNAL) != 1)
		die("ready");
}

static inline void ready_wait(int fd)
{
	char mark;
	if (recv(fd, &mark, 1, MSG_WAITALL) != 1)
		die("the server did not start");
}

struct latencies { uint32_t *ns; size_t count, cap; };

static inline void latency_add(struct latencies *all, uint64_t ns)
{
	if (all->count == all->cap && !(all->ns = realloc(all->ns, (all->cap = all->cap * 2 + 65536) * sizeof *all->ns)))
		die("memory");
	all->ns[all->count++] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

static inline int latency_order(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
	return (left > right) - (left < right);
}

/* Lines for people begin with #, the others are "NAME.KEY VALUE". */
static inline void report(const char *name, const char *title, uint64_t transfers, double seconds,
			  struct latencies *all)
{
	double us[3] = { 0 }, shares[3] = { 0.5, 0.99, 0.999 }, rate = (double)transfers / seconds;
	qsort(all->ns, all->count, sizeof *all->ns, latency_order);
	for (int i = 0; i < 3 && all->count; i++)
		us[i] = all->ns[(size_t)((double)(all->count - 1) * shares[i])] / 1e3;
	printf("# %s: %.0f transfers/s, p50 %.0f us, p99 %.0f us, p99.9 %.0f us\n", title, rate, us[0], us[1], us[2]);
	printf("%s.transfers_per_s %.0f\n%s.p50_us %.1f\n%s.p99_us %.1f\n%s.p999_us %.1f\n", name, rate, name, us[0],
	       name, us[1], name, us[2]);
	fflush(stdout);
	free(all->ns);
	*all = (struct latencies){ 0 };
}

struct bare_options { const char *data; double seconds; uint64_t members; const char *only; };

static inline struct bare_options options_take(int argc, char **argv, const char *usage)
{
	struct bare_options options = { ".", 10, 1000000, NULL };
	for (int i = 1; i < argc; i += 2) {
		if (i + 1 < argc && !strcmp(argv[i], "--data"))
			options.data = argv[i + 1];
		else if (i + 1 < argc && !strcmp(argv[i], "--seconds"))
			options.seconds = strtod(argv[i + 1], NULL);
		else if (i + 1 < argc && !strcmp(argv[i], "--members"))
			options.members = strtoull(argv[i + 1], NULL, 10);
		else if (i + 1 < argc && !strcmp(argv[i], "--only"))
			options.only = argv[i + 1];
		else {
			fprintf(stderr, "usage: %s\n", usage);
			exit(64);
		}
	}
	if (!(options.seconds > 0 && options.seconds <= 600) || options.members < TENANTS ||
	    options.members > 1000000000) {
		fprintf(stderr, "usage: %s\n", usage);
		exit(64);
	}
	return options;
}

#endif
