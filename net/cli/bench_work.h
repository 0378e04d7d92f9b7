// SPDX-License-Identifier: Apache-2.0
/* bench_work.h - the requests of `tally bench`, made from a seed, and what their answers say.
 *
 * Tenants are "bench-0", "bench-1" …; account k (from 0) belongs to tenant k mod tenants. Its id is 2^65 + k + 1, that
 * of tenant t's liability 2^64 + t + 1, both below the tag of ids that the server derives. So the accounts of one run
 * serve any later one. Ids of transfers are 111 bits from xoshiro256** (another seed, other ids).
 */
#ifndef NET_CLI_BENCH_WORK_H
#define NET_CLI_BENCH_WORK_H

#include <stdint.h>

#include "net/cli/bench_load.h"

#define BENCH_UNIT "points"

enum bench_kind {
	BENCH_ACCOUNTS,                /* ledger.create_accounts: the liabilities, then the members; rows counts both */
	BENCH_TRANSFERS,               /* ledger.create_transfers: from a random tenant's liability to one of its members */
	BENCH_EVENTS,                  /* events.ingest */
	BENCH_EVENTS_HTTP              /* POST /transactions, an array */
};

struct bench_shape {
	uint64_t accounts;             /* members, all tenants together; at least one a tenant */
	uint32_t tenants;              /* 1..BENCH_TENANTS_MAX */
	uint32_t rows;                 /* of a request */
	uint64_t seed;
};

enum { BENCH_TENANTS_MAX = 1000, BENCH_TENANT_BYTES = 16 };

struct bench_work *bench_work_new(enum bench_kind kind, const struct bench_shape *shape);
void bench_work_free(struct bench_work *work);

void bench_tenant(char out[BENCH_TENANT_BYTES], uint32_t tenant);

#endif
