// SPDX-License-Identifier: Apache-2.0
/* resource.h - configuration documents of any kind over the API. */
#ifndef NET_SURFACE_RESOURCE_H
#define NET_SURFACE_RESOURCE_H

#include "net/surface/app.h"

/* The routes of all kinds, ended by a NULL method; made at the first call, on the loop's thread. */
const struct route *resource_routes(void);

/* For handlers of a route with a kind: fills task->catalog from the request.  False: it has been answered. */
bool resource_task(struct task *task, enum catalog_verb verb);
/* Filters of a list from the query: every field that can be compared; `others`: the parameters there may be beside them.  False: it has
 * been answered. */
bool resource_filters(struct task *task, const char *others);
/* Handlers of a route with a kind: how its documents look; what can be chosen of them. */
void catalogs_get(struct task *task);
void catalogs_options(struct task *task);
void resource_answer(struct task *task);           /* for task_catalog: the document, the list, the problem */

#endif
