// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/commands/retention.h"

#include <string.h>

#include "engine/base/hash.h"
#include "engine/event/record.h"

const char *retain_step_checked(struct sim_node *node, struct disk *disk, uint64_t bytes)
{
	bool sync_failed = disk->sync_failed, read_failed = disk->read_failed;
	uint64_t before = wal_first(node->wal);
	sim_retain_step(node);
	disk->sync_failed = sync_failed;                       /* what fails here ends nobody */
	disk->read_failed = read_failed;
	uint64_t first = wal_first(node->wal);
	if (disk->dead || first == before)
		return NULL;
	if (first != before + RETAIN_SEGMENT)
		return "more than one segment at a time";
	if (first + bytes > wal_durable(node->wal))
		return "more is promised";
	return disk_stands(disk, FOLDER_SNAPSHOTS, ".manifest") ? NULL : "if the power went now there would be no snapshot";
}

void log_fill(struct sim_node *node, uint32_t size)
{
	const struct env *env = &node->env;
	const struct record_head head = { .size = size, .type = RECORD_FILLER };
	unsigned char *body;
	if (env->log_credit(env->context, 0, size) != ENV_ROOM)
		return;
	env->log_begin(env->context, 0, size, &body);
	memset(body, 0, size);
	memcpy(body, &head, sizeof head);
	env->log_publish(env->context, 0, env->now_ms(env->context), hash_bytes(body, size));
}
