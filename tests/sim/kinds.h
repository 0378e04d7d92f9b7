// SPDX-License-Identifier: Apache-2.0
/* kinds.h - requests about configuration of every kind there is, made out of the kinds' own tables: a kind or a field that is
 * declared is exercised from then on.
 *
 * Event types and rules, which the model of the rules must understand, are made in work.c and actions.c; everything else here: bodies that are
 * good, bodies with one thing wrong, conditions on versions, dry runs.  And what must be true of the documents in the log, said
 * once more, naively: each is what somebody asked for, put over what was there; what is unique is so; what is referred to is there.
 */
#ifndef TESTS_SIM_KINDS_H
#define TESTS_SIM_KINDS_H

#include "tests/sim/oracle.h"

/* Fills verb, kind, document, body and conditions of an op of kind OP_DOCUMENT. */
void document_op(struct op *op, uint64_t *seed, const struct oracle *oracle);

/* A value that the field may have; `lucky`: a small number that several fields share. */
void field_draw(struct buf *out, const struct field *field, const struct oracle *oracle, unsigned tenant, uint64_t lucky,
		uint64_t *seed);

/* Whether a document that became `json` (empty: was removed) may come from this op; `before` is NULL where there was none.
 * NULL: yes; else what is wrong. */
const char *document_differs(const struct op *op, const struct document_model *before, const struct catalog_change *change);

/* NULL, or which of the documents' own laws this tenant's documents break. */
const char *documents_break(const struct oracle *oracle, unsigned tenant);

#endif
