// SPDX-License-Identifier: Apache-2.0
/* program.h - the compiled form of a rule: a tree of nodes of one cache line each, in one block with all that they
 * point to.
 *
 * Internal to engine/rule. Immutable after rule_compile. The children of a node lie side by side. A list of constants
 * is a constant; its `steps` are those of all that was folded into it, so that the bounds do not depend on the form.
 */
#ifndef ENGINE_RULE_PROGRAM_H
#define ENGINE_RULE_PROGRAM_H

#include "engine/rule/value.h"

struct segment {                       /* of a path, between two dots */
	struct str key;
	size_t index;                  /* the key as a position in a list, SIZE_MAX where it is none */
};

struct node {
	uint16_t op;                   /* enum op */
	uint16_t count;                /* children; operands of a strict operator */
	uint32_t steps;                /* that evaluating this node itself costs */
	const struct node *children;
	union {
		struct rule_value constant;    /* OP_CONST */
		struct {                       /* OP_VAR_PATH; a child is the default */
			struct str path;
			const struct segment *segments;
			size_t segment_count;
		};
	};
};

struct rule {
	const struct node *root;
	yyjson_doc *literals;          /* owned; NULL where no object is a constant */
};

#endif
