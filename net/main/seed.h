// SPDX-License-Identifier: Apache-2.0
/* seed.h - the data directory's own number, mixed into every hash of names and ids (hash_seed).
 *
 * Without it anybody could make ids whose hashes are equal, and tables slow.  It is drawn when the directory is made and
 * kept in DIR/seed, 16 hexadecimal digits and a newline; the log's partitions and ids depend on it, so it belongs to every copy.
 */
#ifndef NET_MAIN_SEED_H
#define NET_MAIN_SEED_H

#include <stdbool.h>

#include "engine/base/buf.h"

/* Reads it into hash_seed.  `make`: where there is no log either, draws one and makes it durable.  False with a line in
 * `error`: it cannot be read, or it is missing beside a log. */
bool seed_load(const char *data, bool make, struct buf *error);

/* What the file holds.  False: it is not 16 lower-case hexadecimal digits and a newline. */
bool seed_read(struct str text, uint64_t *seed);

#endif
