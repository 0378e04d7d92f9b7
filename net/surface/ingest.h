// SPDX-License-Identifier: Apache-2.0
/* ingest.h - system A's events and customers: documents become rows, rows become answers. */
#ifndef NET_SURFACE_INGEST_H
#define NET_SURFACE_INGEST_H

#include "net/surface/app.h"

void transactions_post(struct task *task);         /* POST /transactions */
void customer_upsert(struct task *task);           /* POST /customers/upsert */
void import_customers(struct task *task);          /* POST /imports/customers */
void import_events(struct task *task);             /* POST /imports/events */

/* The fields that every view of a customer has, without the braces. */
void customer_json(struct buf *out, struct str brand, struct str profile, struct str status, struct str attributes,
		   struct str tags_json);

/* The reads along the log's chains. */
void transactions_list(struct task *task);         /* GET /transactions */
void transaction_get(struct task *task);
void transaction_executions(struct task *task);
void movements_list(struct task *task);

#endif
