// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/kinds.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/catalog/action.h"
#include "engine/kinds/kinds.h"

enum { POOL = 6 };

static uint64_t chance(uint64_t *seed, uint64_t below)
{
	return disk_chance(seed, below);
}

/* ---- bodies --------------------------------------------------------------------------------------------------------- */

/* "origin=INTERNAL": whether a document has this value in this field. */
static bool filter_passes(const struct document_model *document, const char *filter)
{
	const char *equals = filter ? strchr(filter, '=') : NULL;
	if (!equals)
		return true;
	struct str name = { filter, (size_t)(equals - filter) };
	return str_eq(json_text(json_get(yyjson_doc_get_root(document->doc), name)), str_of(equals + 1));
}

/* A living document that a reference may name; NULL: there is none. */
static const struct document_model *target_of(const struct oracle *oracle, unsigned tenant, const struct kind *kind,
					      const char *filter, uint64_t *seed)
{
	unsigned start = (unsigned)chance(seed, oracle->document_count + 1);
	for (unsigned k = 0; k < oracle->document_count; k++) {
		const struct document_model *document = &oracle->documents[(start + k) % oracle->document_count];
		if (document->kind == kind->number && document->tenant == tenant && !document->removed &&
		    filter_passes(document, filter))
			return document;
	}
	return NULL;
}

static void reference_write(struct buf *out, const struct field *field, const struct oracle *oracle, unsigned tenant, uint64_t *seed)
{
	const struct kind *kind = kind_by_name(str_of(field->ref_kind));
	ASSERT(kind);
	const struct document_model *target = chance(seed, 8) ? target_of(oracle, tenant, kind, field->ref_filter, seed) : NULL;
	if (target && strcmp(field->ref_key, "id") == 0)
		buf_printf(out, "\"%llu\"", (unsigned long long)target->id);
	else if (target)
		json_write(out, json_get(yyjson_doc_get_root(target->doc), str_of(field->ref_key)));
	else
		buf_lit(out, "\"nothing\"");
}

/* Small numbers, so that they meet; `lucky` is the same for all fields of a body. */
static int64_t number_in(const struct field *field, uint64_t lucky, uint64_t *seed)
{
	uint64_t drawn = chance(seed, 3) ? lucky : chance(seed, POOL);
	if (field->max <= field->min)
		return (int64_t)drawn;
	if (chance(seed, 30) == 0)
		return chance(seed, 2) ? field->min : field->max;
	return field->min + (int64_t)drawn <= field->max ? field->min + (int64_t)drawn : field->max;
}

void field_draw(struct buf *out, const struct field *field, const struct oracle *oracle, unsigned tenant, uint64_t lucky,
		uint64_t *seed)
{
	char text[16];
	unsigned choices = 0;
	if ((field->flags & NULLABLE) && chance(seed, 4) == 0) {
		buf_lit(out, "null");
		return;
	}
	switch (field->type) {
	case FIELD_TEXT:
		snprintf(text, sizeof text, "k-%u", (unsigned)chance(seed, POOL));
		buf_printf(out, "\"%s\"", text);
		return;
	case FIELD_INT:
		/* Short enough that rewards come to their end within a history. */
		buf_printf(out, "%lld", strcmp(field->name, "validity_days") ? (long long)number_in(field, lucky, seed) : 1LL);
		return;
	case FIELD_BOOL: buf_str(out, chance(seed, 3) ? STR("true") : STR("false")); return;
	case FIELD_DECIMAL: buf_printf(out, "%lld", (long long)number_in(field, lucky, seed)); return;
	case FIELD_ENUM:
		while (field->choices[choices])
			choices++;
		buf_printf(out, "\"%s\"", field->choices[chance(seed, choices)]);
		return;
	case FIELD_REF: reference_write(out, field, oracle, tenant, seed); return;
	case FIELD_CONDITION: buf_lit(out, "{\">=\":[{\"var\":\"payload.points\"},3]}"); return;
	case FIELD_ACTIONS: buf_lit(out, "[{\"type\":\"earn_points\",\"points\":1}]"); return;
	case FIELD_SCHEMA: buf_lit(out, "{\"type\":\"object\"}"); return;
	case FIELD_JSON: buf_str(out, field->check ? STR("{}") : chance(seed, 2) ? STR("{\"a\":1}") : STR("{}")); return;
	case FIELD_TEXTS: buf_lit(out, "[\"a\",\"b\"]"); return;
	case FIELD_LIST: buf_lit(out, "[]"); return;
	case FIELD_TIME: buf_printf(out, "\"2026-0%u-01T00:00:00Z\"", 1 + (unsigned)chance(seed, POOL)); return;
	case FIELD_TYPES: break;
	}
	ASSERT(!"a type of fields that the generator does not know");
}

/* A value that the field cannot have, whatever else is there. */
static void bad_write(struct buf *out, const struct field *field, uint64_t *seed)
{
	bool bounded = field->max > field->min;
	switch (field->type) {
	case FIELD_TEXT:
		if (bounded && field->max < 250 && chance(seed, 2)) {
			buf_char(out, '"');
			for (int64_t i = 0; i <= field->max; i++)
				buf_char(out, 'x');
			buf_char(out, '"');
			return;
		}
		break;
	case FIELD_INT:
		if (bounded && chance(seed, 2)) {
			buf_printf(out, "%lld", (long long)(chance(seed, 2) ? field->min - 1 : field->max + 1));
			return;
		}
		break;
	case FIELD_ENUM:
	case FIELD_TIME: buf_lit(out, "\"NEVER\""); return;
	case FIELD_CONDITION: buf_lit(out, "{\"no such thing\":[1,2,3]}"); return;
	default: break;
	}
	buf_str(out, field->type == FIELD_BOOL ? STR("\"yes\"") : field->type == FIELD_TEXT || field->type == FIELD_REF ? STR("{}")
		   : STR("true"));
}

/* True: there is something in it that no document of the kind may have. */
static bool body_write(struct buf *out, const struct kind *kind, bool patch, const struct oracle *oracle, unsigned tenant,
		       uint64_t *seed)
{
	bool spoiled = false;
	uint64_t lucky = chance(seed, POOL);
	buf_char(out, '{');
	for (const struct field *field = kind->fields; field->name; field++) {
		bool required = (field->flags & REQUIRED) && !patch, there = chance(seed, required ? 40 : patch ? 3 : 2);
		if (patch && (field->flags & IMMUTABLE))
			there = chance(seed, 20) == 0;
		if (field->flags & READONLY)
			there = chance(seed, 60) == 0;
		if (required && !there)
			spoiled = true;
		if (!there || out->len > BODY - 300)
			continue;
		buf_printf(out, "%s\"%s\":", out->len > 1 ? "," : "", field->name);
		if (field->flags & READONLY || chance(seed, 30) == 0) {
			bad_write(out, field, seed);
			spoiled = true;
		} else {
			field_draw(out, field, oracle, tenant, lucky, seed);
		}
	}
	if (chance(seed, 40) == 0) {
		buf_printf(out, "%s\"nobody_knows\":1", out->len > 1 ? "," : "");
		spoiled = true;
	}
	buf_char(out, '}');
	return spoiled;
}

/* All kinds but those of the rules' model. */
static const struct kind *kind_draw(uint64_t *seed)
{
	size_t count = 0;
	while (kind_at(count))
		count++;
	for (;;) {
		const struct kind *kind = kind_at(chance(seed, count));
		if (kind->number != KIND_EVENT_TYPE && kind->number != KIND_RULE)
			return kind;
	}
}

/* What the engine itself remembers of a job: one number, which takes the place of the last one. */
static void remember_op(struct op *op, uint64_t *seed, const struct oracle *oracle)
{
	const struct document_model *job = target_of(oracle, op->tenant, &kind_internal_job, NULL, seed);
	op->catalog_kind = KIND_INTERNAL_JOB;
	op->document = job ? job->id : 1 + chance(seed, 60);
	op->verb = CATALOG_REMEMBER;
	op->match = job && chance(seed, 3) == 0 ? job->version + chance(seed, 2) : 0;
	op->count = 1;
	snprintf(op->body, OP_BODY, "{\"seen\":%u}", (unsigned)chance(seed, 1000000));
}

void document_op(struct op *op, uint64_t *seed, const struct oracle *oracle)
{
	static const enum catalog_verb asking[] = { CATALOG_LIST, CATALOG_LIST, CATALOG_AUDIT, CATALOG_COPY, CATALOG_DUE };
	const struct kind *kind = kind_draw(seed);
	struct buf body = { 0 };
	unsigned what = (unsigned)chance(seed, 100);
	op->catalog_kind = kind->number;
	op->tenant = (unsigned)chance(seed, 2);
	if (chance(seed, 25) == 0) {
		remember_op(op, seed, oracle);
		return;
	}
	const struct document_model *target = target_of(oracle, op->tenant, kind, NULL, seed);
	op->document = target && chance(seed, 20) ? target->id : 1 + chance(seed, 60);
	op->verb = what < 40 || (!target && what < 80) ? CATALOG_CREATE : what < 70 ? CATALOG_PATCH : what < 82 ? CATALOG_REMOVE
		 : what < 90 ? CATALOG_GET : asking[chance(seed, sizeof asking / sizeof *asking)];
	const struct configs *configs = &oracle->configs[op->tenant];
	unsigned alive = 0;
	for (unsigned i = 0; i < oracle->document_count; i++)
		alive += oracle->documents[i].kind == kind->number && oracle->documents[i].tenant == op->tenant &&
			 !oracle->documents[i].removed;
	if (op->verb == CATALOG_CREATE && alive > ITEMS_MAX / 3)
		op->verb = CATALOG_PATCH;      /* some more may be under way */
	if ((oracle->document_count > DOCUMENTS_MAX - 80 || configs->count > CONFIGS_MAX - 40) && op->verb < CATALOG_GET)
		op->verb = CATALOG_GET;        /* enough of it */
	bool changes = op->verb == CATALOG_PATCH || op->verb == CATALOG_REMOVE;
	if (op->verb == CATALOG_CREATE || op->verb == CATALOG_PATCH)
		op->spoiled = body_write(&body, kind, op->verb == CATALOG_PATCH, oracle, op->tenant, seed);
	if (changes && target && target->id == op->document && chance(seed, 3) == 0)
		op->match = chance(seed, 4) ? target->version : target->version + chance(seed, 3) + 1;
	op->dry = op->verb <= CATALOG_REMOVE && chance(seed, 15) == 0;
	op->count = 1;
	ASSERT(body.len < BODY);
	if (body.len)
		memcpy(op->body, body.ptr, body.len);
	buf_free(&body);
}

/* ---- what a document must be ----------------------------------------------------------------------------------------- */

/* Numbers and texts in their one form; times, conditions and the like may be written another way than they were given. */
static bool plain(enum field_type type)
{
	return type == FIELD_TEXT || type == FIELD_INT || type == FIELD_BOOL || type == FIELD_ENUM || type == FIELD_REF;
}

static bool same(yyjson_val *a, yyjson_val *b)
{
	struct buf one = { 0 }, other = { 0 };
	if (!a || !b)
		return a == b;
	json_write(&one, a);
	json_write(&other, b);
	bool equal = str_eq(buf_view(&one), buf_view(&other));
	buf_free(&one);
	buf_free(&other);
	return equal;
}

static bool is_text(yyjson_val *value, const char *json)
{
	struct buf text = { 0 };
	if (value)
		json_write(&text, value);
	bool equal = value && str_eq(buf_view(&text), str_of(json));
	buf_free(&text);
	return equal;
}

static const char *field_differs(const struct field *field, yyjson_val *asked, yyjson_val *before, yyjson_val *is)
{
	if (asked && yyjson_is_null(asked))
		asked = before = NULL;         /* taken away: as if it had never been given */
	if (field->flags & (WRITEONLY | READONLY))
		return NULL;
	if (!asked && !before)
		return field->fallback ? (!plain(field->type) || is_text(is, field->fallback) ? NULL : "a default")
		     : (field->flags & NULLABLE) ? (yyjson_is_null(is) ? NULL : "what was not given") : is ? "what was not given" : NULL;
	if (!asked)
		return same(before, is) ? NULL : "what was not touched";
	return !plain(field->type) || same(asked, is) ? NULL : "what was given";
}

const char *document_differs(const struct op *op, const struct document_model *before, const struct catalog_change *change)
{
	const struct kind *kind = kind_by_number(change->kind);
	const char *differs = NULL;
	struct json_error error;
	char actor[ACTOR_TEXT];
	op_actor(op, actor);
	if (op->catalog_kind != change->kind || op->dry || !str_eq(change->actor, str_of(actor)))
		return "nobody asked";
	if (change->op == CATALOG_DELETE)
		return op->verb == CATALOG_REMOVE && op->document == change->id && (!op->match || op->match == before->version)
		     ? NULL : "nobody asked to remove it";
	if (before ? op->verb != CATALOG_PATCH || op->document != change->id || (op->match && op->match != before->version)
		   : op->verb != CATALOG_CREATE)
		return "nobody asked";
	if (op->spoiled)
		return "it must be refused";
	yyjson_doc *asked = json_read(str_of(op->body), &error), *is = json_read(change->json, &error);
	ASSERT(asked && is);
	for (const struct field *field = kind->fields; field->name && !differs; field++)
		differs = field_differs(field, json_get(yyjson_doc_get_root(asked), str_of(field->name)),
					before ? json_get(yyjson_doc_get_root(before->doc), str_of(field->name)) : NULL,
					json_get(yyjson_doc_get_root(is), str_of(field->name)));
	yyjson_doc_free(asked);
	yyjson_doc_free(is);
	return differs;
}

static yyjson_val *value_of(const struct document_model *document, const char *name)
{
	return json_get(yyjson_doc_get_root(document->doc), str_of(name));
}

static bool refers_well(const struct oracle *oracle, const struct document_model *from, const struct field *field, yyjson_val *value)
{
	const struct kind *kind = kind_by_name(str_of(field->ref_kind));
	char id[24];
	if (!value || yyjson_is_null(value))
		return true;
	for (unsigned i = 0; i < oracle->document_count; i++) {
		const struct document_model *to = &oracle->documents[i];
		if (to->removed || to->tenant != from->tenant || to->kind != kind->number)
			continue;
		snprintf(id, sizeof id, "%llu", (unsigned long long)to->id);
		if (strcmp(field->ref_key, "id") == 0 ? str_eq(json_text(value), str_of(id)) : same(value, value_of(to, field->ref_key)))
			return true;
	}
	return false;
}

/* What the actions of a rule name is there as well. */
static bool actions_refer_well(const struct oracle *oracle, const struct document_model *rule)
{
	size_t i, max;
	yyjson_val *action;
	yyjson_arr_foreach(value_of(rule, "actions"), i, max, action) {
		unsigned type = 0;
		while (type < ACTION_TYPES && !str_eq(json_text(json_get(action, STR("type"))), str_of(action_kinds[type].name)))
			type++;
		for (const struct field *field = type < ACTION_TYPES ? action_kinds[type].args : NULL; field && field->name; field++)
			if (field->type == FIELD_REF && !refers_well(oracle, rule, field, json_get(action, str_of(field->name))))
				return false;
	}
	return true;
}

static int64_t number_of(const struct document_model *document, const char *name)
{
	int64_t number = -1;
	json_int(value_of(document, name), &number);
	return number;
}

/* Ranks and thresholds rise together, and both begin at 0. */
static bool tiers_rise(const struct document_model *a, const struct document_model *b)
{
	int64_t rank = number_of(a, "rank") - number_of(b, "rank");
	int64_t points = number_of(a, "min_status_points") - number_of(b, "min_status_points");
	return rank != 0 && points != 0 && (rank < 0) == (points < 0) &&
	       !number_of(a, "rank") == !number_of(a, "min_status_points");
}

const char *documents_break(const struct oracle *oracle, unsigned tenant)
{
	for (unsigned i = 0; i < oracle->document_count; i++) {
		const struct document_model *document = &oracle->documents[i];
		const struct kind *kind = kind_by_number(document->kind);
		if (document->removed || document->tenant != tenant)
			continue;
		for (const struct field *field = kind->fields; field->name; field++)
			if (field->type == FIELD_REF && !refers_well(oracle, document, field, value_of(document, field->name)))
				return "a document refers to one that is not there";
		if (kind == &kind_rule && !actions_refer_well(oracle, document))
			return "an action refers to a document that is not there";
		for (unsigned j = 0; j < i; j++) {
			const struct document_model *other = &oracle->documents[j];
			if (other->removed || other->tenant != tenant || other->kind != document->kind)
				continue;
			for (const char *const *name = kind->unique; name && *name; name++)
				if (value_of(document, *name) && !yyjson_is_null(value_of(document, *name)) &&
				    same(value_of(document, *name), value_of(other, *name)))
					return "two documents have what is unique";
			if (kind == &kind_loyalty_tier && !tiers_rise(document, other))
				return "ranks and thresholds of tiers do not rise together";
		}
	}
	return NULL;
}
