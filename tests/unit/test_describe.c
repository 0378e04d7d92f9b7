// SPDX-License-Identifier: Apache-2.0
/* test_describe.c - the schemas of kinds are true: what a schema refuses a decision refuses, and the other way round.
 *
 * Good bodies of every kind have one value after the other put into one field after the other; the schema, compiled by
 * engine/catalog/schema.h itself, and the decision must agree, but for what describe.h says that a schema cannot say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "engine/base/json.h"
#include "engine/catalog/action.h"
#include "engine/catalog/catalog.h"
#include "engine/catalog/describe.h"
#include "engine/catalog/schema.h"

#define BRAND STR("B")
#define NOW INT64_C(1767225600000)
#define LONG_TEXT "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

/* Values that are tried in every field; single quotes stand for double ones. */
static const char *const values[] = {
	"null", "true", "false", "0", "1", "-1", "1.0", "1e0", "10e-1", "1.5", "100", "1e2", "36500", "36501", "1000000000",
	"1000000001", "9007199254740991", "9007199254740992", "9223372036854775807", "-9223372036854775808", "1e18", "''", "'a'",
	"'\\u0000'", "'a\\u0000b'", "'EXTERNAL'", "'INTERNAL'", "'external'", "'ONCE_EVER'", "'a\\nb'", "'" LONG_TEXT "'",
	"'" LONG_TEXT "1234567'", "'" LONG_TEXT "12345678'", "'" LONG_TEXT "123456789'", "'\\u00e4\\u20ac'", "[]", "[1]", "['a']",
	"[null]", "{}", "{'a':1}", "{'a':null}", "{'a':{'b':null}}", "'2026-01-31T12:00:00Z'", "'2026-02-29T12:00:00Z'",
	"'2024-02-29T12:00:00+01:00'", "'2000-02-29t12:00:60.5z'", "'1900-02-29T00:00:00Z'", "'2026-04-31T00:00:00Z'",
	"'2026-13-01T00:00:00Z'", "'2026-01-31T24:00:00Z'", "'2026-01-31 12:00:00Z'", "'2026-01-31T12:00:00'",
	"'2026-01-31T12:00:00.Z'", "'2026-01-31T12:00:00-24:00'", "'x2026-01-31T12:00:00Z'",
};

static const char *const conditions[] = {
	"{'amount_gte':1}", "{'amount_gte':'1'}", "{'amount_gte':1,'points_gte':2}", "{'amount_gte':1,'nope':2}", "{'nope':1}",
	"{'all':[]}", "{'any':[]}", "{'all':[{'amount_gte':1}]}", "{'all':{'amount_gte':1}}", "{'all':'x'}", "{'all':[5]}",
	"{'all':[5,true]}", "{'all':[{'==':[1,1]},5]}", "{'all':[{'==':[1,1]},{'==':[1,1]}]}", "{'all':[{'var':'x'},{'>':[1,2]}]}",
	"{'all':[{'var':'x'},{'a':1,'b':2}]}", "{'all':[{'var':'x'},{}]}", "{'all':[{'amount_gte':1},{'var':'x'}]}",
	"{'all':[{'and':[{'amount_gte':1}]},5]}", "{'all':[[1,2],{'>':[{'var':''},0]}]}", "{'all':[true,false,null]}",
	"{'all':[1,2,3]}", "{'all':[{'if':[1,2]},3]}", "{'and':[{'amount_gte':1},5]}", "{'and':[1,5]}", "{'and':[{'a':1,'b':2}]}",
	"{'and':[{'==':[{'a':1,'b':2},1]}]}", "{'and':{'amount_gte':1}}", "{'and':{'var':'x'}}", "{'and':5}", "{'or':[]}",
	"{'or':[{'or':[{'birthday':true}]}]}", "{'or':[{'>':[1,2]}]}", "{'not':{'birthday':true}}", "{'not':[{'birthday':true}]}",
	"{'not':5}", "{'not':null}", "{'!':{'var':'x'}}", "{'!':{'birthday':true}}", "{'==':[1]}", "{'==':1}", "{'==':[{'nope':1}]}",
	"{'==':[{},1]}", "{'==':[[{'nope':1}],1]}", "{'==':[{'nope':1,'two':[{'x':1}]},1]}", "{'===':[1,[2,[3,{'+':[1]}]]]}",
	"{'var':'a.b'}", "{'var':['a',1]}", "{'var':{'cat':['a','b']}}", "{'field':'a','operator':'eq','value':1}",
	"{'field':'a','op':'==','value':null}", "{'field':'a','op':'eq','value':[1]}", "{'field':'a','op':'eq'}",
	"{'field':'a','op':'exists'}", "{'field':'a','op':'exists','value':false}", "{'field':'a','op':'exists','value':null}",
	"{'field':'','op':'eq','value':1}", "{'field':1,'op':'eq','value':1}", "{'field':'a','op':'nope','value':1}",
	"{'field':'a','op':1,'value':1}", "{'field':'a','op':'eq','operator':'eq','value':1}", "{'field':'a','op':'eq','value':1,'x':1}",
	"{'field':'a','op':'gt','value':1}", "{'field':'a','op':'gt','value':'1'}", "{'field':'a','op':'gt','value':true}",
	"{'field':'a','op':'between','value':[1,2]}", "{'field':'a','op':'between','value':['a','b']}",
	"{'field':'a','op':'between','value':[1,'b']}", "{'field':'a','op':'between','value':[1]}",
	"{'field':'a','op':'between','value':[1,2,3]}", "{'field':'a','op':'between','value':5}",
	"{'field':'a','op':'in','value':[1,null,'a',true]}", "{'field':'a','op':'in','value':[[1]]}", "{'field':'a','op':'in','value':1}",
	"{'field':'a','op':'not_in','value':[]}", "{'field':'a','op':'contains','value':'x'}", "{'field':'a','op':'contains','value':{}}",
	"{'field':'a','value':1}", "{'payload':{'a':1}}", "{'payload':{'a':1,'b':'c'}}", "{'payload':{}}", "{'payload':{'a':[]}}",
	"{'payload':{'path':'a','value':1}}", "{'payload':{'path':'','value':1}}", "{'payload':{'path':'','value':1,'x':2}}",
	"{'payload':{'path':1,'value':1}}", "{'payload':{'path':'a','value':[1]}}", "{'payload':{'path':''}}", "{'payload':1}",
	"{'payload_in':{'path':'a','values':[1]}}", "{'payload_in':{'path':'a','values':1}}", "{'payload_in':{'path':'a'}}",
	"{'payload_in':{'path':'','values':[]}}", "{'payload_in':{'path':'a','values':[],'x':1}}", "{'payload_in':[1]}",
	"{'payload_contains':{'path':'a','value':'x'}}", "{'payload_contains':{'path':'a','value':[]}}", "{'payload_contains':{'path':'a'}}",
	"{'payload_cmp':{'path':'a','op':'gte','value':1}}", "{'payload_cmp':{'path':'a','operator':'gte','value':1}}",
	"{'payload_cmp':{'path':'a','op':'in','value':[1]}}", "{'payload_cmp':{'path':'a','op':'eq','value':{}}}",
	"{'payload_cmp':{'path':'a','op':'between','value':[1,2],'x':1}}", "{'payload_cmp':{'path':'a','value':1}}",
	"{'payload_cmp':{'path':'a','op':'eq','operator':'nope','value':1}}", "{'payload_cmp':{'path':'a','op':'nope','operator':'eq','value':1}}",
	"{'payload_cmp':{'path':'','op':'eq','value':1}}", "{'customer_cmp':{'field':'points','op':'gte','value':1}}",
	"{'customer_cmp':{'path':'points','op':'gte','value':1}}", "{'payload_present':'a'}", "{'payload_present':''}",
	"{'payload_present':['a','b']}", "{'payload_present':['a','']}", "{'payload_present':[]}", "{'payload_present':{'path':'a'}}",
	"{'payload_present':{'path':''}}", "{'payload_present':{}}", "{'payload_present':1}", "{'customer_status_in':['A']}",
	"{'customer_status_in':[]}", "{'customer_status_in':[1]}", "{'customer_status_in':'A'}", "{'weekday_in':[0,6]}",
	"{'weekday_in':[7]}", "{'weekday_in':[1.5]}", "{'weekday_in':[1e0]}", "{'weekday_in':1}", "{'first_purchase':true}",
	"{'first_purchase':1}", "{'bonus_awarded':'B'}", "{'bonus_awarded':1}", "[{'amount_gte':1}]", "'x'", "{'log':'x'}",
};

static const char *const actions[] = {
	"[{'type':'earn_points','points':1}]", "[{'type':'earn_points','points':0}]", "[{'type':'earn_points','points':1e2}]",
	"[{'type':'earn_points','points':null}]", "[{'type':'earn_points'}]", "[{'type':'earn_points','points':1,'from_payload':'a'}]",
	"[{'type':'earn_points','from_payload':'a.b.0'}]", "[{'type':'earn_points','from_payload':'a..b'}]",
	"[{'type':'earn_points','from_payload':'.a'}]", "[{'type':'earn_points','from_payload':''}]",
	"[{'type':'earn_points','from_payload':'a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p'}]",
	"[{'type':'earn_points','from_payload':'a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q'}]", "[{'type':'earn_points','from_payload':'a\\nb'}]",
	"[{'type':'burn_points','points':5},{'type':'add_customer_tag','tag':'x'}]", "[{'type':'add_customer_tag','tag':''}]",
	"[{'type':'add_customer_tag'}]", "[{'type':'add_customer_tag','tag':'a','x':1}]", "[{'type':'fly'}]", "[{'type':1}]", "[{}]", "[1]",
	"[{'type':'earn_points_from_amount','rate':1.5}]", "[{'type':'earn_points_from_amount','rate':-1}]",
	"[{'type':'earn_points_from_amount','rate':'1'}]", "[{'type':'earn_points_from_amount'}]",
	"[{'type':'earn_points_from_amount','rate':1,'min_points':null,'max_points':3}]",
	"[{'type':'earn_points_from_amount','rate':1,'min_points':-1}]", "[{'type':'earn_points_from_amount','rate':1,'min_points':5,'max_points':3}]",
	"[{'type':'earn_points_from_amount','rate':1,'amount_path':'a.b'}]", "[{'type':'earn_points_from_amount','rate':1,'amount_path':null}]",
	"[{'type':'set_customer_status','status':'VIP'}]", "[{'type':'set_customer_status','status':1}]", "[{'type':'reset_status_points'}]",
	"[{'type':'call_webhook','url':'http://a/b?c'}]", "[{'type':'call_webhook','url':'https://a'}]",
	"[{'type':'call_webhook','url':'http://'}]", "[{'type':'call_webhook','url':'http:///a'}]", "[{'type':'call_webhook','url':'ftp://a'}]",
	"[{'type':'call_webhook','url':'http://a b'}]", "[{'type':'call_webhook','url':'http://a\\u007f'}]",
	"[{'type':'call_webhook','url':'http://\\u00e4/'}]", "[{'type':'issue_reward','reward_id':'1'}]",
	"[{'type':'issue_reward','reward_id':'01'}]", "[{'type':'issue_reward','reward_id':'x'}]", "[{'type':'issue_reward','reward_id':1}]",
	"[{'type':'record_bonus_award','bonusKey':'B'}]", "[{'type':'set_tier','tier':''}]", "[{'type':'emit_event','event_type':'PING'}]",
	"[{'type':'emit_event','event_type':'PING','payload':{'a':1}}]", "[{'type':'emit_event','event_type':'PING','payload':null}]",
	"[{'type':'emit_event','event_type':'PING','payload':[]}]", "[{'type':'send_message','template':'x'}]",
	"[{'type':'reset_status_points','x':1}]", "[{'type':'reset_status_points','type2':1}]",
};

static const char *const schemas[] = {
	"true", "false", "{'type':'object'}", "{'type':'thing'}", "{'type':['object','null']}", "{'type':[]}", "{'type':1}", "{'nope':1}",
	"{'properties':{'a':{'type':'string','minLength':1}}}", "{'properties':{'a':1}}", "{'properties':[]}", "{'required':['a']}",
	"{'required':[1]}", "{'required':'a'}", "{'items':{'nope':1}}", "{'items':true}", "{'prefixItems':[true]}", "{'prefixItems':[]}",
	"{'enum':[]}", "{'enum':[1,null]}", "{'const':null}", "{'minimum':'1'}", "{'minimum':1.5}", "{'multipleOf':0}", "{'multipleOf':0.1}",
	"{'minLength':-1}", "{'minLength':1.0}", "{'minLength':1e1}", "{'minLength':1.5}", "{'pattern':'^a+$'}", "{'pattern':1}",
	"{'uniqueItems':true}", "{'uniqueItems':1}", "{'allOf':[{}]}", "{'anyOf':[]}", "{'oneOf':{}}", "{'not':{'type':'null'}}", "{'not':1}",
	"{'$ref':'#'}", "{'$ref':'#/$defs/a','$defs':{'a':true}}", "{'$ref':'other'}", "{'$ref':1}", "{'$defs':{'a':{'$defs':{}}}}",
	"{'$schema':'https://json-schema.org/draft/2020-12/schema'}", "{'$schema':'http://json-schema.org/draft-07/schema#'}",
	"{'title':'t','description':'d','$comment':'c','format':'email','default':1,'examples':[1],'deprecated':true,'readOnly':false}",
	"{'title':1}", "{'examples':1}", "{'deprecated':1}", "{'additionalProperties':false}", "{'additionalProperties':1}",
};

static const char *const schedules[] = {
	"{'type':'cron','cron':'* * * * *'}", "{'type':'cron','cron':'*/2 0-5,7 1 JAN-dec MON','timezone':'Europe/Berlin'}",
	"{'type':'interval','cron':'* * * * *'}", "{'type':'cron'}", "{'cron':'* * * * *'}", "{'type':'cron','cron':'61 * * * *'}",
	"{'type':'cron','cron':'* * * *'}", "{'type':'cron','cron':'* * * * * *'}", "{'type':'cron','cron':'* 24 * * *'}",
	"{'type':'cron','cron':'* * 0 * *'}", "{'type':'cron','cron':'* * 32 * *'}", "{'type':'cron','cron':'* * * 13 *'}",
	"{'type':'cron','cron':'* * * FOO *'}", "{'type':'cron','cron':'* * * * 8'}", "{'type':'cron','cron':'* * * * 7'}",
	"{'type':'cron','cron':'*/0 * * * *'}", "{'type':'cron','cron':'*/60 * * * *'}", "{'type':'cron','cron':'*/61 * * * *'}",
	"{'type':'cron','cron':'5/15 * * * *'}", "{'type':'cron','cron':'5-59/15 * * * *'}", "{'type':'cron','cron':'007,  * * * *'}",
	"{'type':'cron','cron':' 007 \\t* * * 0,MON-FRI/2 '}", "{'type':'cron','cron':'*\\n* * * *'}", "{'type':'cron','cron':'1,, * * * *'}",
	"{'type':'cron','cron':'* * * * *','timezone':null}", "{'type':'cron','cron':'* * * * *','timezone':1}",
	"{'type':'cron','cron':'* * * * *','timezone':'Mars/Base'}", "{'type':'cron','cron':'* * * * *','x':1}", "{'type':'cron','cron':1}",
	"{'type':'cron','cron':'9-5 * * * *'}", "{'type':'cron','cron':'* * 31 2 *'}", "{'type':'cron','cron':'* * * * SUN-7'}",
};

static const char *const limits[] = {
	"[]", "[{'max':1}]", "[{'max':1,'per':'DAY'}]", "[{'max':0}]", "[{'per':'DAY'}]", "[{'max':1,'per':'HOUR'}]", "[{'max':1,'x':1}]", "[5]",
	"[{'max':1},{'max':1},{'max':1},{'max':1},{'max':1},{'max':1},{'max':1},{'max':1}]",
	"[{'max':1},{'max':1},{'max':1},{'max':1},{'max':1},{'max':1},{'max':1},{'max':1},{'max':1}]",
};

static const char *const selectors[] = {
	"{'status_in':['ACTIVE']}", "{'status_in':[]}", "{'status_in':['']}", "{'status_in':'A'}", "{'nope':1}", "{'nope':null}",
	"{'all':[{'status_in':['A']},{}]}", "{'all':[]}", "{'any':[{'nope':1}]}", "{'any':[5]}", "{'not':{'birthdate_today':true}}",
	"{'not':[{'birthdate_today':true}]}", "{'not':[]}", "{'not':5}", "{'birthdate_today':1}", "{'inactive_days_gte':30}",
	"{'inactive_days_gte':-1}", "{'inactive_days_gte':1.5}", "{'inactive_days_gte':'1'}", "{'bonus_awarded':'B'}", "{'bonus_awarded':''}",
	"{'condition':{'points_gte':1}}", "{'condition':{'all':[{'nope':1}]}}", "{'condition':{'>':[{'var':'customer.points'},1]}}",
	"{'condition':5}", "{'condition':true}", "{'tags_any':['a','b'],'points_lte':5}",
};

/* What a schema cannot say, by the words of the fault. */
static const char *const beyond[] = {
	"expected at least min_points", "leads nowhere", "base tier", "unknown time zone", "a range begins with its smaller value",
	"none of the months", "bytes of JSON", "too many digits", "cannot be changed after creation"
};

static yyjson_doc *read_json(const char *text)
{
	struct json_error error;
	struct buf copy = { 0 };
	for (; *text; text++)
		buf_char(&copy, *text == '\'' ? '"' : *text);
	yyjson_doc *doc = json_read(buf_view(&copy), &error);
	if (!doc)
		fail_msg("%.*s: %s", (int)copy.len, copy.ptr, error.detail);
	buf_free(&copy);
	return doc;
}

static struct catalog catalog;
static uint64_t next_lsn = 8;

static uint64_t make(unsigned kind, const char *body)
{
	struct catalog_change change;
	struct problem problem = { 0 };
	yyjson_doc *doc = read_json(body);
	if (catalog_decide_create(&catalog, BRAND, kind_by_number(kind), yyjson_doc_get_root(doc), NOW, &change, &problem))
		fail_msg("%s: %s", body, problem.detail);
	uint64_t id = change.id;
	catalog_apply(&catalog, &change, next_lsn += 8);
	catalog_change_free(&change);
	yyjson_doc_free(doc);
	return id;
}

static unsigned tried, refused_count;

/* One body: decided, and held against the schema. */
static void both(const struct schema *schema, const struct kind *kind, uint64_t id, const char *text)
{
	struct catalog_change change;
	struct problem problem = { 0 };
	struct faults faults = { 0 };
	yyjson_doc *doc = read_json(text);
	yyjson_val *body = yyjson_doc_get_root(doc);
	enum catalog_status status = id ? catalog_decide_patch(&catalog, BRAND, kind, id, body, NOW, &change, &problem)
					: catalog_decide_create(&catalog, BRAND, kind, body, NOW, &change, &problem);
	bool fits = schema_check(schema, body, "", &faults), taken = status != CATALOG_INVALID, exempt = false;
	for (size_t i = 0; i < problem.faults.count && !taken; i++)
		for (size_t j = 0; j < sizeof beyond / sizeof *beyond; j++)
			exempt |= strstr(problem.faults.list[i].detail, beyond[j]) != NULL;
	tried++;
	refused_count += !taken;
	if (fits != taken && !exempt)
		fail_msg("%s %s %s: the schema %s it (%s %s), the decision %s it (%s)", kind->name, id ? "patch" : "create", text,
			 fits ? "accepts" : "refuses", fits ? "" : faults.list[0].pointer, fits ? "" : faults.list[0].detail,
			 taken ? "accepts" : "refuses", problem.detail);
	faults_free(&faults);
	problem_free(&problem);
	catalog_change_free(&change);
	yyjson_doc_free(doc);
}

static struct schema *compiled(const struct kind *kind, enum kind_form form)
{
	struct buf text = { 0 };
	struct faults faults = { 0 };
	struct json_error error;
	kind_schema(&text, kind, form);
	yyjson_doc *doc = json_read(buf_view(&text), &error);
	if (!doc)
		fail_msg("%s: %s: %.*s", kind->name, error.detail, (int)text.len, text.ptr);
	struct schema *schema = schema_compile(yyjson_doc_get_root(doc), "", &faults);
	if (!schema)
		fail_msg("%s: %s: %s", kind->name, faults.list[0].pointer, faults.list[0].detail);
	yyjson_doc_free(doc);
	buf_free(&text);
	return schema;
}

static void field_tries(const struct schema *schema, const struct kind *kind, uint64_t id, const char *base,
			const struct field *field, const char *const *list, size_t count)
{
	struct buf text = { 0 };
	for (size_t i = 0; i < count; i++) {
		yyjson_doc *doc = read_json(base);
		size_t at, max;
		yyjson_val *key, *value;
		text.len = 0;
		buf_printf(&text, "{\"%s\":%s", field->name, list[i]);
		yyjson_obj_foreach(yyjson_doc_get_root(doc), at, max, key, value) {
			if (str_eq(json_text(key), str_of(field->name)))
				continue;
			buf_printf(&text, ",\"%s\":", yyjson_get_str(key));
			json_write(&text, value);
		}
		buf_lit(&text, "}\0");
		both(schema, kind, id, text.ptr);
		yyjson_doc_free(doc);
	}
	buf_free(&text);
}

#define TRY(list) field_tries(schema, kind, id, base, field, list, sizeof list / sizeof *list)

static void kind_tries(const struct kind *kind, uint64_t id, const char *base, enum kind_form form)
{
	struct schema *schema = compiled(kind, form);
	both(schema, kind, id, base);
	both(schema, kind, id, "{}");
	both(schema, kind, id, "[]");
	both(schema, kind, id, "{'nope':1}");
	both(schema, kind, id, "{'nope':null}");
	both(schema, kind, id, "{'id':'4'}");
	both(schema, kind, id, "{'version':1}");
	both(schema, kind, id, "{'brand':1}");
	for (const struct field *field = kind->fields; field->name; field++) {
		TRY(values);
		if (field->type == FIELD_CONDITION)
			TRY(conditions);
		if (field->type == FIELD_ACTIONS)
			TRY(actions);
		if (field->type == FIELD_SCHEMA)
			TRY(schemas);
		if (field->type == FIELD_LIST)
			TRY(limits);
		/* A patch of an object depends on the object. */
		if (strcmp(field->name, "selector") == 0 && form == KIND_CREATE)
			TRY(selectors);
		if (strcmp(field->name, "schedule") == 0)
			TRY(schedules);
	}
	schema_free(schema);
}

static const struct { unsigned kind; const char *body; } bodies[] = {
	{ KIND_EVENT_TYPE, "{'key':'NEW','origin':'EXTERNAL','name':'n'}" },
	{ KIND_RULE, "{'event_type':'T','actions':[]}" },
	{ KIND_REWARD, "{'name':'n'}" },
	{ KIND_LOYALTY_TIER, "{'key':'NEW','name':'n','rank':1,'min_status_points':1}" },
	{ KIND_BONUS_DEFINITION, "{'bonus_key':'NEW','policy':'ONCE_EVER'}" },
	{ KIND_CAMPAIGN, "{'name':'n'}" },
	{ KIND_INTERNAL_JOB, "{'job_key':'NEW','event_type':'PING','schedule':{'type':'cron','cron':'1 * * * *'}}" },
};

static void test_schemas_are_true(void **state)
{
	(void)state;
	make(KIND_EVENT_TYPE, "{'key':'T','origin':'EXTERNAL','name':'n'}");
	make(KIND_EVENT_TYPE, "{'key':'PING','origin':'INTERNAL','name':'n'}");
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
		kind_tries(kind_by_number(bodies[i].kind), 0, bodies[i].body, KIND_CREATE);
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
		kind_tries(kind_by_number(bodies[i].kind), make(bodies[i].kind, bodies[i].body), "{}", KIND_UPDATE);
	/* Both ways are taken, and often. */
	printf("# %u bodies, %u of them refused\n", tried, refused_count);
	assert_true(tried > 3000 && tried - refused_count > 600 && refused_count > 600);
	catalog_free(&catalog);
}

/* What is answered fits the schema of what is read. */
static void test_answers_fit(void **state)
{
	(void)state;
	make(KIND_EVENT_TYPE, "{'key':'T','origin':'EXTERNAL','name':'n'}");
	make(KIND_EVENT_TYPE, "{'key':'PING','origin':'INTERNAL','name':'n'}");
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
		const struct kind *kind = kind_by_number(bodies[i].kind);
		struct schema *schema = compiled(kind, KIND_READ);
		struct buf text = { 0 };
		struct faults faults = { 0 };
		struct json_error error;
		catalog_document_json(&text, catalog_get(&catalog, BRAND, kind, make(bodies[i].kind, bodies[i].body)));
		yyjson_doc *doc = json_read(buf_view(&text), &error);
		assert_non_null(doc);
		if (!schema_check(schema, yyjson_doc_get_root(doc), "", &faults))
			fail_msg("%.*s: %s %s", (int)text.len, text.ptr, faults.list[0].pointer, faults.list[0].detail);
		yyjson_doc_free(doc);
		buf_free(&text);
		schema_free(schema);
	}
	catalog_free(&catalog);
}

static void test_hints(void **state)
{
	struct buf text = { 0 };
	struct json_error error;
	const struct kind *kind;
	(void)state;
	for (size_t i = 0; (kind = kind_at(i)); i++) {
		text.len = 0;
		kind_hints(&text, kind);
		yyjson_doc *doc = json_read(buf_view(&text), &error);
		if (!doc)
			fail_msg("%s: %s: %.*s", kind->name, error.detail, (int)text.len, text.ptr);
		yyjson_val *root = yyjson_doc_get_root(doc);
		assert_string_equal(yyjson_get_str(yyjson_ptr_get(root, "/brand/widget")), "hidden");
		for (const struct field *field = kind->fields; field->name; field++) {
			yyjson_val *hint = json_get(root, str_of(field->name));
			assert_true(!hint == !!(field->flags & READONLY));
			if (field->type == FIELD_REF)
				assert_true(yyjson_is_str(json_get(hint, STR("datasource"))) && yyjson_is_str(json_get(hint, STR("labelField"))));
		}
		yyjson_doc_free(doc);
	}
	buf_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schemas_are_true),
		cmocka_unit_test(test_answers_fit),
		cmocka_unit_test(test_hints),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
