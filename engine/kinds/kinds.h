// SPDX-License-Identifier: Apache-2.0
/* kinds.h - the descriptors of the product's kinds, one file each.  What they mean is in engine/catalog/kind.h.
 *
 * A kind is found by number, name or path; only kinds.c names these.
 */
#ifndef ENGINE_KINDS_KINDS_H
#define ENGINE_KINDS_KINDS_H

#include "engine/catalog/kind.h"

enum { KIND_JSON_MAX = 64 * 1024 };    /* bytes of a condition, a schema or an object */

extern const struct kind kind_event_type, kind_rule, kind_reward, kind_loyalty_tier, kind_bonus_definition, kind_campaign,
	kind_internal_job;

#endif
