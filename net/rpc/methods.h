// SPDX-License-Identifier: Apache-2.0
/* methods.h - tables of methods for volume: the ledger's and the events'.  methods.c lists them. */
#ifndef NET_RPC_METHODS_H
#define NET_RPC_METHODS_H

#include "net/rpc/rpc.h"

extern const struct rpc_method rpc_ledger_methods[];           /* ledger.c: accounts and transfers */
extern const struct rpc_method rpc_history_methods[];          /* ledger_read.c: what was */
extern const struct rpc_method rpc_event_methods[];            /* events.c */

void rpc_events_end(void);             /* the node goes, and what is kept for the next calls with it */

#endif
