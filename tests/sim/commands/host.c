// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/commands/host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "engine/shard/ledger.h"
#include "net/loop/server.h"
#include "net/main/filer.h"
#include "net/main/pins.h"
#include "net/rpc/methods.h"
#include "net/surface/jobs.h"
#include "net/surface/ledger_call.h"
#include "snapshot/store.h"

static struct host *host_here;         /* the one there is */

/* ---- net/main/node.h ---------------------------------------------------------------------------------------------------------- */

const struct env *node_env(struct node *node)
{
	return &node->sim->env;
}

struct wal *node_wal(struct node *node)
{
	return node->sim->wal;
}

unsigned node_shards(const struct node *node)
{
	return node->sim->shard_count;
}

void node_post(struct node *node, unsigned shard, struct message *message)
{
	node->sim->env.post(node->sim, shard, message);
}

const char *node_snapshot_dir(const struct node *node)
{
	(void)node;
	return "snapshots";
}

struct footers *node_footers(struct node *node)
{
	return node->sim->footers;
}

struct filer *node_filer(struct node *node)
{
	(void)node;
	return NULL;                   /* it would only be asked for the following */
}

bool filer_kept(struct filer *filer, uint64_t hash, uint64_t lsn, struct id_kept *kept)
{
	(void)filer;
	return sim_ids_kept(host_here->node.sim, hash, lsn, kept);
}

/* ---- what else the surfaces call ---------------------------------------------------------------------------------------------- */

void server_pause_reading(struct server *server, bool paused)
{
	(void)server;
	host_here->paused = paused;
}

uint64_t uv_hrtime(void)
{
	return host_here ? host_here->disk->now_ns : 0;
}

int uv_queue_work(uv_loop_t *loop, uv_work_t *work, uv_work_cb run, uv_after_work_cb after)
{
	struct host *host = host_here;
	ASSERT(loop == host->app.loop);
	if (host->work_count == host->work_cap) {
		host->work_cap = host->work_cap ? 2 * host->work_cap : 16;
		host->works = mem_realloc(host->works, host->work_cap * sizeof *host->works);
	}
	host->works[host->work_count++] = (struct work){ work, run, after, false };
	return 0;
}

bool host_work(struct host *host, uint64_t *seed)
{
	if (!host->work_count)
		return false;
	size_t at = disk_chance(seed, host->work_count);
	struct work *work = &host->works[at];
	if (!work->ran) {
		uv_work_cb run = work->run;
		work->ran = true;
		run(work->work);
		return true;
	}
	struct work done = *work;
	host->works[at] = host->works[--host->work_count];
	done.after(done.work, 0);
	return true;
}

/* ---- snapshots ----------------------------------------------------------------------------------------------------------------- */

bool keeper_start(struct keeper *keeper, keeper_done *done, void *context)
{
	struct host *host = host_here;
	(void)keeper;
	if (host->node.sim->writer)
		return false;
	host->told = done;
	host->told_context = context;
	sim_snapshot_begin(host->node.sim, host->snapshot_keep, host->snapshot_piece, 0);
	return true;
}

bool host_snapshot_step(struct host *host)
{
	struct sim_node *node = host->node.sim;
	struct snapshot_outcome outcome = { 0 };
	bool good = false, waited = node->writer_waits;
	if (!node->writer)
		return false;
	if (!sim_snapshot_step(node, &outcome, &good))
		return !waited || !node->writer_waits;
	if (host->disk->dead)
		return true;           /* nobody hears of it */
	outcome.took_ns = outcome.longest_ns = 0;
	if (!good && !node->writer_error.len)
		buf_lit(&node->writer_error, "?");
	host->told(host->told_context, &outcome, good ? STR("") : buf_view(&node->writer_error));
	return true;
}

/* ---- backups: the table of net/main/pins.c, over copies of the disk's files ------------------------------------------------------ */

struct held { struct pin pin; unsigned char **bytes; };

struct pins { struct held *list[PINS_MAX]; size_t count; int making; uint64_t next; };

static struct pins pins_here;

static void held_free(struct held *held)
{
	for (size_t i = 0; i < held->pin.count; i++)
		mem_free(held->bytes[i]);
	mem_free(held->bytes);
	mem_free(held->pin.files);
	mem_free(held);
}

struct pin *pin_collect(const char *data, uint64_t (*durable)(void *context), void *context, struct buf *error)
{
	struct disk *disk = host_here->disk;
	struct held *held = mem_zalloc(sizeof *held);
	struct pin *pin = &held->pin;
	held->bytes = mem_zalloc(DISK_FILES * sizeof *held->bytes);
	(void)data, (void)error;
	*pin = (struct pin){ .id = 0xa1 + pins_here.next++, .time_ms = disk->wall_ms, .born_ns = disk->now_ns, .used_ns = disk->now_ns };
	pin->files = mem_zalloc(DISK_FILES * sizeof *pin->files);
	for (unsigned i = 0; i < DISK_FILES; i++) {
		const struct disk_entry *entry = &disk->live[i];
		if (entry->inode < 0 || entry->folder != FOLDER_LOG || !strstr(entry->name, ".log"))
			continue;
		const struct disk_inode *inode = &disk->inodes[entry->inode];
		struct pin_file *file = &pin->files[pin->count];
		snprintf(file->path, sizeof file->path, "log/%s", entry->name);
		file->bytes = file->size = inode->size;
		held->bytes[pin->count++] = mem_dup(inode->live, inode->size);
	}
	pin->end = durable(context);
	pin->first = wal_first(host_here->node.sim->wal);
	return pin;
}

const struct pin_file *pin_find(const struct pin *pin, struct str path)
{
	for (size_t i = 0; i < pin->count; i++)
		if (str_eq(str_of(pin->files[i].path), path))
			return &pin->files[i];
	return NULL;
}

static const unsigned char *pinned(uint64_t id, const char *path)
{
	for (size_t p = 0; p < pins_here.count; p++) {
		const struct held *held = pins_here.list[p];
		for (size_t i = 0; held->pin.id == id && i < held->pin.count; i++)
			if (!strcmp(held->pin.files[i].path, path))
				return held->bytes[i];
	}
	return NULL;
}

int pin_read(const char *data, uint64_t id, const char *path, uint64_t offset, size_t size, void *out)
{
	const unsigned char *bytes = pinned(id, path);
	(void)data;
	if (!bytes)
		return ENOENT;
	if (size)
		memcpy(out, bytes + offset, size);
	return 0;
}

int pin_hash(const char *data, uint64_t id, const char *path, uint64_t offset, uint64_t size, uint8_t hash[16])
{
	const unsigned char *bytes = pinned(id, path);
	(void)data;
	if (!bytes)
		return ENOENT;
	uint64_t half = hash_bytes(bytes + offset, size);
	memcpy(hash, &half, sizeof half);
	memcpy(hash + 8, &half, sizeof half);
	return 0;
}

bool pins_room(const struct pins *pins)
{
	return pins->count + (size_t)pins->making < PINS_MAX;
}

void pins_making(struct pins *pins, int change)
{
	pins->making += change;
}

void pins_add(struct pins *pins, struct pin *pin)
{
	ASSERT(pins->count < PINS_MAX);
	pins->list[pins->count++] = (struct held *)pin;        /* its first member */
}

struct pin *pins_use(struct pins *pins, uint64_t id)
{
	for (size_t i = 0; i < pins->count; i++)
		if (pins->list[i]->pin.id == id) {
			pins->list[i]->pin.used_ns = host_here->disk->now_ns;
			return &pins->list[i]->pin;
		}
	return NULL;
}

size_t pins_count(const struct pins *pins)
{
	return pins->count;
}

const struct pin *pins_at(const struct pins *pins, size_t index)
{
	return &pins->list[index]->pin;
}

void pins_drop(struct pins *pins, uint64_t id)
{
	for (size_t i = 0; i < pins->count; i++)
		if (pins->list[i]->pin.id == id) {
			held_free(pins->list[i]);
			pins->list[i] = pins->list[--pins->count];
			return;
		}
}

void pin_links_sweep(const char *data)
{
	(void)data;                    /* what is pinned is in memory here, and goes with the process */
}

static void pins_end(void)
{
	while (pins_here.count)
		pins_drop(&pins_here, pins_here.list[0]->pin.id);
	pins_here = (struct pins){ 0 };
}

/* ---- lives ------------------------------------------------------------------------------------------------------------------------ */

void host_begin(struct host *host, struct sim_node *sim, struct disk *disk, bool scheduler)
{
	static uv_loop_t loop;
	*host = (struct host){ .disk = disk, .snapshot_keep = 1 };
	host_here = host;
	host->options = (struct options){ .data = (char *)(uintptr_t)"data", .rows_max = 100, .expiry_interval = 60,
					  .customers = CUSTOMERS_AUTO };
	host->node.sim = sim;
	host->app = (struct app){ .loop = &loop, .node = &host->node, .pins = &pins_here, .options = &host->options, .ready = true,
				  .started_ns = disk->now_ns };
	jobs_start(&host->app, scheduler);
}

void host_lost(struct host *host)
{
	ledger_calls_end();
	rpc_events_end();
	mem_free(host->works);
	pins_end();
	host_here = NULL;
}

void host_forget(void)
{
	ledger_calls_end();
	rpc_events_end();
	pins_end();
	host_here = NULL;
}

void host_end(struct host *host)
{
	ASSERT(host_idle(host) && !host->app.tasks);
	jobs_free(&host->app);
	ledger_request_free(&host->expiry);
	host_lost(host);
}

bool host_take(struct host *host)
{
	struct message *message = sim_node_take(host->node.sim);
	if (message)
		app_message(&host->app, message);
	return message != NULL;
}

static void on_expired(struct ledger_request *request)
{
	struct host *host = request->context;
	host->expiring = false;
}

void host_tick(struct host *host)
{
	struct sim_node *node = host->node.sim;
	jobs_tick(&host->app);
	for (size_t i = pins_here.count; i-- > 0;)
		if (host->disk->now_ns - pins_here.list[i]->pin.used_ns > PIN_LEASE_S * UINT64_C(1000000000))
			pins_drop(&pins_here, pins_here.list[i]->pin.id);
	if (host->expiring || !ledger_expiry_due(node->shards, node->shard_count, node->env.now_ms(node)))
		return;
	host->expiring = true;
	ledger_request_reuse(&host->expiry);
	host->expiry.verb = LEDGER_EXPIRE;
	host->expiry.context = host;
	host->expiry.after = on_expired;
	ledger_start(&host->expiry, &node->env);
}

bool host_idle(const struct host *host)
{
	const struct sim_node *node = host->node.sim;
	bool idle = !host->work_count && !host->expiring && !node->done && !node->writer && !jobs_busy(&host->app) &&
		    wal_appended(node->wal) == wal_durable(node->wal);
	for (unsigned s = 0; s < node->shard_count; s++)
		idle &= !node->awake[s];
	return idle;
}
