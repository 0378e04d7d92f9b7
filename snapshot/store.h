// SPDX-License-Identifier: Apache-2.0
/* store.h - the files of snapshots: names, manifests, listing, removing.  docs/snapshot-format.md has the bytes.
 *
 *     DIR/0000000000001f40.data        the pieces, each compressed by itself
 *     DIR/0000000000001f40.manifest    what they are, their checksums, and the LSNs; named by its `end`
 *     DIR/new.data, DIR/new.manifest   one that is being written, or was when the process ended
 *
 * Invariant: a manifest gets its name after its data is durable under its own, and after the log is durable up to `end`.  So what
 * a manifest names is whole, unless the disk lost it; every byte of both files is covered by a checksum or compared.
 */
#ifndef SNAPSHOT_STORE_H
#define SNAPSHOT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"

enum { SNAPSHOT_VERSION = 1, SNAPSHOT_NAME = 32, SNAPSHOT_DATA_HEAD = 16, SNAPSHOT_SHARED = 0xFFFF,
       SNAPSHOT_RAW_MAX = 1 << 30 /* bytes of one piece before compression */,
       SNAPSHOT_PACK_MAX = 1 << 15 /* zstd's bound: a block is 4 bytes or more, and of 128 KiB or less */ };

/* One piece.  Its place in the manifest's bytes is in the order of the fields. */
struct snapshot_section {
	uint64_t offset;               /* in the data file */
	uint32_t size, raw_size;       /* bytes there, and decompressed; 0: an empty piece */
	uint64_t lsn;                  /* all records below are in it, none at or behind it */
	uint64_t floor;                /* records of ids that were in flight are at or behind it */
	uint16_t partition, behind;    /* the partitions in it: [partition, behind); SNAPSHOT_SHARED: the shared piece */
	uint32_t reserved;             /* 0 */
	uint8_t hash[16];              /* XXH3-128 of the `size` bytes, big-endian as XXH128_canonical_t */
};

struct snapshot_manifest {
	uint64_t from;                 /* LSN from which the log is replayed behind it */
	uint64_t end;                  /* nothing at or behind it is in any piece */
	int64_t time_ms;               /* when it was begun, since 1970 */
	uint64_t data_size, raw_size;  /* bytes of the data file; of all pieces decompressed */
	uint32_t epoch;                /* of the writer */
	uint32_t count;
	struct snapshot_section *sections;     /* owned */
};

void snapshot_manifest_free(struct snapshot_manifest *manifest);
void snapshot_manifest_encode(const struct snapshot_manifest *manifest, struct buf *out);
/* False with a line in `error`: damaged, or of a newer version.  *manifest is to be freed in either case. */
bool snapshot_manifest_decode(const void *bytes, size_t len, struct snapshot_manifest *manifest, struct buf *error);

void snapshot_name(char name[SNAPSHOT_NAME], uint64_t end, const char *suffix);
void snapshot_data_head(unsigned char head[SNAPSHOT_DATA_HEAD]);
void snapshot_hash(uint8_t hash[16], const void *bytes, size_t len);

/* The ends of all snapshots that have a manifest, newest first; *ends is the caller's to free.  A folder that is not there has
 * none.  False with a line in `error`. */
bool snapshot_list(const char *dir, uint64_t **ends, size_t *count, struct buf *error);
/* Reads and checks one manifest, and that its data file has the size. */
bool snapshot_manifest_read(const char *dir, uint64_t end, struct snapshot_manifest *manifest, struct buf *error);
/* The same.  *failed: the errno of a call that failed, which says nothing of the snapshot; 0 behind false: it is broken. */
bool snapshot_manifest_try(const char *dir, uint64_t end, struct snapshot_manifest *manifest, int *failed, struct buf *error);

/* Reads one piece: checks, decompresses.  `raw` is replaced.  `fd` is the data file; `packed` is scratch. */
bool snapshot_section_read(int fd, const struct snapshot_section *section, struct buf *packed, struct buf *raw, struct buf *error);
int snapshot_data_open(const char *dir, uint64_t end, struct buf *error);      /* -1 with a line in `error` */
/* Every byte of a snapshot against its checksums, without loading it. */
bool snapshot_verify(const char *dir, uint64_t end, struct snapshot_manifest *manifest, struct buf *error);

/* Removes all but the `keep` newest, and what an interrupted writer left.  0 or an errno; what cannot be removed stays. */
int snapshot_prune(const char *dir, size_t keep);
/* The same, but these stay as well: the newest that ends at or before `floor`, and behind it one for every `step` of the log (0:
 * none of them). */
int snapshot_thin(const char *dir, size_t keep, uint64_t floor, uint64_t step);
int snapshot_remove(const char *dir, uint64_t end);
int snapshot_file_open(const char *dir, const char *name, int flags);          /* flags as of openat; -1: errno */

#endif
