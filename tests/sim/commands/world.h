// SPDX-License-Identifier: Apache-2.0
/* world.h - a small world that is always the same, behind the product's surfaces on a simulated node, and requests to it as text.
 *
 * A request is
 *
 *     transactions.reverse/$3?dry_run=true        an operation by its name, HEAD in front where that is meant; the parts of its path; a query
 *     X-Brand: BRAND_A                            headers
 *                                                 an empty line
 *     {"policy":"left"}                           its body, any bytes
 *
 * and several are parted by lines "---".  $0 to $9 is the id that the answer to that request of the row showed, $A to $Z that of the
 * world's own requests.  A name that no operation has stands for some operation, so any bytes are requests.  A body is JSON where
 * no Content-Type says otherwise.  What frames a request (Host, Content-Length, Transfer-Encoding ...) is the world's to say.
 *
 * Each request is sent alone, and these are held for it, or the program aborts with a line:
 *   - it is answered, once, with a status and a code that its operation lists, and never by 5xx: no fault is made here
 *   - an answer that says it is JSON is; a problem is one (RFC 9457), with its own status in it
 *   - it leaves when the log is durable behind it
 *   - what is refused (and burns no id), asks or is dry leaves the state as it was
 * and when the world is closed: nothing is counted that is gone, and every book sums to zero.
 *
 * One world at a time, on one thread.
 */
#ifndef TESTS_SIM_COMMANDS_WORLD_H
#define TESTS_SIM_COMMANDS_WORLD_H

#include "engine/base/buf.h"
#include "net/surface/reference.h"
#include "tests/sim/commands/generate.h"

struct world_answer {
	const struct reference *reference;     /* that answered; NULL: of no route */
	bool head, dry_run;
	int status;
	char code[64], id[112];        /* "" where there is none */
	struct buf headers, body;      /* headers: lines, each ended by "\r\n" */
};

/* Once: the first state of every world, made by these requests, all of which must come to a 2xx.  `learns`: may be NULL; hears of
 * the answers. */
void world_make(const char *requests, struct generator *learns);

void world_open(void);
/* `check`: that another node, made from the files, holds the same state. */
void world_close(bool check);

/* The first request of *rest, which moves behind it; false: there is none any more. */
bool world_next(struct str *rest, struct str *request);
/* Good until the next one. */
const struct world_answer *world_ask(struct str request);
/* A header of the answer; "" where absent. */
struct str world_header(const struct world_answer *answer, const char *name);
/* Whether something was done since the world was opened: else it is as good as new, but for its clock. */
bool world_changed(void);
void world_again(void);        /* the next row of requests, in the same world */

/* A generated request as text. */
void world_text(const struct request *request, struct buf *out);

#endif
