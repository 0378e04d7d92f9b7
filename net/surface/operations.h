// SPDX-License-Identifier: Apache-2.0
/* operations.h - the tables of operations; operations.c lists them. */
#ifndef NET_SURFACE_OPERATIONS_H
#define NET_SURFACE_OPERATIONS_H

#include "net/surface/operation.h"

extern const struct operation brand_operations[];              /* operations.c: system A */
extern const struct operation member_operations[];             /* operations_member.c: the rest of it */
extern const struct operation system_operations[];             /* operations.c: the server itself */
extern const struct operation ledger_operations[];             /* operations_ledger.c: /v1 */
extern const struct operation pos_operations[];                /* operations_ledger.c: /api/v1 */

#endif
