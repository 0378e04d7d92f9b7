// SPDX-License-Identifier: Apache-2.0
/* catalog.c - holding documents: apply, read, list, dump.
 *
 * Each tenant has one array of documents by id.  Ids grow, so a new one goes to the end; finding one is a binary
 * search.
 */
#include "engine/catalog/catalog.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/base/time.h"

static struct str text_dup(struct str text)
{
	return (struct str){ mem_dup(text.ptr, text.len), text.len };
}

static void due_set(struct catalog *catalog, struct document *document)
{
	document->due_ms = document->kind->due ? document->kind->due(document) : INT64_MAX;
	if (catalog->next_due_ms > document->due_ms)
		catalog->next_due_ms = document->due_ms;
}

static void state_free(struct document *document)
{
	mem_free((char *)(uintptr_t)document->state.ptr);
	yyjson_doc_free(document->state_doc);
	document->state = (struct str){ 0 };
	document->state_doc = NULL;
}

static void document_free(struct document *document)
{
	mem_free((char *)(uintptr_t)document->json.ptr);
	yyjson_doc_free(document->doc);
	state_free(document);
	mem_free(document);
}

/* Takes the state of a change; empty: none. */
static void state_set(struct document *document, const struct catalog_change *change)
{
	struct json_error error;
	if (!change->state.len)
		return;
	document->state = text_dup(change->state);
	document->state_doc = json_read(change->state, &error);
	ASSERT(document->state_doc && "a change has a well-formed state: decide and decode see to it");
}

void catalog_free(struct catalog *catalog)
{
	for (size_t i = 0; i < catalog->tenant_count; i++) {
		struct catalog_tenant *tenant = catalog->tenants[i];
		for (size_t j = 0; j < tenant->count; j++)
			document_free(tenant->list[j]);
		mem_free((char *)(uintptr_t)tenant->name.ptr);
		mem_free(tenant->list);
		mem_free(tenant);
	}
	mem_free(catalog->tenants);
	*catalog = (struct catalog){ 0 };
}

/* The place where the tenant is or would be. */
static size_t tenant_place(const struct catalog *catalog, struct str name)
{
	size_t low = 0, high = catalog->tenant_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (str_cmp(catalog->tenants[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct catalog_tenant *tenant_find(const struct catalog *catalog, struct str name)
{
	size_t place = tenant_place(catalog, name);
	if (place < catalog->tenant_count && str_eq(catalog->tenants[place]->name, name))
		return catalog->tenants[place];
	return NULL;
}

static size_t document_place(const struct catalog_tenant *tenant, uint64_t id)
{
	size_t low = 0, high = tenant->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (tenant->list[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct catalog_tenant *tenant_make(struct catalog *catalog, struct str name)
{
	struct catalog_tenant *tenant = tenant_find(catalog, name);
	if (tenant)
		return tenant;
	size_t place = tenant_place(catalog, name);
	if (catalog->tenant_count == catalog->tenant_cap) {
		catalog->tenant_cap = catalog->tenant_cap ? catalog->tenant_cap * 2 : 8;
		catalog->tenants = mem_realloc(catalog->tenants, catalog->tenant_cap * sizeof *catalog->tenants);
	}
	memmove(catalog->tenants + place + 1, catalog->tenants + place,
		(catalog->tenant_count - place) * sizeof *catalog->tenants);
	tenant = mem_zalloc(sizeof *tenant);
	tenant->name = text_dup(name);
	catalog->tenants[place] = tenant;
	catalog->tenant_count++;
	return tenant;
}

static void audit_note(struct catalog_tenant *tenant, uint64_t lsn)
{
	if (tenant->audit_lsn < lsn)
		tenant->audit_lsn = lsn;
}

uint64_t catalog_audit(const struct catalog *catalog, struct str tenant)
{
	const struct catalog_tenant *owner = tenant_find(catalog, tenant);
	return owner ? owner->audit_lsn : 0;
}

void catalog_audit_set(struct catalog *catalog, struct str tenant, uint64_t lsn)
{
	audit_note(tenant_make(catalog, tenant), lsn);
}

static void put(struct catalog *catalog, const struct catalog_change *change, uint64_t lsn)
{
	struct catalog_tenant *tenant = tenant_make(catalog, change->tenant);
	size_t place = document_place(tenant, change->id);
	struct document *document;
	struct json_error error;
	yyjson_doc *doc = json_read(change->json, &error);
	ASSERT(doc && "a change has a well-formed document: decide and decode see to it");
	if (place < tenant->count && tenant->list[place]->id == change->id) {
		document = tenant->list[place];
		mem_free((char *)(uintptr_t)document->json.ptr);
		yyjson_doc_free(document->doc);
		state_free(document);
	} else {
		if (tenant->count == tenant->cap) {
			tenant->cap = tenant->cap ? tenant->cap * 2 : 16;
			tenant->list = mem_realloc(tenant->list, tenant->cap * sizeof *tenant->list);
		}
		memmove(tenant->list + place + 1, tenant->list + place, (tenant->count - place) * sizeof *tenant->list);
		document = tenant->list[place] = mem_zalloc(sizeof *document);
		tenant->count++;
		catalog->documents++;
	}
	*document = (struct document){
		.id = change->id, .kind = kind_by_number(change->kind), .tenant = tenant->name,
				.version = change->version,
		.created_ms = change->created_ms, .updated_ms = change->time_ms, .lsn = lsn,
		.json = text_dup(change->json), .doc = doc
	};
	ASSERT(document->kind);
	state_set(document, change);
	audit_note(tenant, lsn);
	due_set(catalog, document);
}

static void set_state(struct catalog *catalog, const struct catalog_change *change)
{
	struct catalog_tenant *tenant = tenant_find(catalog, change->tenant);
	size_t place = tenant ? document_place(tenant, change->id) : 0;
	if (!tenant || place == tenant->count || tenant->list[place]->id != change->id)
		return;
	state_free(tenant->list[place]);
	state_set(tenant->list[place], change);
	due_set(catalog, tenant->list[place]);
}

static void delete(struct catalog *catalog, const struct catalog_change *change, uint64_t lsn)
{
	struct catalog_tenant *tenant = tenant_find(catalog, change->tenant);
	if (tenant)
		audit_note(tenant, lsn);
	size_t place = tenant ? document_place(tenant, change->id) : 0;
	if (!tenant || place == tenant->count || tenant->list[place]->id != change->id)
		return;
	document_free(tenant->list[place]);
	tenant->count--;
	catalog->documents--;
	memmove(tenant->list + place, tenant->list + place + 1, (tenant->count - place) * sizeof *tenant->list);
}

void catalog_apply(struct catalog *catalog, const struct catalog_change *change, uint64_t lsn)
{
	switch (change->op) {
	case CATALOG_PUT: put(catalog, change, lsn); break;
	case CATALOG_DELETE: delete(catalog, change, lsn); break;
	case CATALOG_MARK: break;
	case CATALOG_STATE: set_state(catalog, change); break;
	}
	if (catalog->last_id < change->id)
		catalog->last_id = change->id;
	if (catalog->last_lsn < lsn)
		catalog->last_lsn = lsn;
}

size_t catalog_due(struct catalog *catalog, int64_t now_ms, const struct document **list, size_t max)
{
	size_t count = 0;
	if (now_ms < catalog->next_due_ms)
		return 0;
	catalog->next_due_ms = INT64_MAX;
	for (size_t t = 0; t < catalog->tenant_count; t++)
		for (size_t d = 0; d < catalog->tenants[t]->count; d++) {
			const struct document *document = catalog->tenants[t]->list[d];
			if (document->due_ms < catalog->next_due_ms)
				catalog->next_due_ms = document->due_ms;
			if (document->due_ms <= now_ms && document->due_ms != INT64_MAX && count < max)
				list[count++] = document;
		}
	return count;
}

const struct document *catalog_get(const struct catalog *catalog, struct str tenant, const struct kind *kind,
				   uint64_t id)
{
	const struct catalog_tenant *owner = tenant_find(catalog, tenant);
	size_t place = owner ? document_place(owner, id) : 0;
	if (!owner || place == owner->count || owner->list[place]->id != id || owner->list[place]->kind != kind)
		return NULL;
	return owner->list[place];
}

yyjson_val *document_value(const struct document *document, const char *field)
{
	return json_get(yyjson_doc_get_root(document->doc), str_of(field));
}

const struct document *catalog_find(const struct catalog *catalog, struct str tenant, const struct kind *kind,
				    const char *field, struct str value)
{
	const struct catalog_tenant *owner = tenant_find(catalog, tenant);
	uint64_t id;
	if (strcmp(field, "id") == 0)
		return catalog_id_parse(value, &id) ? catalog_get(catalog, tenant, kind, id) : NULL;
	for (size_t i = 0; owner && i < owner->count; i++) {
		yyjson_val *has = owner->list[i]->kind == kind ? document_value(owner->list[i], field) : NULL;
		if (yyjson_is_str(has) && str_eq(json_text(has), value))
			return owner->list[i];
	}
	return NULL;
}

bool catalog_id_parse(struct str text, uint64_t *id)
{
	uint64_t sum = 0;
	if (!text.len || text.ptr[0] == '0')
		return false;
	for (size_t i = 0; i < text.len; i++) {
		unsigned digit = (unsigned)(unsigned char)text.ptr[i] - '0';
		if (digit > 9 || sum > (UINT64_MAX - digit) / 10)
			return false;
		sum = sum * 10 + digit;
	}
	*id = sum;
	return true;
}

static bool digits_int(struct str text, int64_t *out)
{
	bool negative = text.len && text.ptr[0] == '-';
	uint64_t value = 0;
	struct str digits = { text.ptr + negative, text.len - negative };
	if (!str_eq(digits, STR("0")) && (!catalog_id_parse(digits, &value) || value > INT64_MAX))
		return false;
	*out = negative ? -(int64_t)value : (int64_t)value;
	return true;
}

/* Whether a field can be asked for with this text at all; sets the problem if not. */
static bool filter_check(const struct kind *kind, const struct catalog_filter *filter, struct problem *problem)
{
	const struct field *field = field_find(kind->fields, filter->field);
	const char *expected = NULL;
	int64_t number;
	if (!field || field->flags & WRITEONLY || field->type == FIELD_CONDITION || field->type == FIELD_ACTIONS || field->type == FIELD_SCHEMA ||
	    field->type == FIELD_JSON || field->type == FIELD_TEXTS || field->type == FIELD_LIST || field->type == FIELD_DECIMAL) {
		problem_set(problem, 422, "filter_unknown", "a list of %s cannot be filtered by \"%.*s\"", kind->plural,
			    text_cut(filter->field, 60), filter->field.ptr);
		return false;
	}
	if (field->type == FIELD_BOOL && !str_eq(filter->value, STR("true")) && !str_eq(filter->value, STR("false")))
		expected = "true or false";
	if (field->type == FIELD_INT && !digits_int(filter->value, &number))
		expected = "an integer";
	if (field->type == FIELD_ENUM) {
		expected = "one of its choices";
		for (const char *const *choice = field->choices; *choice; choice++)
			if (str_eq(str_of(*choice), filter->value))
				expected = NULL;
	}
	if (expected)
		problem_set(problem, 422, "filter_invalid", "\"%s\" must be %s, got \"%.*s\"", field->name, expected,
			    text_cut(filter->value, 60), filter->value.ptr);
	return !expected;
}

static bool filter_matches(const struct document *document, const struct catalog_filter *filter)
{
	yyjson_val *value = json_get(yyjson_doc_get_root(document->doc), filter->field);
	int64_t wanted, has;
	if (yyjson_is_bool(value))
		return yyjson_is_true(value) == str_eq(filter->value, STR("true"));
	if (yyjson_is_str(value))
		return str_eq(json_text(value), filter->value);
	return value && json_is_number(value) && json_int(value, &has) && digits_int(filter->value, &wanted) &&
	       has == wanted;
}

struct entry {
	int64_t order;
	const struct document *document;
};

static int entry_order(const void *a, const void *b)
{
	const struct entry *left = a, *right = b;
	if (left->order != right->order)
		return left->order < right->order ? -1 : 1;
	return (left->document->id > right->document->id) - (left->document->id < right->document->id);
}

enum catalog_status catalog_list(const struct catalog *catalog, struct str tenant, const struct kind *kind,
				 const struct catalog_filter *filters, size_t filter_count, size_t offset, size_t limit,
				 struct catalog_page *page, struct problem *problem)
{
	return catalog_list_after(catalog, tenant, kind, filters, filter_count, (struct catalog_place){ 0 }, offset, limit, page,
				  problem);
}

enum catalog_status catalog_list_after(const struct catalog *catalog, struct str tenant, const struct kind *kind,
				       const struct catalog_filter *filters, size_t filter_count, struct catalog_place after,
				       size_t offset, size_t limit, struct catalog_page *page, struct problem *problem)
{
	const struct catalog_tenant *owner = tenant_find(catalog, tenant);
	*page = (struct catalog_page){ 0 };
	for (size_t i = 0; i < filter_count; i++)
		if (!filter_check(kind, &filters[i], problem))
			return CATALOG_INVALID;
	struct entry *found = mem_alloc((owner ? owner->count : 0) * sizeof *found);
	for (size_t i = 0; owner && i < owner->count; i++) {
		const struct document *document = owner->list[i];
		bool matches = document->kind == kind;
		for (size_t j = 0; j < filter_count && matches; j++)
			matches = filter_matches(document, &filters[j]);
		if (!matches)
			continue;
		struct entry *entry = &found[page->total++];
		*entry = (struct entry){ 0, document };
		yyjson_val *order = kind->order_by ? document_value(document, kind->order_by) : NULL;
		if (order && json_is_number(order) && !json_int(order, &entry->order))
			entry->order = 0;
	}
	if (kind->order_by)
		qsort(found, page->total, sizeof *found, entry_order);
	size_t first = 0;
	if (after.id)
		while (first < page->total && (found[first].order < after.order || (found[first].order == after.order &&
										   found[first].document->id <= after.id)))
			first++;
	first = offset < page->total - first ? first + offset : page->total;
	page->count = page->total - first < limit ? page->total - first : limit;
	page->list = mem_alloc(page->count * sizeof *page->list);
	for (size_t i = 0; i < page->count; i++)
		page->list[i] = found[first + i].document;
	if (page->count) {
		page->more = first + page->count < page->total;
		page->last = (struct catalog_place){ found[first + page->count - 1].order, page->list[page->count - 1]->id };
	}
	mem_free(found);
	return CATALOG_OK;
}

void catalog_page_free(struct catalog_page *page)
{
	mem_free(page->list);
	*page = (struct catalog_page){ 0 };
}

void catalog_time_json(struct buf *out, int64_t ms)
{
	buf_char(out, '"');
	time_write(out, ms);
	buf_char(out, '"');
}

void catalog_change_json(struct buf *out, const struct catalog_change *change)
{
	ASSERT(change->op == CATALOG_PUT && change->json.len >= 2);
	buf_printf(out, "{\"id\":\"%llu\",\"brand\":", (unsigned long long)change->id);
	buf_json_text(out, change->tenant);
	buf_char(out, ',');
	if (change->json.len > 2) {
		buf_bytes(out, change->json.ptr + 1, change->json.len - 2);
		buf_char(out, ',');
	}
	if (change->state.len > 2) {
		buf_bytes(out, change->state.ptr + 1, change->state.len - 2);
		buf_char(out, ',');
	}
	buf_printf(out, "\"version\":%llu,\"created_at\":", (unsigned long long)change->version);
	catalog_time_json(out, change->created_ms);
	buf_lit(out, ",\"updated_at\":");
	catalog_time_json(out, change->time_ms);
	buf_char(out, '}');
}

void catalog_document_json(struct buf *out, const struct document *document)
{
	struct catalog_change change = catalog_document_change(document);
	catalog_change_json(out, &change);
}

struct catalog_change catalog_document_change(const struct document *document)
{
	return (struct catalog_change){
		.op = CATALOG_PUT, .kind = document->kind->number, .id = document->id, .version = document->version,
		.tenant = document->tenant, .time_ms = document->updated_ms, .created_ms = document->created_ms,
		.json = document->json, .state = document->state
	};
}

void catalog_copy(const struct catalog *catalog, struct str tenant, struct buf *out)
{
	const struct catalog_tenant *owner = tenant_find(catalog, tenant);
	for (size_t i = 0; owner && i < owner->count; i++) {
		struct catalog_change change = catalog_document_change(owner->list[i]);
		uint64_t head[2] = { owner->list[i]->lsn, 0 };
		size_t start = out->len;
		buf_bytes(out, head, sizeof head);
		catalog_change_encode(&change, out);
		head[1] = out->len - start - sizeof head;
		memcpy(out->ptr + start, head, sizeof head);
	}
}

bool catalog_copy_next(struct str copy, size_t *at, uint64_t *lsn, struct catalog_change *change)
{
	uint64_t head[2];
	if (copy.len - *at < sizeof head)
		return false;
	memcpy(head, copy.ptr + *at, sizeof head);
	ASSERT(head[1] <= copy.len - *at - sizeof head);
	bool good = catalog_change_decode(copy.ptr + *at + sizeof head, head[1], change);
	ASSERT(good);
	*lsn = head[0];
	*at += sizeof head + head[1];
	return true;
}

void catalog_dump(const struct catalog *catalog, struct buf *out)
{
	for (size_t i = 0; i < catalog->tenant_count; i++) {
		buf_json_text(out, catalog->tenants[i]->name);
		buf_printf(out, " audit_lsn=%llu\n", (unsigned long long)catalog->tenants[i]->audit_lsn);
		for (size_t j = 0; j < catalog->tenants[i]->count; j++) {
			const struct document *document = catalog->tenants[i]->list[j];
			buf_json_text(out, document->tenant);
			buf_printf(out, " %s %llu version=%llu created=%lld updated=%lld lsn=%llu ",
				   document->kind->name,
				   (unsigned long long)document->id, (unsigned long long)document->version,
				   (long long)document->created_ms, (long long)document->updated_ms,
				   (unsigned long long)document->lsn);
			buf_str(out, document->json);
			if (document->state.len) {
				buf_lit(out, " state=");
				buf_str(out, document->state);
			}
			buf_char(out, '\n');
		}
	}
	buf_printf(out, "catalog last_id=%llu last_lsn=%llu\n", (unsigned long long)catalog->last_id,
		   (unsigned long long)catalog->last_lsn);
}
