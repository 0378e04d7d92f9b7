// SPDX-License-Identifier: Apache-2.0
/* event_pack.h - an event's record as the answer of events.ingest: the fields of the HTTP answer, as MessagePack. */
#ifndef NET_RPC_EVENT_PACK_H
#define NET_RPC_EVENT_PACK_H

#include "engine/base/buf.h"
#include "engine/base/problem.h"
#include "engine/event/record.h"

void event_pack(struct buf *out, const struct event_view *event, uint64_t lsn, bool idempotent);
/* A refused row: {index, code, name, detail, errors?}. */
void event_pack_refused(struct buf *out, const struct problem *problem, uint32_t index);

#endif
