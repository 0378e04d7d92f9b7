// SPDX-License-Identifier: Apache-2.0
/* filed.h - ids that moved out of memory into sorted runs on disk, as the shards see them.
 *
 *     is it new?   table (ids.h)  ->  filters of the runs, in memory  ->  a reader outside the shards, who has the files
 *
 * A shard never waits for the disk: a filter either says that a run does not have the id, or the command leaves the shard with a
 * query, and comes back with what the runs say.  A filter is wrong about one new id in some thousands, never about an old one.
 *
 * Invariant: an entry leaves a shard's table only after every shard was handed runs that hold it.  So what a shard neither has
 * in its table nor finds in the runs it was handed is new; what was looked up in earlier runs is looked up again in later ones
 * (`generation`).
 *
 * A filter is blocked (Putze, Sanders, Singler, 2007): eight bits of one cache line, one in each of its words.  Its lines are in
 * the order of the hashes, as the run's entries are.
 */
#ifndef ENGINE_LEDGER_FILED_H
#define ENGINE_LEDGER_FILED_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/table.h"

struct message;

enum { RUNS_MAX = 8, FILTER_BITS = 19 /* for each entry */, FILTER_WORDS = 8, FILTER_LINE = 64 };

struct id_filter {
	uint64_t *lines;               /* FILTER_WORDS each; begins at a cache line; whoever made the filter owns them */
	uint32_t line_count;           /* 0: holds nothing */
};

/* The runs at one moment; never changed once shards have it. */
struct id_runs {
	uint64_t generation;           /* of what is in them: larger with every change; never 0 */
	uint64_t below;                /* every id with an LSN below it is in them, or forgotten */
	uint64_t forgotten;            /* ids with an LSN below it are as new */
	uint64_t entries;              /* in all of them */
	uint64_t bytes;                /* of memory that they take */
	unsigned count;
	struct id_filter filters[RUNS_MAX];
};

static inline uint32_t filter_lines(uint64_t entries)
{
	return (uint32_t)((entries * FILTER_BITS + FILTER_LINE * 8 - 1) / (FILTER_LINE * 8));
}

static inline uint64_t *filter_line(const struct id_filter *filter, uint64_t hash)
{
	return filter->lines + (((hash >> 32) * filter->line_count) >> 32) * FILTER_WORDS;
}

/* Six bits for each word, from the top. */
static inline uint64_t filter_bits(uint64_t hash)
{
	return (hash ^ hash >> 32) * UINT64_C(0x9E3779B97F4A7C15);
}

static inline bool filter_has(const struct id_filter *filter, uint64_t hash)
{
	if (!filter->line_count)
		return false;
	const uint64_t *line = filter_line(filter, hash);
	uint64_t bits = filter_bits(hash);
	for (unsigned i = 0; i < FILTER_WORDS; i++, bits <<= 6)
		if (!(line[i] >> (bits >> 58) & 1))
			return false;
	return true;
}

static inline void filter_add(struct id_filter *filter, uint64_t hash)
{
	uint64_t *line = filter_line(filter, hash), bits = filter_bits(hash);
	for (unsigned i = 0; i < FILTER_WORDS; i++, bits <<= 6)
		line[i] |= UINT64_C(1) << (bits >> 58);
}

/* Whether a run may have it.  `runs` NULL: there are none. */
static inline bool runs_may_have(const struct id_runs *runs, uint64_t hash)
{
	for (unsigned r = 0; runs && r < runs->count; r++)
		if (filter_has(&runs->filters[r], hash))
			return true;
	return false;
}

/* Always inlined, as table_prefetch. */
__attribute__((always_inline)) static inline void runs_prefetch(const struct id_runs *runs, uint64_t hash)
{
	for (unsigned r = 0; runs && r < runs->count; r++)
		if (runs->filters[r].line_count)
			__builtin_prefetch(filter_line(&runs->filters[r], hash));
}

/* What a run has kept of an outcome whose record may be gone (content.h). */
struct id_kept { bool found, failed; uint64_t content; };

/* What a command asks of the reader; embedded in the command, one at a time. */
struct id_query {
	struct id_query *next;         /* the reader's */
	struct message *answer;        /* posted to its shard when the query is answered */
	uint64_t generation;           /* of the runs whose filters were asked; 0: none were */
	uint64_t *hashes;              /* owned; what to look up, in any order, perhaps twice */
	uint32_t count, cap;
	struct table_entry *found;     /* owned; the answer: by hash, then by LSN */
	uint32_t found_count, found_cap;
	uint64_t forgotten;            /* of the runs that were read */
	bool failed;                   /* a run could not be read; nothing is known then */
};

void id_query_add(struct id_query *query, uint64_t hash);
/* For the reader: an entry that a run has; then all in order. */
void id_query_put(struct id_query *query, uint64_t hash, uint64_t value);
void id_query_sort(struct id_query *query);
void id_query_clear(struct id_query *query);           /* as new; its memory stays */
void id_query_free(struct id_query *query);

const struct table_entry *id_query_search(const struct id_query *query, uint64_t hash, const struct table_entry *previous);

/* The next entry that was found with this hash after `previous`, or NULL; `previous` NULL, or one that is none of the query's:
 * the first. */
static inline const struct table_entry *id_query_found(const struct id_query *query, uint64_t hash,
						       const struct table_entry *previous)
{
	return query->found_count ? id_query_search(query, hash, previous) : NULL;
}

#endif
