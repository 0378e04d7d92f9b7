// SPDX-License-Identifier: Apache-2.0
/* condition.c - system A's conditions become JSONLogic.
 *
 * Idea: one recursive writer. A group is a list of conditions; an object of leaves is their conjunction; a leaf is
 * written with guards, because JSONLogic's comparisons turn null, booleans and text into numbers (null >= 0 holds in
 * JavaScript) and a leaf about a value that is absent or of another type must be false. JSONLogic itself is passed
 * through unchanged.
 *
 * The guards: text and lists are told from numbers by {"<=":[x,"~"]} - every text that reads as a number sorts before
 * "~", and a number compared with "~" is not a number, thus false.
 */
#include "engine/rule/value.h"

#include "engine/base/assert.h"
#include "engine/base/json.h"

struct writer {
	struct buf *out;
	struct buf pointer;
	struct faults *faults;
	bool failed;
};

enum comparison { EQ, NE, GT, GTE, LT, LTE, BETWEEN, IN, NOT_IN, CONTAINS, EXISTS };
static const struct { struct str name; enum comparison what; } comparisons[] = {
	{ { "eq", 2 }, EQ }, { { "==", 2 }, EQ }, { { "ne", 2 }, NE }, { { "!=", 2 }, NE }, { { "gt", 2 }, GT },
	{ { ">", 1 }, GT }, { { "gte", 3 }, GTE }, { { ">=", 2 }, GTE }, { { "lt", 2 }, LT }, { { "<", 1 }, LT },
	{ { "lte", 3 }, LTE }, { { "<=", 2 }, LTE }, { { "between", 7 }, BETWEEN }, { { "in", 2 }, IN },
	{ { "not_in", 6 }, NOT_IN }, { { "contains", 8 }, CONTAINS }, { { "exists", 6 }, EXISTS },
};
static const char operators_expected[] = "eq, ne, gt, gte, lt, lte, between, in, not_in, contains or exists";

static bool write_condition(struct writer *writer, yyjson_val *condition);

static bool fault(struct writer *writer, const char *expected, yyjson_val *got)
{
	faults_add(writer->faults, pointer_text(&writer->pointer), "%s expected, not %s", expected,
		   json_type_name(got));
	writer->failed = true;
	return false;
}

/* --- reading the forms --- */

static bool is_scalar(yyjson_val *value)
{
	return value && !yyjson_is_ctn(value);
}

static bool only_scalars(yyjson_val *list)
{
	size_t i, max;
	yyjson_val *item;
	if (!yyjson_is_arr(list))
		return false;
	yyjson_arr_foreach(list, i, max, item)
		if (!is_scalar(item))
			return false;
	return true;
}

static bool first_member(yyjson_val *object, struct str *name, yyjson_val **value)
{
	yyjson_obj_iter iter = yyjson_obj_iter_with(object);
	yyjson_val *key = yyjson_obj_iter_next(&iter);
	*name = json_text(key);
	*value = yyjson_obj_iter_get_val(key);
	return key != NULL;
}

static bool is_field_leaf(yyjson_val *value)
{
	return json_get(value, STR("field")) && (json_get(value, STR("operator")) || json_get(value, STR("op")));
}

static bool is_system_form(yyjson_val *value);

/* Whether {"all":[…]} is a group: JSONLogic's own "all" has two operands of which the first makes a list. */
static bool all_is_group(yyjson_val *operand)
{
	size_t i, max;
	yyjson_val *item, *inner;
	struct str name;
	enum op op;
	if (!yyjson_is_arr(operand))
		return !yyjson_is_obj(operand);
	yyjson_arr_foreach(operand, i, max, item)
		if (is_system_form(item))
			return true;
	item = yyjson_arr_get_first(operand);
	if (max != 2 || !yyjson_is_obj(item))
		return max != 2;
	first_member(item, &name, &inner);
	if (!op_find(name, &op))
		return true;
	return op != OP_VAR && op != OP_IF && op != OP_MAP && op != OP_FILTER && op != OP_REDUCE && op != OP_MERGE &&
	       op != OP_MISSING && op != OP_MISSING_SOME && op != OP_LOG && op != OP_AND && op != OP_OR;
}

/* A form of system A, right or wrong: an object that is not one JSONLogic operation. */
static bool is_system_form(yyjson_val *value)
{
	size_t i, max;
	yyjson_val *operand, *item;
	struct str name;
	enum op op;
	if (!yyjson_is_obj(value))
		return false;
	if (yyjson_obj_size(value) != 1)
		return true;
	first_member(value, &name, &operand);
	if (!op_find(name, &op))
		return true;
	if (op == OP_ALL)
		return all_is_group(operand);
	if (op != OP_AND && op != OP_OR)
		return false;
	yyjson_arr_foreach(operand, i, max, item)
		if (is_system_form(item))
			return true;
	return false;
}

bool condition_is_logic(yyjson_val *condition)
{
	return yyjson_is_obj(condition) && !is_system_form(condition);
}

bool condition_is_field_leaf(yyjson_val *condition)
{
	return yyjson_is_obj(condition) && is_field_leaf(condition);
}

/* --- writing the pieces --- */

static void write_var(struct buf *out, const char *prefix, struct str path)
{
	struct buf whole = { 0 };
	buf_str(&whole, str_of(prefix));
	buf_str(&whole, path);
	buf_lit(out, "{\"var\":");
	buf_json_text(out, buf_view(&whole));
	buf_char(out, '}');
	buf_free(&whole);
}

static void write_present(struct buf *out, struct str var)
{
	buf_lit(out, "{\"!==\":[");
	buf_str(out, var);
	buf_lit(out, ",null]}");
}

static const char *logic_name(enum comparison what)
{
	switch (what) {
	case EQ: return "===";
	case NE: return "!==";
	case GT: return ">";
	case GTE: return ">=";
	case LT: return "<";
	case LTE: case BETWEEN: return "<=";
	default: return "in";
	}
}

/* Null, booleans and "" count as 0 or 1 there; none of them passes a lower bound above that. */
static bool excludes_zero_and_one(enum comparison what, yyjson_val *value)
{
	struct rule_value number;
	yyjson_val *low = what == BETWEEN ? yyjson_arr_get_first(value) : value;
	if ((what != GT && what != GTE && what != BETWEEN) || !json_is_number(low) || !value_from_json(low, &number))
		return false;
	return decimal_cmp(number.number, decimal_of(1)) >= (what == GT ? 0 : 1);
}

/* gt, gte, lt, lte, between: by number or by text, as the bound is. */
static bool write_order(struct writer *writer, struct str var, enum comparison what, yyjson_val *value)
{
	struct buf *out = writer->out;
	yyjson_val *low = value, *high = value;
	if (what == BETWEEN) {
		if (!yyjson_is_arr(value) || yyjson_arr_size(value) != 2)
			return fault(writer, "an array of two bounds", value);
		low = yyjson_arr_get(value, 0);
		high = yyjson_arr_get(value, 1);
	}
	bool text = yyjson_is_str(low) && yyjson_is_str(high);
	if (!text && !(json_is_number(low) && json_is_number(high)))
		return fault(writer, what == BETWEEN ? "two numbers or two strings" : "a number or a string",
			     json_is_number(low) ? high : low);
	buf_printf(out, "{\"and\":[{\"%s\":[", logic_name(what));
	if (what == BETWEEN) {
		json_write(out, low);
		buf_char(out, ',');
	}
	buf_str(out, var);
	buf_char(out, ',');
	json_write(out, high);
	buf_lit(out, "]},");
	if (text) {                                        /* only what is text already */
		buf_lit(out, "{\"===\":[");
		buf_str(out, var);
		buf_lit(out, ",{\"cat\":[");
		buf_str(out, var);
		buf_lit(out, "]}]}]}");
		return true;
	}
	buf_lit(out, "{\"!\":[{\"<=\":[");
	buf_str(out, var);
	buf_lit(out, ",\"~\"]}]}");
	if (!excludes_zero_and_one(what, value)) {
		buf_lit(out, ",{\"!\":[{\"in\":[");
		buf_str(out, var);
		buf_lit(out, ",[null,true,false]]}]}");
	}
	buf_lit(out, "]}");
	return true;
}

static void write_binary(struct buf *out, const char *name, struct str left, struct str right)
{
	buf_printf(out, "{\"%s\":[", name);
	buf_str(out, left);
	buf_char(out, ',');
	buf_str(out, right);
	buf_lit(out, "]}");
}

/* One comparison of the value at `prefix`+`path`. */
static bool write_comparison(struct writer *writer, const char *prefix, struct str path, enum comparison what,
			     yyjson_val *value)
{
	struct buf var = { 0 }, constant = { 0 }, *out = writer->out;
	bool good = true;
	write_var(&var, prefix, path);
	if (value)
		json_write(&constant, value);
	struct str x = buf_view(&var), v = buf_view(&constant);
	switch (what) {
	case EQ: case NE: case CONTAINS:
		if (!is_scalar(value)) {
			good = fault(writer, "a string, number, boolean or null", value);
		} else if (what == EQ) {
			write_binary(out, "===", x, v);
		} else if (what == CONTAINS) {
			write_binary(out, "in", v, x);
		} else {                                   /* what is absent differs from nothing */
			buf_lit(out, "{\"and\":[");
			write_present(out, x);
			buf_char(out, ',');
			write_binary(out, "!==", x, v);
			buf_lit(out, "]}");
		}
		break;
	case IN: case NOT_IN:
		if (!only_scalars(value)) {
			good = fault(writer, "an array of strings, numbers, booleans or null", value);
		} else if (what == IN) {
			write_binary(out, "in", x, v);
		} else {
			buf_lit(out, "{\"and\":[");
			write_present(out, x);
			buf_lit(out, ",{\"!\":[");
			write_binary(out, "in", x, v);
			buf_lit(out, "]}]}");
		}
		break;
	case EXISTS:
		if (value && !yyjson_is_bool(value))
			good = fault(writer, "true or false", value);
		else if (yyjson_is_false(value))
			write_binary(out, "===", x, STR("null"));
		else
			write_present(out, x);
		break;
	default: good = write_order(writer, x, what, value);
	}
	buf_free(&var);
	buf_free(&constant);
	return good;
}

static bool read_comparison(struct writer *writer, yyjson_val *name, bool all, enum comparison *what)
{
	for (size_t i = 0; i < sizeof comparisons / sizeof *comparisons; i++)
		if (yyjson_is_str(name) && str_eq(comparisons[i].name, json_text(name)) &&
		    (all || comparisons[i].what <= BETWEEN)) {
			*what = comparisons[i].what;
			return true;
		}
	if (!yyjson_is_str(name))
		return fault(writer, all ? operators_expected : "eq, ne, gt, gte, lt, lte or between", name);
	faults_add(writer->faults, pointer_text(&writer->pointer), "unknown operator \"%.80s\"; expected %s",
		   json_text(name).ptr, all ? operators_expected : "eq, ne, gt, gte, lt, lte or between");
	writer->failed = true;
	return false;
}

/* --- leaves: each is given its operand, the pointer stands on it --- */

struct leaf {
	struct str name;
	bool (*write)(struct writer *writer, const struct leaf *leaf, yyjson_val *value);
	const char *path;
	enum comparison what;
};

static bool leaf_number(struct writer *writer, const struct leaf *leaf, yyjson_val *value)
{
	if (!json_is_number(value))
		return fault(writer, "a number", value);
	return write_comparison(writer, leaf->path, STR(""), leaf->what, value);
}

static bool leaf_texts(struct writer *writer, const struct leaf *leaf, yyjson_val *value)
{
	size_t i, max;
	yyjson_val *item;
	if (!yyjson_is_arr(value))
		return fault(writer, "an array of strings", value);
	yyjson_arr_foreach(value, i, max, item)
		if (!yyjson_is_str(item))
			return fault(writer, "an array of strings", item);
	return write_comparison(writer, leaf->path, STR(""), IN, value);
}

static bool leaf_flag(struct writer *writer, const struct leaf *leaf, yyjson_val *value)
{
	if (!yyjson_is_bool(value))
		return fault(writer, "true or false", value);
	return write_comparison(writer, leaf->path, STR(""), EQ, value);
}

static bool leaf_weekdays(struct writer *writer, const struct leaf *leaf, yyjson_val *value)
{
	size_t i, max;
	int64_t day;
	yyjson_val *item;
	if (!yyjson_is_arr(value))
		return fault(writer, "an array of weekdays, 0 (Monday) to 6", value);
	yyjson_arr_foreach(value, i, max, item)
		if (!json_int(item, &day) || day < 0 || day > 6) {
			size_t before = pointer_push_index(&writer->pointer, i);
			faults_add(writer->faults, pointer_text(&writer->pointer),
				   "a weekday expected, 0 (Monday) to 6");
			writer->pointer.len = before;
			return !(writer->failed = true);
		}
	return write_comparison(writer, leaf->path, STR(""), IN, value);
}

static bool leaf_bonus(struct writer *writer, const struct leaf *leaf, yyjson_val *value)
{
	if (!yyjson_is_str(value))
		return fault(writer, "a bonus key", value);
	return write_comparison(writer, leaf->path, STR(""), CONTAINS, value);
}

/* A member that must be text, and not empty. */
static bool member_text(struct writer *writer, yyjson_val *object, struct str name, struct str *out)
{
	yyjson_val *value = json_get(object, name);
	size_t before = pointer_push(&writer->pointer, name);
	*out = json_text(value);
	if (!out->len)
		fault(writer, "a string that is not empty", value);
	writer->pointer.len = before;
	return out->len != 0;
}

/* {path: value, …}, or {"path": p, "value": v}. */
static bool leaf_payload(struct writer *writer, const struct leaf *leaf, yyjson_val *value)
{
	size_t i, max;
	yyjson_val *key, *item;
	struct str path;
	bool good = true;
	if (!yyjson_is_obj(value))
		return fault(writer, "an object of paths and values", value);
	if (yyjson_obj_size(value) == 2 && yyjson_is_str(json_get(value, STR("path"))) &&
	    json_get(value, STR("value"))) {
		if (!member_text(writer, value, STR("path"), &path))
			return false;
		size_t before = pointer_push(&writer->pointer, STR("value"));
		good = write_comparison(writer, leaf->path, path, EQ, json_get(value, STR("value")));
		writer->pointer.len = before;
		return good;
	}
	if (!yyjson_obj_size(value))
		return fault(writer, "at least one path", value);
	bool many = yyjson_obj_size(value) > 1;
	if (many)
		buf_lit(writer->out, "{\"and\":[");
	yyjson_obj_foreach(value, i, max, key, item) {
		size_t before = pointer_push(&writer->pointer, json_text(key));
		if (i)
			buf_char(writer->out, ',');
		good &= write_comparison(writer, leaf->path, json_text(key), EQ, item);
		writer->pointer.len = before;
	}
	if (many)
		buf_lit(writer->out, "]}");
	return good;
}

/* {path, values}, {path, value}, {path, op, value}, {field, op, value}: named by the leaf's comparison. */
static bool leaf_at_path(struct writer *writer, const struct leaf *leaf, yyjson_val *value)
{
	bool customer = str_eq(leaf->name, STR("customer_cmp"));
	bool cmp = customer || str_eq(leaf->name, STR("payload_cmp"));
	struct str path, operand = leaf->what == IN ? STR("values") : STR("value"), name;
	enum comparison what = leaf->what;
	size_t before;
	if (!yyjson_is_obj(value))
		return fault(writer, customer ? "an object of field, op and value" :
			     cmp ? "an object of path, op and value" :
			     leaf->what == IN ? "an object of path and values" : "an object of path and value", value);
	if (!member_text(writer, value, customer ? STR("field") : STR("path"), &path))
		return false;
	if (cmp) {
		name = json_get(value, STR("op")) ? STR("op") : STR("operator");
		before = pointer_push(&writer->pointer, name);
		bool known = read_comparison(writer, json_get(value, name), false, &what);
		writer->pointer.len = before;
		if (!known)
			return false;
	}
	before = pointer_push(&writer->pointer, operand);
	bool good = write_comparison(writer, leaf->path, path, what, json_get(value, operand));
	writer->pointer.len = before;
	return good;
}

/* A path, an array of them, or {path}. */
static bool leaf_present(struct writer *writer, const struct leaf *leaf, yyjson_val *value)
{
	size_t i, max;
	yyjson_val *item;
	struct str path;
	bool good = true;
	if (yyjson_is_obj(value))
		return member_text(writer, value, STR("path"), &path) &&
		       write_comparison(writer, leaf->path, path, EXISTS, NULL);
	if (yyjson_is_str(value) && yyjson_get_len(value))
		return write_comparison(writer, leaf->path, json_text(value), EXISTS, NULL);
	if (!yyjson_is_arr(value) || !yyjson_arr_size(value))
		return fault(writer, "a path or an array of paths", value);
	buf_lit(writer->out, "{\"and\":[");
	yyjson_arr_foreach(value, i, max, item) {
		size_t before = pointer_push_index(&writer->pointer, i);
		if (i)
			buf_char(writer->out, ',');
		if (!json_text(item).len)
			good = fault(writer, "a path", item);
		else
			good &= write_comparison(writer, leaf->path, json_text(item), EXISTS, NULL);
		writer->pointer.len = before;
	}
	buf_lit(writer->out, "]}");
	return good;
}

static const struct leaf leaves[] = {
	{ { "amount_gte", 10 }, leaf_number, "payload.amount", GTE },
	{ { "points_gte", 10 }, leaf_number, "customer.points", GTE },
	{ { "payload", 7 }, leaf_payload, "payload.", EQ },
	{ { "payload_in", 10 }, leaf_at_path, "payload.", IN },
	{ { "payload_contains", 16 }, leaf_at_path, "payload.", CONTAINS },
	{ { "payload_cmp", 11 }, leaf_at_path, "payload.", EQ },
	{ { "payload_present", 15 }, leaf_present, "payload.", EXISTS },
	{ { "customer_status_in", 18 }, leaf_texts, "customer.status", IN },
	{ { "customer_loyalty_status_in", 26 }, leaf_texts, "customer.loyalty_status", IN },
	{ { "customer_created_days_gte", 25 }, leaf_number, "customer.created_days", GTE },
	{ { "customer_last_activity_days_gte", 31 }, leaf_number, "customer.last_activity_days", GTE },
	{ { "customer_lifetime_points_gte", 28 }, leaf_number, "customer.lifetime_points", GTE },
	{ { "customer_cmp", 12 }, leaf_at_path, "customer.", EQ },
	{ { "weekday_in", 10 }, leaf_weekdays, "event.weekday", IN },
	{ { "first_purchase", 14 }, leaf_flag, "event.first_purchase", EQ },
	{ { "birthday", 8 }, leaf_flag, "event.birthday", EQ },
	{ { "bonus_awarded", 13 }, leaf_bonus, "customer.bonus_awards", CONTAINS },
};

/* --- groups --- */

static bool begins(struct str text, struct str prefix)
{
	return text.len > prefix.len && memcmp(text.ptr, prefix.ptr, prefix.len) == 0;
}

/* {field, operator, value}: a field without a known prefix is one of the payload. */
static bool write_field_leaf(struct writer *writer, yyjson_val *condition)
{
	size_t i, max, before;
	yyjson_val *key, *item;
	struct str field, name = json_get(condition, STR("operator")) ? STR("operator") : STR("op");
	enum comparison what;
	yyjson_obj_foreach(condition, i, max, key, item)
		if (!str_eq(json_text(key), STR("field")) && !str_eq(json_text(key), name) &&
		    !str_eq(json_text(key), STR("value"))) {
			pointer_push(&writer->pointer, json_text(key));
			faults_add(writer->faults, pointer_text(&writer->pointer),
				   "unknown member; expected field, operator and value");
			return !(writer->failed = true);
		}
	if (!member_text(writer, condition, STR("field"), &field))
		return false;
	before = pointer_push(&writer->pointer, name);
	bool known = read_comparison(writer, json_get(condition, name), true, &what);
	writer->pointer.len = before;
	if (!known)
		return false;
	bool whole = begins(field, STR("payload.")) || begins(field, STR("customer.")) || begins(field, STR("event."));
	before = pointer_push(&writer->pointer, STR("value"));
	known = write_comparison(writer, whole ? "" : "payload.", field, what, json_get(condition, STR("value")));
	writer->pointer.len = before;
	return known;
}

static bool write_group(struct writer *writer, const char *name, yyjson_val *list)
{
	size_t i, max;
	yyjson_val *item;
	bool good = true;
	if (!yyjson_is_arr(list))
		return fault(writer, "an array of conditions", list);
	if (!yyjson_arr_size(list)) {                      /* all of nothing holds, any of nothing does not */
		buf_str(writer->out, name[0] == 'a' ? STR("true") : STR("false"));
		return true;
	}
	buf_printf(writer->out, "{\"%s\":[", name);
	yyjson_arr_foreach(list, i, max, item) {
		size_t before = pointer_push_index(&writer->pointer, i);
		if (i)
			buf_char(writer->out, ',');
		good &= write_condition(writer, item);
		writer->pointer.len = before;
	}
	buf_lit(writer->out, "]}");
	return good;
}

/* One member of a form's object; the pointer stands on it. */
static bool write_member(struct writer *writer, struct str name, yyjson_val *value)
{
	struct buf known = { 0 };
	if (str_eq(name, STR("all")) || str_eq(name, STR("and")))
		return write_group(writer, "and", value);
	if (str_eq(name, STR("any")) || str_eq(name, STR("or")))
		return write_group(writer, "or", value);
	if (str_eq(name, STR("not"))) {
		buf_lit(writer->out, "{\"!\":[");
		bool good = yyjson_is_arr(value) ? write_group(writer, "and", value) : write_condition(writer, value);
		buf_lit(writer->out, "]}");
		return good;
	}
	for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++)
		if (str_eq(leaves[i].name, name))
			return leaves[i].write(writer, &leaves[i], value);
	for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++)
		buf_printf(&known, "%s%s", i ? ", " : "", leaves[i].name.ptr);
	faults_add(writer->faults, pointer_text(&writer->pointer), "unknown condition \"%.60s\"; "
		   "expected all, any, not, {field, operator, value}, a JSONLogic operation, or %.*s",
		   name.ptr, (int)known.len, known.ptr);
	buf_free(&known);
	return !(writer->failed = true);
}

static bool write_condition(struct writer *writer, yyjson_val *condition)
{
	size_t i, max, before = writer->pointer.len;
	yyjson_val *key, *item;
	bool good = true;
	if (!condition || yyjson_is_null(condition)) {
		buf_lit(writer->out, "true");
		return true;
	}
	if (yyjson_is_bool(condition) || (yyjson_is_obj(condition) && !is_system_form(condition))) {
		json_write(writer->out, condition);
		return true;
	}
	if (!yyjson_is_obj(condition))
		return fault(writer, "a condition (an object, true, false or null)", condition);
	if (is_field_leaf(condition)) {
		good = write_field_leaf(writer, condition);
		writer->pointer.len = before;
		return good;
	}
	if (!yyjson_obj_size(condition))
		buf_lit(writer->out, "true");
	bool many = yyjson_obj_size(condition) > 1;
	if (many)
		buf_lit(writer->out, "{\"and\":[");
	yyjson_obj_foreach(condition, i, max, key, item) {
		if (i)
			buf_char(writer->out, ',');
		pointer_push(&writer->pointer, json_text(key));
		good &= write_member(writer, json_text(key), item);
		writer->pointer.len = before;
	}
	if (many)
		buf_lit(writer->out, "]}");
	return good;
}

bool condition_to_jsonlogic(yyjson_val *condition, const char *pointer, struct buf *out, struct faults *faults)
{
	struct writer writer = { .out = out, .faults = faults };
	size_t before = out->len;
	buf_str(&writer.pointer, str_of(pointer));
	bool good = write_condition(&writer, condition);
	IMPLIES(!good, writer.failed);
	buf_free(&writer.pointer);
	if (!good)
		out->len = before;
	return good;
}

/* --- describing the forms: what is above, as JSON Schema --- */

#define SCALAR "{\"type\":[\"string\",\"number\",\"boolean\",\"null\"]}"
#define PATH "{\"type\":\"string\",\"minLength\":1}"

static const struct { unsigned from, to; const char *value; } operands[] = {   /* of comparisons from..to */
	{ EQ, NE, SCALAR }, { GT, LTE, "{\"type\":[\"number\",\"string\"]}" },
	{ BETWEEN, BETWEEN, "{\"type\":\"array\",\"minItems\":2,\"maxItems\":2,\"anyOf\":[{\"items\":{\"type\":\"number\"}},"
			    "{\"items\":{\"type\":\"string\"}}]}" },
	{ IN, NOT_IN, "{\"type\":\"array\",\"items\":" SCALAR "}" }, { CONTAINS, CONTAINS, SCALAR },
	{ EXISTS, EXISTS, "{\"type\":\"boolean\"}" },
};

/* {field, operator, value} in its variants; `open`: the leaf *_cmp, which takes fewer comparisons and ignores other members. */
static void describe_comparisons(struct buf *out, const char *path, bool open)
{
	static const char *const names[] = { "operator", "op" };
	for (size_t n = 0; n < 2; n++)
		for (size_t i = 0; i < sizeof operands / sizeof *operands; i++) {
			bool first = true;
			if (open && operands[i].from > BETWEEN)
				continue;
			buf_printf(out, "%s{\"type\":\"object\",\"properties\":{\"%s\":" PATH ",\"%s\":{\"enum\":[", n + i ? "," : "",
				   path, names[n]);
			for (size_t c = 0; c < sizeof comparisons / sizeof *comparisons; c++)
				if (comparisons[c].what >= operands[i].from && comparisons[c].what <= operands[i].to) {
					buf_printf(out, "%s\"%s\"", first ? "" : ",", comparisons[c].name.ptr);
					first = false;
				}
			buf_printf(out, "]},\"value\":%s},\"required\":[\"%s\",\"%s\"%s]%s}", operands[i].value, path, names[n],
				   operands[i].from == EXISTS ? "" : ",\"value\"",
				   !open ? ",\"additionalProperties\":false" : n ? "" : ",\"not\":{\"required\":[\"op\"]}");
		}
}

static void describe_leaf(struct buf *out, const struct leaf *leaf)
{
	bool customer = str_eq(leaf->name, STR("customer_cmp"));
	if (leaf->write == leaf_number) {
		buf_lit(out, "{\"type\":\"number\"}");
	} else if (leaf->write == leaf_texts) {
		buf_lit(out, "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}");
	} else if (leaf->write == leaf_weekdays) {
		buf_lit(out, "{\"type\":\"array\",\"items\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":6}}");
	} else if (leaf->write == leaf_flag) {
		buf_lit(out, "{\"type\":\"boolean\"}");
	} else if (leaf->write == leaf_bonus) {
		buf_lit(out, "{\"type\":\"string\"}");
	} else if (leaf->write == leaf_payload) {
		buf_lit(out, "{\"type\":\"object\",\"minProperties\":1,\"additionalProperties\":" SCALAR ",\"not\":{\"type\":\"object\","
			     "\"required\":[\"path\",\"value\"],\"maxProperties\":2,\"properties\":{\"path\":{\"const\":\"\"}}}}");
	} else if (leaf->write == leaf_present) {
		buf_lit(out, "{\"anyOf\":[" PATH ",{\"type\":\"array\",\"minItems\":1,\"items\":" PATH "},{\"type\":\"object\","
			     "\"required\":[\"path\"],\"properties\":{\"path\":" PATH "}}]}");
	} else if (customer || str_eq(leaf->name, STR("payload_cmp"))) {
		buf_lit(out, "{\"anyOf\":[");
		describe_comparisons(out, customer ? "field" : "path", true);
		buf_lit(out, "]}");
	} else {
		ASSERT(leaf->write == leaf_at_path);
		buf_printf(out, "{\"type\":\"object\",\"properties\":{\"path\":" PATH ",\"%s\":%s},\"required\":[\"path\",\"%s\"]}",
			   leaf->what == IN ? "values" : "value",
			   leaf->what == IN ? "{\"type\":\"array\",\"items\":" SCALAR "}" : SCALAR,
			   leaf->what == IN ? "values" : "value");
	}
}

/* Objects of one operation.  In a condition, what looks like one of its own forms is none: see is_system_form. */
static void describe_operations(struct buf *out, const char *refs, bool condition)
{
	static const char *const of_lists[] = { "var", "if", "?:", "map", "filter", "reduce", "merge", "missing", "missing_some",
						"log", "and", "or", NULL };
	struct str name;
	buf_lit(out, "{\"type\":\"object\",\"minProperties\":1,\"maxProperties\":1,\"additionalProperties\":false,\"properties\":{");
	for (size_t i = 0; (name = op_at(i)).len; i++) {
		buf_printf(out, "%s\"%s\":", i ? "," : "", name.ptr);
		if (condition && str_eq(name, STR("all"))) {
			buf_printf(out, "{\"anyOf\":[{\"type\":\"object\",\"$ref\":\"%slogic\"},{\"type\":\"array\",\"minItems\":2,"
					"\"maxItems\":2,\"items\":{\"$ref\":\"%scondition_operand\"},\"prefixItems\":[{\"allOf\":["
					"{\"$ref\":\"%scondition_operand\"},{\"anyOf\":[{\"type\":[\"string\",\"number\",\"boolean\",\"null\","
					"\"array\"]}", refs, refs, refs);
			for (size_t j = 0; of_lists[j]; j++)
				buf_printf(out, ",{\"type\":\"object\",\"required\":[\"%s\"]}", of_lists[j]);
			buf_lit(out, "]}]}]}]}");
		} else if (condition && (str_eq(name, STR("and")) || str_eq(name, STR("or")))) {
			buf_printf(out, "{\"anyOf\":[{\"type\":\"array\",\"items\":{\"$ref\":\"%scondition_operand\"}},{\"type\":"
					"[\"string\",\"number\",\"boolean\",\"null\",\"object\"],\"$ref\":\"%slogic\"}]}", refs, refs);
		} else {
			buf_printf(out, "{\"$ref\":\"%slogic\"}", refs);
		}
	}
	buf_lit(out, "}}");
}

void condition_definitions(struct buf *out, const char *refs)
{
	static const char *const groups[] = { "all", "and", "any", "or" };
	buf_printf(out, "\"condition\":{\"description\":\"all, any, not of conditions; leaves; {field, operator, value}; or JSONLogic.\","
			"\"anyOf\":[{\"type\":[\"boolean\",\"null\"]},{\"$ref\":\"%scondition_group\"},{\"$ref\":\"%scondition_field\"},"
			"{\"$ref\":\"%scondition_logic\"}]},\"condition_group\":{\"type\":\"object\",\"additionalProperties\":false,"
			"\"properties\":{", refs, refs, refs);
	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
		buf_printf(out, "\"%s\":{\"type\":\"array\",\"items\":{\"$ref\":\"%scondition\"}},", groups[i], refs);
	buf_printf(out, "\"not\":{\"anyOf\":[{\"$ref\":\"%scondition\"},{\"type\":\"array\",\"items\":{\"$ref\":\"%scondition\"}}]}",
		   refs, refs);
	for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++) {
		buf_printf(out, ",\"%s\":", leaves[i].name.ptr);
		describe_leaf(out, &leaves[i]);
	}
	buf_lit(out, "}},\"condition_field\":{\"anyOf\":[");
	describe_comparisons(out, "field", false);
	buf_lit(out, "]},\"condition_logic\":");
	describe_operations(out, refs, true);
	buf_printf(out, ",\"condition_operand\":{\"anyOf\":[" SCALAR ",{\"type\":\"array\",\"$ref\":\"%slogic\"},"
			"{\"$ref\":\"%scondition_logic\"}]},\"logic\":{\"anyOf\":[" SCALAR ",{\"type\":\"array\",\"items\":{\"$ref\":"
			"\"%slogic\"}},{\"type\":\"object\",\"maxProperties\":0},{\"type\":\"object\",\"minProperties\":2},"
			"{\"$ref\":\"%slogic_operation\"}]},\"logic_operation\":", refs, refs, refs, refs);
	describe_operations(out, refs, false);
}
