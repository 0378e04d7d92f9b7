// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

void scene_serve(struct scene *scene)
{
	process_serve(&scene->process, &scene->shards, scene->options, &scene->connection);
}

void scene_begin(struct scene *scene, const char *library, const char *const *options)
{
	*scene = (struct scene){ .shards = 4, .seed = share_seed(), .options = options };
	folder_make(scene->process.folder);
	snprintf(scene->data, sizeof scene->data, "%s/data", scene->process.folder);
	snprintf(scene->archive, sizeof scene->archive, "%s/archive", scene->process.folder);
	scene->page = injection_open(&scene->process, library);
	scene_serve(scene);
	journal_configure(&scene->journal, &scene->connection);
}

void scene_end(struct scene *scene)
{
	connection_close(&scene->connection);
	process_kill(&scene->process);
	injection_close(scene->page);
	journal_free(&scene->journal);
	folder_remove(scene->process.folder);
}

void dump_read(const char *data, bool log_only, struct buf *text)
{
	const char *words[] = { "dump", data, log_only ? "--log-only" : NULL, NULL };
	text->len = 0;
	if (program_run(words, text) != 0)
		fail_msg("tally dump: %.*s", (int)text->len, text->ptr);
}

static void head_show(const struct buf *text)
{
	print_error("%.*s\n", (int)(text->len < 2000 ? text->len : 2000), text->ptr);
}

void dumps_compare(const struct scene *scene)
{
	struct buf with = { 0 }, without = { 0 };
	dump_read(scene->data, false, &with);
	dump_read(scene->data, true, &without);
	if (with.len != without.len || memcmp(with.ptr, without.ptr, with.len) != 0) {
		head_show(&with);
		head_show(&without);
		fail_msg("the state with snapshots and runs of ids is another than that of the log alone");
	}
	buf_free(&with);
	buf_free(&without);
}
