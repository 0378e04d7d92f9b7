// SPDX-License-Identifier: Apache-2.0
/* content.h - what a run keeps of a record that used up an id: its hash, and a hash of what had been asked for.
 *
 * A repeat whose record is gone is compared by the content alone.  Of an event it is the record's own content_hash.  Of a transfer
 * it is a hash of flags, accounts (by their numbers, which never change; or the pending transfer's id), amount and timeout in the upper
 * 48 bits, and the code in the lower 16: a post or void may repeat it as 0.  A transfer that failed has none: its id is used
 * up whatever comes again.
 */
#ifndef ENGINE_LEDGER_CONTENT_H
#define ENGINE_LEDGER_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/ledger/row.h"

struct id_record { uint64_t hash, content; bool failed; };

/* False: the record uses no id, or cannot be read. */
bool id_of_record(const unsigned char *record, size_t len, struct id_record *id);
/* Of a row; the accounts' numbers are looked at unless it is a post or void. */
uint64_t transfer_content(const struct transfer_row *row, uint32_t debit, uint32_t credit);
/* Whether a row of this content repeats the recorded one. */
bool transfer_repeats(const struct transfer_row *row, uint64_t content, uint64_t recorded);

#endif
