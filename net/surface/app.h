// SPDX-License-Identifier: Apache-2.0
/* app.h - what the API surfaces share: routes, the request that is being answered, and the ways to answer it.
 *
 * A surface is a table of routes; a route names method, path, permission and handler, and is all the documentation there is
 * to write.  A handler answers at once, or hands a message to the shards and answers when it comes back durable, or reads the
 * log on a worker thread and answers after that.
 *
 * Everything here runs on the loop's thread, but the work function of task_read.
 */
#ifndef NET_SURFACE_APP_H
#define NET_SURFACE_APP_H

#include <uv.h>

#include "engine/base/json.h"
#include "engine/shard/batch.h"
#include "net/cli/options.h"
#include "net/http/http.h"
#include "net/main/keeper.h"
#include "net/main/node.h"
#include "net/surface/ledger_log.h"

enum { PATH_PARTS_MAX = 12, LIST_DEFAULT = 100, LIST_MAX = 1000, TASKS_MAX = 16384, NAME_MAX_BYTES = 200 };
#define TASK_BYTES_MAX (UINT64_C(256) * 1024 * 1024)

struct task;

struct app {
	uv_loop_t *loop;
	struct node *node;
	struct server *server;
	struct keeper *keeper;         /* of snapshots */
	struct scheduler *scheduler;   /* of internal jobs (jobs.h) */
	struct pins *pins;             /* of backups */
	const struct options *options;
	size_t tasks;                  /* requests in work; beyond TASKS_MAX sockets are not read */
	uint64_t task_bytes;           /* their bodies */
	bool ready;                    /* recovery is done: until then there is no node */
	const struct recovery *recovery;       /* borrowed; until then */
	bool draining;
	uint64_t started_ns;
	struct log_place places[LOG_PLACES];   /* where pages of histories ended (ledger_log.h) */
};

struct route {
	const char *method;            /* "GET" also answers HEAD */
	const char *path;              /* "/wallet/{brand}/{profile_id}"; {name} takes one part */
	void (*handle)(struct task *task);
	const char *permission;        /* enforced by a later step; named from the start */
	const char *doc;               /* one line, for the reference */
	const struct kind *kind;       /* of a resource route */
	const char *command;           /* its name over RPC (net/rpc/bridge.h), "customers.get"; NULL: HTTP only */
	const char *operation;         /* its name in the reference (operation.h) where it is no command; else NULL */
	const char *query;             /* its RPC keys that are query parameters although there is a body: words, or NULL */
	bool brand_in_body;            /* over RPC, `brand` is a field of the body as well as X-Brand */
	/* How errors look over HTTP, as a JSON document; NULL: RFC 9457. */
	void (*problem)(struct buf *out, int status, const char *code, const struct faults *faults, const char *detail);
};

/* Where an answer goes that is not for HTTP; the task's request is the sink's own then, and has no session. */
struct task_sink {
	void (*answer)(struct task_sink *sink, int status, const char *content_type, struct str headers, struct str body);
	void (*release)(struct task_sink *sink);      /* after the task, the last that borrows from the request */
};

/* One request in work.  Lives from its arrival to its answer. */
struct task {
	struct app *app;
	struct http_request *request;
	struct task_sink *sink;        /* NULL: http_respond */
	const struct route *route;
	struct buf parts[PATH_PARTS_MAX];      /* decoded values of {…}, in order */
	size_t part_count;
	yyjson_doc *doc;               /* the body, where it is JSON; owned */
	struct buf text;               /* scratch that rows point into; does not move once rows are made */
	struct str tenant;             /* X-Brand or the path */
	union {
		struct query query;
		struct catalog_request catalog;
		struct batch batch;
	};
	enum { TASK_PLAIN, TASK_QUERY, TASK_CATALOG, TASK_BATCH, TASK_GATHER } shape;
	void (*after)(struct task *task);      /* the message came back durable */
	struct gather *gather;         /* a question to every shard; owned */
	/* reading the log */
	uv_work_t work;
	void (*read)(struct task *task);       /* on a worker thread */
	void (*read_after)(struct task *task); /* on the loop */
	struct buf out;                /* the answer's body in the making */
	struct buf headers;            /* the answer's further header lines */
	int status;
	void *context;                 /* of the handler; freed by free_context */
	void (*free_context)(void *context);
	uint64_t bytes;
};

struct gather {
	struct query *queries;         /* one a shard */
	unsigned waiting;
};

/* Every table of routes ends with a NULL method. */
extern const struct route past_routes[], statement_routes[];
extern const struct route system_routes[], brand_routes[], ledger_routes[], pos_routes[], snapshot_routes[],
	backup_routes[], audit_routes[], catalog_routes[], job_routes[], reward_routes[], reverse_routes[], explain_routes[];
/* All tables, ended by NULL; made at the first call, on the loop's thread, when all kinds are there. */
const struct route *const *app_surfaces(void);

void app_request(void *app, struct http_request *request);         /* http_options.on_request */
struct task *app_task(struct app *app, struct http_request *request);      /* one that its route's handler will answer */
void app_message(struct app *app, struct message *message);        /* one that node_take gave */
void app_routes_check(void);                                       /* stops the program on a double route */
/* A request of any protocol, of as many bytes, begins and ends; too much at once, and sockets are not read for a while. */
void app_begin(struct app *app, uint64_t bytes);
void app_end(struct app *app, uint64_t bytes);

void system_recovering(struct task *task);         /* answers what comes before the recovery is done */

/* Ways to answer; each ends the task. */
void task_json(struct task *task, int status);                     /* task->out, task->headers */
void task_text(struct task *task, int status, const char *content_type);
void task_problem(struct task *task, int status, const char *code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void task_faults(struct task *task, const struct problem *problem);        /* a filled problem */

/* Ways to go on. */
void task_query(struct task *task, unsigned shard, void (*after)(struct task *));
void task_gather(struct task *task, enum query_kind kind, void (*after)(struct task *));
/* The same with a template for each shard's question, whose inputs are borrowed. */
void task_gather_like(struct task *task, const struct query *like, void (*after)(struct task *));
void task_catalog(struct task *task, void (*after)(struct task *));
void task_batch(struct task *task, void (*after)(struct task *));
void task_read(struct task *task, void (*read)(struct task *), void (*after)(struct task *));

/* What requests have in common; each answers with a problem and returns false where something is wrong. */
bool task_brand(struct task *task);                /* X-Brand into task->tenant */
bool task_brand_path(struct task *task, size_t part);      /* {brand} in the path, checked against X-Brand if that is given */
bool task_body_json(struct task *task);            /* task->doc; 415 and 400 */
bool task_page(struct task *task, size_t *limit, size_t *offset, size_t limit_default, size_t limit_max);
bool task_parameter(struct task *task, const char *name, struct buf *out, bool *found);      /* false: `out` is as it was, or freed */
/* Refuses a query parameter that is none of the words: a filter that is not understood is never ignored. */
bool task_parameters_known(struct task *task, const char *words);
bool task_bool_parameter(struct task *task, const char *name, bool *out);
bool task_name_ok(struct str name);                /* 1..NAME_MAX_BYTES bytes */

#endif
