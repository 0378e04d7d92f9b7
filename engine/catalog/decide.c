// SPDX-License-Identifier: Apache-2.0
/* decide.c - may this document be created, changed, deleted?  Pure: reads the catalog, answers with a change or a
 * problem.
 *
 * Order of refusals: the body as such (422), its brand (400), each field (422), references (400), what is unique (409),
 * what the kind itself checks.
 */
#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "engine/catalog/action.h"
#include "engine/catalog/catalog.h"

enum { USERS_NAMED_MAX = 10 };

static enum catalog_status status_of(const struct problem *problem)
{
	switch (problem->status) {
	case 0: return CATALOG_OK;
	case 400: return CATALOG_REFUSED;
	case 404: return CATALOG_NOT_FOUND;
	case 409: return CATALOG_CONFLICT;
	default: return CATALOG_INVALID;
	}
}

static void invalid(const struct kind *kind, struct problem *problem)
{
	const struct fault *first = &problem->faults.list[0];
	size_t others = problem->faults.count + problem->faults.more - 1;
	ASSERT(problem->faults.count);
	if (others)
		problem_set(problem, 422, "invalid", "this is not a valid %s: %s: %s (and %zu more)", kind->title,
			    first->pointer, first->detail, others);
	else
		problem_set(problem, 422, "invalid", "this is not a valid %s: %s: %s", kind->title, first->pointer,
			    first->detail);
}

static bool body_check(struct str tenant, const struct kind *kind, yyjson_val *body, struct problem *problem)
{
	if (!yyjson_is_obj(body)) {
		faults_add(&problem->faults, "", "expected an object, got %s", json_type_name(body));
		invalid(kind, problem);
		return false;
	}
	yyjson_val *brand = json_get(body, STR("brand"));
	if (!brand || yyjson_is_null(brand))
		return true;
	if (!yyjson_is_str(brand)) {
		faults_add(&problem->faults, "/brand", "expected a text, got %s", json_type_name(brand));
		invalid(kind, problem);
	} else if (!str_eq(json_text(brand), tenant)) {
		struct str named = json_text(brand);
		problem_set(problem, 400, "brand_mismatch", "the body names brand \"%.*s\", the request brand \"%.*s\"",
			    text_cut(named, 80), named.ptr, text_cut(tenant, 80), tenant.ptr);
	}
	return !problem->status;
}

static void member_begin(struct buf *out, struct str name)
{
	if (out->ptr[out->len - 1] != '{')
		buf_char(out, ',');
	buf_json_text(out, name);
	buf_char(out, ':');
}

/* Fields in the order of the table, defaults included. */
static void canonical_write(struct buf *out, const struct kind *kind, yyjson_val *body)
{
	buf_char(out, '{');
	for (const struct field *field = kind->fields; field->name; field++) {
		yyjson_val *value = json_get(body, str_of(field->name));
		if ((!value && !field->fallback && !(field->flags & NULLABLE)) || (field->flags & WRITEONLY))
			continue;
		member_begin(out, str_of(field->name));
		if (value)
			field_write(out, field, value);
		else
			buf_str(out, field->fallback ? str_of(field->fallback) : STR("null"));
	}
	buf_char(out, '}');
}

static bool value_same(yyjson_val *a, yyjson_val *b)
{
	struct buf left = { 0 }, right = { 0 };
	if (!a || !b)
		return a == b;
	if (yyjson_is_str(a) && yyjson_is_str(b))
		return str_eq(json_text(a), json_text(b));
	json_write(&left, a);
	json_write(&right, b);
	bool same = str_eq(buf_view(&left), buf_view(&right));
	buf_free(&left);
	buf_free(&right);
	return same;
}

static yyjson_val *fields_of(const struct document *document)
{
	return document ? yyjson_doc_get_root(document->doc) : NULL;
}

/* ---- references ------------------------------------------------------------------------------------------------------ */

typedef void ref_fn(void *context, const struct field *field, struct str key);

static void refs_in(const struct field *fields, yyjson_val *object, ref_fn *each, void *context)
{
	for (const struct field *field = fields; field->name; field++) {
		yyjson_val *value = json_get(object, str_of(field->name));
		if (field->type == FIELD_REF && yyjson_is_str(value))
			each(context, field, json_text(value));
	}
}

/* Every reference of a document: its own fields and those of its actions, in their order. */
static void refs_each(const struct kind *kind, yyjson_val *document, ref_fn *each, void *context)
{
	size_t i, max;
	yyjson_val *action;
	refs_in(kind->fields, document, each, context);
	for (const struct field *field = kind->fields; field->name; field++) {
		yyjson_val *actions = field->type == FIELD_ACTIONS ? json_get(document, str_of(field->name)) : NULL;
		yyjson_arr_foreach(actions, i, max, action)
			refs_in(action_args(action), action, each, context);
	}
}

/* Whether a document refers to this one. */
struct ref_search {
	const struct kind *target;
	const char *ref_key;           /* NULL: by any; with `key` */
	struct str key;
	const struct document *document;       /* where ref_key is NULL */
	bool found;
};

static void ref_search(void *context, const struct field *field, struct str key)
{
	struct ref_search *search = context;
	uint64_t id;
	if (!str_eq(str_of(field->ref_kind), str_of(search->target->name)))
		return;
	if (search->ref_key)
		search->found |= strcmp(field->ref_key, search->ref_key) == 0 && str_eq(key, search->key);
	else if (strcmp(field->ref_key, "id") == 0)
		search->found |= catalog_id_parse(key, &id) && id == search->document->id;
	else
		search->found |= str_eq(key, json_text(document_value(search->document, field->ref_key)));
}

struct ref_check {
	const struct catalog *catalog;
	struct str tenant;
	const struct document *before;
	struct problem *problem;
};

/* "origin=INTERNAL": the document's text field `origin` says so. */
static bool filter_fits(const struct document *document, const char *filter)
{
	const char *value = strchr(filter, '=');
	char name[64];
	ASSERT(value && (size_t)(value - filter) < sizeof name);
	memcpy(name, filter, (size_t)(value - filter));
	name[value - filter] = 0;
	return str_eq(json_text(document_value(document, name)), str_of(value + 1));
}

/* A reference that a patch leaves as it is stays good: a rule of a deactivated event type can still be switched off. */
static void ref_check(void *context, const struct field *field, struct str key)
{
	struct ref_check *check = context;
	const struct kind *target = kind_by_name(str_of(field->ref_kind));
	ASSERT(target);
	if (check->problem->status)
		return;
	if (check->before) {
		struct ref_search search = { .target = target, .ref_key = field->ref_key, .key = key };
		refs_each(check->before->kind, fields_of(check->before), ref_search, &search);
		if (search.found)
			return;
	}
	const struct document *found = catalog_find(check->catalog, check->tenant, target, field->ref_key, key);
	if (!found)
		problem_set(check->problem, 400, field->ref_unknown, "there is no %s with %s \"%.*s\"", target->title,
			    field->ref_key, text_cut(key, 100), key.ptr);
	else if (field->ref_inactive && yyjson_is_false(document_value(found, "active")))
		problem_set(check->problem, 400, field->ref_inactive, "the %s with %s \"%.*s\" is not active",
			    target->title, field->ref_key, text_cut(key, 100), key.ptr);
	else if (field->ref_mismatch && !filter_fits(found, field->ref_filter))
		problem_set(check->problem, 400, field->ref_mismatch, "the %s with %s \"%.*s\" does not have %s", target->title,
			    field->ref_key, text_cut(key, 100), key.ptr, field->ref_filter);
}

/* Appends who refers to the document: "rules 3, 4". */
static void users_write(struct buf *out, const struct catalog *catalog, struct str tenant,
			const struct document *document)
{
	const struct kind *user;
	for (size_t k = 0; (user = kind_at(k)); k++) {
		struct catalog_page page;
		struct problem problem = { 0 };
		size_t named = 0, more = 0;
		catalog_list(catalog, tenant, user, NULL, 0, 0, SIZE_MAX, &page, &problem);
		for (size_t i = 0; i < page.count; i++) {
			struct ref_search search = { .target = document->kind, .document = document };
			refs_each(user, fields_of(page.list[i]), ref_search, &search);
			if (!search.found)
				continue;
			if (named == USERS_NAMED_MAX) {
				more++;
				continue;
			}
			if (named++)
				buf_lit(out, ", ");
			else
				buf_printf(out, "%s%s ", out->len ? "; " : "", user->plural);
			buf_u64(out, page.list[i]->id);
		}
		if (more)
			buf_printf(out, " and %zu more", more);
		catalog_page_free(&page);
		problem_free(&problem);
	}
}

/* ---- creating and changing ------------------------------------------------------------------------------------------- */

static void unique_check(const struct catalog *catalog, struct str tenant, const struct kind *kind,
			 yyjson_val *document,
			 const struct document *before, struct problem *problem)
{
	struct catalog_page page;
	struct buf what = { 0 };
	if (!kind->unique || problem->status || MUTATE(57, false, true))
		return;
	catalog_list(catalog, tenant, kind, NULL, 0, 0, SIZE_MAX, &page, problem);
	for (const char *const *name = kind->unique; *name; name++)
		for (size_t i = 0; i < page.count && !problem->status; i++) {
			yyjson_val *value = json_get(document, str_of(*name));
			if (page.list[i] == before || !value || yyjson_is_null(value) ||
			    !value_same(value, document_value(page.list[i], *name)))
				continue;
			json_write(&what, value);
			problem_set(problem, 409, "duplicate", "%s %llu has the same %s %.*s", kind->title,
				    (unsigned long long)page.list[i]->id, *name, text_cut(buf_view(&what), 150), what.ptr);
		}
	catalog_page_free(&page);
	buf_free(&what);
}

/* All checks on a complete body; fills the change if it is good. */
static enum catalog_status decide_put(const struct catalog *catalog, struct str tenant, const struct kind *kind,
				      yyjson_val *body, const struct document *before, int64_t now_ms,
				      struct catalog_change *change, struct problem *problem)
{
	struct buf text = { 0 }, derived = { 0 };
	struct json_error error;
	if (!fields_check(kind->fields, "brand", body, "", &problem->faults)) {
		invalid(kind, problem);
		return CATALOG_INVALID;
	}
	canonical_write(&text, kind, body);
	yyjson_doc *doc = json_read(buf_view(&text), &error);
	if (doc) {
		yyjson_val *document = yyjson_doc_get_root(doc);
		struct ref_check refs = { catalog, tenant, before, problem };
		refs_each(kind, document, ref_check, &refs);
		unique_check(catalog, tenant, kind, document, before, problem);
		if (kind->check && !problem->status)
			kind->check(catalog, tenant, document, body, before, problem);
		if (kind->derive && !problem->status && !problem->faults.count)
			kind->derive(document, body, before, now_ms, &derived);
		yyjson_doc_free(doc);
	} else {
		faults_add(&problem->faults, "", "%s", error.detail);
	}
	if (problem->faults.count && !problem->status)
		invalid(kind, problem);
	if (problem->status) {
		buf_free(&text);
		buf_free(&derived);
		return status_of(problem);
	}
	*change = (struct catalog_change){
		.op = CATALOG_PUT, .kind = kind->number, .id = before ? before->id : catalog->last_id + 1,
		.version = before ? before->version + MUTATE(59, 1, now_ms % 2) : 1, .tenant = tenant, .time_ms = now_ms,
		.created_ms = before ? before->created_ms : now_ms, .json = buf_view(&text), .owned = text.ptr,
		.state = buf_view(&derived), .owned_state = derived.ptr,
		.audited = true, .previous = before ? before->lsn : 0, .tenant_previous = catalog_audit(catalog, tenant)
	};
	return CATALOG_OK;
}

enum catalog_status catalog_decide_create(const struct catalog *catalog, struct str tenant, const struct kind *kind,
					  yyjson_val *body, int64_t now_ms, struct catalog_change *change,
					  struct problem *problem)
{
	*change = (struct catalog_change){ 0 };
	if (!body_check(tenant, kind, body, problem))
		return status_of(problem);
	return decide_put(catalog, tenant, kind, body, NULL, now_ms, change, problem);
}

/* RFC 7396.  `target` may be NULL; the result is written without the members that `patch` takes away. */
static void merge_write(struct buf *out, yyjson_val *target, yyjson_val *patch)
{
	size_t i, max;
	yyjson_val *key, *value;
	if (!yyjson_is_obj(patch)) {
		json_write(out, patch);
		return;
	}
	if (!yyjson_is_obj(target))
		target = NULL;
	buf_char(out, '{');
	for (yyjson_obj_iter iter = yyjson_obj_iter_with(target); (key = yyjson_obj_iter_next(&iter));) {
		yyjson_val *change = json_get(patch, json_text(key));
		value = yyjson_obj_iter_get_val(key);
		if (change && yyjson_is_null(change))
			continue;
		member_begin(out, json_text(key));
		if (change)
			merge_write(out, value, change);
		else
			json_write(out, value);
	}
	yyjson_obj_foreach(patch, i, max, key, value) {
		if (yyjson_is_null(value) || json_get(target, json_text(key)))
			continue;
		member_begin(out, json_text(key));
		merge_write(out, NULL, value);
	}
	buf_char(out, '}');
}

/* The body that the patched document would have been created with.  Conditions and schemas are values: they are
 * replaced as a whole, since two of them merged would be neither. */
static void patched_write(struct buf *out, const struct kind *kind, yyjson_val *target, yyjson_val *patch)
{
	buf_char(out, '{');
	for (const struct field *field = kind->fields; field->name; field++) {
		yyjson_val *change = json_get(patch, str_of(field->name)), *value = json_get(target,
											     str_of(field->name));
		if (change ? yyjson_is_null(change) : !value || MUTATE(60, false, field->type == FIELD_BOOL))
			continue;
		member_begin(out, str_of(field->name));
		if (change && field->type == FIELD_JSON)
			merge_write(out, value, change);
		else
			json_write(out, change ? change : value);
	}
	buf_char(out, '}');
}

/* What is wrong with the patch itself: names, sizes (before any merging), fields that stay as they are. */
static bool patch_check(const struct kind *kind, yyjson_val *body, const struct document *before,
			struct problem *problem)
{
	struct faults *faults = &problem->faults;
	struct buf text = { 0 }, place = { 0 };
	fields_known(kind->fields, "brand", body, "", faults);
	for (const struct field *field = kind->fields; field->name; field++) {
		yyjson_val *value = json_get(body, str_of(field->name));
		bool sized = field->type == FIELD_CONDITION || field->type == FIELD_SCHEMA || field->type == FIELD_JSON;
		if (!value)
			continue;
		place.len = 0;
		pointer_push(&place, str_of(field->name));
		text.len = 0;
		if (sized)
			json_write(&text, value);
		if (sized && field->max > field->min && text.len > (size_t)field->max)
			faults_add(faults, pointer_text(&place), "expected at most %lld bytes of JSON, got %zu",
				   (long long)field->max, text.len);
		if (field->flags & IMMUTABLE && !value_same(value, json_get(fields_of(before), str_of(field->name))))
			faults_add(faults, pointer_text(&place), "cannot be changed after creation");
	}
	buf_free(&text);
	buf_free(&place);
	if (faults->count)
		invalid(kind, problem);
	return !faults->count;
}

static const struct document *find(const struct catalog *catalog, struct str tenant, const struct kind *kind,
				   uint64_t id,
				   struct problem *problem)
{
	const struct document *document = catalog_get(catalog, tenant, kind, id);
	if (!document)
		problem_set(problem, 404, "not_found", "there is no %s %llu", kind->title, (unsigned long long)id);
	return document;
}

bool version_matches(const struct version_match *match, uint64_t version)
{
	for (unsigned i = 0; i < match->count; i++)
		if (match->versions[i] == version)
			return true;
	return match->any;
}

enum catalog_status catalog_condition(const struct catalog *catalog, struct str tenant, const struct kind *kind, uint64_t id,
				      const struct version_match *match, const struct version_match *none_match,
				      struct problem *problem)
{
	const struct document *document = catalog_get(catalog, tenant, kind, id);
	if (!document || ((!match->given || version_matches(match, document->version)) &&
			  (!none_match->given || !version_matches(none_match, document->version))))
		return CATALOG_OK;
	problem_set(problem, 412, "version_mismatch", "%s %llu has version %llu, which the conditions do not allow", kind->title,
		    (unsigned long long)id, (unsigned long long)document->version);
	return CATALOG_STALE;
}

enum catalog_status catalog_decide_patch(const struct catalog *catalog, struct str tenant, const struct kind *kind,
					 uint64_t id, yyjson_val *body, int64_t now_ms, struct catalog_change *change,
					 struct problem *problem)
{
	struct buf text = { 0 };
	struct json_error error;
	*change = (struct catalog_change){ 0 };
	const struct document *before = find(catalog, tenant, kind, id, problem);
	if (!before || !body_check(tenant, kind, body, problem) || !patch_check(kind, body, before, problem))
		return status_of(problem);
	patched_write(&text, kind, fields_of(before), body);
	yyjson_doc *doc = json_read(buf_view(&text), &error);
	buf_free(&text);
	if (!doc) {
		faults_add(&problem->faults, "", "%s", error.detail);
		invalid(kind, problem);
		return CATALOG_INVALID;
	}
	enum catalog_status status = decide_put(catalog, tenant, kind, yyjson_doc_get_root(doc), before, now_ms, change,
						problem);
	yyjson_doc_free(doc);
	return status;
}

enum catalog_status catalog_decide_delete(const struct catalog *catalog, struct str tenant, const struct kind *kind,
					  uint64_t id, int64_t now_ms, struct catalog_change *change,
					  struct problem *problem)
{
	struct buf users = { 0 };
	*change = (struct catalog_change){ 0 };
	const struct document *document = find(catalog, tenant, kind, id, problem);
	if (!document)
		return CATALOG_NOT_FOUND;
	users_write(&users, catalog, tenant, document);
	if (users.len && MUTATE(58, true, false))
		problem_set(problem, 409, "in_use", "%s %llu is in use by %.*s", kind->title, (unsigned long long)id,
			    text_cut(buf_view(&users), 200), users.ptr);
	buf_free(&users);
	if (kind->check_delete && !problem->status)
		kind->check_delete(catalog, document, problem);
	if (!problem->status)
		*change = (struct catalog_change){
			.op = CATALOG_DELETE, .kind = kind->number, .id = id, .version = document->version + 1,
			.tenant = tenant, .time_ms = now_ms, .created_ms = document->created_ms,
			.audited = true, .previous = document->lsn, .tenant_previous = catalog_audit(catalog, tenant)
		};
	return status_of(problem);
}

static void state_write(struct buf *out, yyjson_val *state, yyjson_val *patch)
{
	size_t i, max;
	yyjson_val *key, *value;
	buf_char(out, '{');
	yyjson_obj_foreach(state, i, max, key, value) {
		yyjson_val *change = json_get(patch, json_text(key));
		member_begin(out, json_text(key));
		json_write(out, change ? change : value);
	}
	yyjson_obj_foreach(patch, i, max, key, value) {
		if (json_get(state, json_text(key)))
			continue;
		member_begin(out, json_text(key));
		json_write(out, value);
	}
	buf_char(out, '}');
}

enum catalog_status catalog_decide_state(const struct catalog *catalog, struct str tenant, const struct kind *kind,
					 uint64_t id, yyjson_val *patch, struct catalog_change *change,
					 struct problem *problem)
{
	struct buf text = { 0 };
	*change = (struct catalog_change){ 0 };
	const struct document *document = find(catalog, tenant, kind, id, problem);
	if (!document)
		return CATALOG_NOT_FOUND;
	state_write(&text, document->state_doc ? yyjson_doc_get_root(document->state_doc) : NULL, patch);
	*change = catalog_document_change(document);
	change->op = CATALOG_STATE;
	change->tenant = tenant;
	change->json = (struct str){ 0 };
	change->state = buf_view(&text);
	change->owned_state = text.ptr;
	return CATALOG_OK;
}
