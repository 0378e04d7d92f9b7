// SPDX-License-Identifier: Apache-2.0
/* oracle_int.h - what the files of the oracle share: oracle.c (frames, accounts, transfers, configuration) and members.c. */
#ifndef TESTS_SIM_ORACLE_INT_H
#define TESTS_SIM_ORACLE_INT_H

#include "tests/sim/oracle.h"

#define LLU(x) ((unsigned long long)(x))

/* A list with room for one more. */
void *oracle_grown(void *list, uint32_t *cap, uint32_t count, size_t size);
unsigned oracle_index_of(const char *const names[2], struct str name);         /* 2: none of them */
struct number *oracle_number_find(struct oracle *oracle, uint32_t number);     /* NULL */
struct number *oracle_number_add(struct oracle *oracle, struct number number, uint64_t lsn);
/* The account as it is from this record on; and its chain. */
void oracle_touched(struct oracle *oracle, struct number *number, uint64_t prev, uint64_t lsn);
void oracle_moved(struct number *number, uint64_t lsn, int64_t points, uint64_t undoes);

/* members.c: one record each. */
void oracle_on_event(struct oracle *oracle, const unsigned char *record, uint32_t size, uint64_t lsn, int64_t time_ms);
void oracle_on_action(struct oracle *oracle, const unsigned char *record, uint32_t size, uint64_t lsn, int64_t time_ms);
void oracle_on_customer(struct oracle *oracle, const unsigned char *record, uint32_t size, uint64_t lsn, int64_t time_ms);

#endif
