// SPDX-License-Identifier: Apache-2.0
/* compile.c - from JSONLogic to the compiled form.
 *
 * Idea: one walk measures (upper bounds of nodes, list items, path segments and text bytes), one block is allocated,
 * a second walk fills it. Faults are gathered, each with its pointer; the walk goes on behind a fault, so that all
 * are named at once.
 */
#include "engine/rule/program.h"

#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"

struct measure {
	size_t values, items, segments, bytes;
	bool too_deep, literals;
};

struct compiler {
	struct faults *faults;
	struct buf pointer;
	bool failed;
	struct node *node;             /* the next free ones */
	struct rule_value *item;
	struct segment *segment;
	char *byte;
	struct measure left;           /* of each */
};

static void fault_number(struct compiler *compiler, yyjson_val *value)
{
	struct str digits = json_raw(value);
	compiler->failed = true;
	faults_add(compiler->faults, pointer_text(&compiler->pointer), "number %.*s does not fit; at most 38 digits, "
		   "%d of them behind the point", (int)(digits.len < 60 ? digits.len : 60), digits.ptr,
		   DECIMAL_SCALE_MAX);
}

static void measure(struct measure *sum, yyjson_val *value, bool operands, unsigned depth)
{
	size_t i, max;
	yyjson_val *key, *item;
	sum->values++;
	if (depth > RULE_DEPTH_MAX) {
		sum->too_deep = true;
		return;
	}
	if (yyjson_is_str(value)) {
		struct str text = json_text(value);
		sum->bytes += text.len;
		sum->segments++;
		for (size_t at = 0; at < text.len; at++)
			sum->segments += text.ptr[at] == '.';
	} else if (yyjson_is_arr(value)) {
		if (!operands)
			sum->items += yyjson_arr_size(value);
		yyjson_arr_foreach(value, i, max, item)
			measure(sum, item, false, depth + 1);
	} else if (yyjson_is_obj(value)) {
		bool operation = yyjson_obj_size(value) == 1;
		sum->literals |= !operation;
		yyjson_obj_foreach(value, i, max, key, item)
			measure(sum, item, operation, depth + 1);
	}
}

static struct str copy_text(struct compiler *compiler, struct str text)
{
	ASSERT(text.len <= compiler->left.bytes);
	if (text.len)
		memcpy(compiler->byte, text.ptr, text.len);
	text.ptr = compiler->byte;
	compiler->byte += text.len;
	compiler->left.bytes -= text.len;
	return text;
}

static struct node *take_nodes(struct compiler *compiler, size_t count)
{
	struct node *first = compiler->node;
	ASSERT(count <= compiler->left.values);
	compiler->node += count;
	compiler->left.values -= count;
	return first;
}

static size_t index_of(struct str key)
{
	size_t index = 0;
	if (!key.len || key.len > 9 || (key.len > 1 && key.ptr[0] == '0'))
		return SIZE_MAX;
	for (size_t i = 0; i < key.len; i++) {
		if (key.ptr[i] < '0' || key.ptr[i] > '9')
			return SIZE_MAX;
		index = index * 10 + (size_t)(key.ptr[i] - '0');
	}
	return index;
}

static void split_path(struct compiler *compiler, struct node *node, struct str path)
{
	node->op = OP_VAR_PATH;
	node->path = path;
	node->segments = compiler->segment;
	node->segment_count = 0;
	for (size_t at = 0; path.len && at <= path.len;) {
		const char *dot = memchr(path.ptr + at, '.', path.len - at);
		size_t end = dot ? (size_t)(dot - path.ptr) : path.len;
		struct str key = { path.ptr + at, end - at };
		ASSERT(compiler->left.segments);
		compiler->left.segments--;
		*compiler->segment++ = (struct segment){ key, index_of(key) };
		node->segment_count++;
		at = end + 1;
	}
}

static void compile_value(struct compiler *compiler, yyjson_val *value, struct node *node);

/* Constants all: the list is a constant, and the nodes of its items are free again. */
static void fold_list(struct compiler *compiler, struct node *node)
{
	struct rule_value *items = compiler->item;
	for (size_t i = 0; i < node->count; i++)
		if (node->children[i].op != OP_CONST)
			return;
	ASSERT(node->count <= compiler->left.items);
	for (size_t i = 0; i < node->count; i++) {
		items[i] = node->children[i].constant;
		node->steps += node->children[i].steps;
	}
	compiler->item += node->count;
	compiler->left.items -= node->count;
	if (!value_list(items, node->count, &node->constant)) {
		compiler->failed = true;
		faults_add(compiler->faults, pointer_text(&compiler->pointer),
			   "list of constants is too large or too deep");
		return;
	}
	compiler->left.values += (size_t)(compiler->node - node->children);
	compiler->node = (struct node *)(uintptr_t)node->children;
	node->op = OP_CONST;
	node->count = 0;
	node->children = NULL;
}

static void compile_children(struct compiler *compiler, yyjson_val *list, struct node *node)
{
	size_t i, max;
	yyjson_val *item;
	struct node *children = take_nodes(compiler, yyjson_arr_size(list));
	node->count = (uint16_t)yyjson_arr_size(list);
	node->children = children;
	yyjson_arr_foreach(list, i, max, item) {
		size_t before = pointer_push_index(&compiler->pointer, i);
		compile_value(compiler, item, &children[i]);
		compiler->pointer.len = before;
	}
}

static void compile_operation(struct compiler *compiler, yyjson_val *key, yyjson_val *operands, struct node *node)
{
	enum op op;
	struct str name = json_text(key);
	size_t before = pointer_push(&compiler->pointer, name);
	if (!op_find(name, &op)) {
		compiler->failed = true;
		faults_add(compiler->faults, pointer_text(&compiler->pointer), "unknown operator \"%.*s\"",
			   (int)(name.len < 80 ? name.len : 80), name.ptr ? name.ptr : "");
		compiler->pointer.len = before;
		return;
	}
	if (yyjson_is_arr(operands)) {
		compile_children(compiler, operands, node);
	} else {
		struct node *child = take_nodes(compiler, 1);
		node->count = 1;
		node->children = child;
		compile_value(compiler, operands, child);
	}
	node->op = (uint16_t)op;
	if (op == OP_VAR && (!node->count || (node->children[0].op == OP_CONST &&
					      (node->children[0].constant.type == RULE_NULL ||
					       node->children[0].constant.type == RULE_TEXT)))) {
		bool empty = !node->count || node->children[0].constant.type == RULE_NULL;
		node->steps += node->count ? node->children[0].steps : 0;
		split_path(compiler, node, empty ? STR("") : node->children[0].constant.text);
		node->children = node->count > 1 ? node->children + 1 : NULL;
		node->count = node->count > 1 ? node->count - 1 : 0;
	}
	compiler->pointer.len = before;
}

static void compile_value(struct compiler *compiler, yyjson_val *value, struct node *node)
{
	*node = (struct node){ .op = OP_CONST, .steps = 1 };
	if (yyjson_is_arr(value)) {
		node->op = OP_LIST;
		compile_children(compiler, value, node);
		fold_list(compiler, node);
	} else if (yyjson_is_obj(value) && yyjson_obj_size(value) == 1) {
		yyjson_obj_iter iter = yyjson_obj_iter_with(value);
		yyjson_val *key = yyjson_obj_iter_next(&iter);
		compile_operation(compiler, key, yyjson_obj_iter_get_val(key), node);
	} else if (!value_from_json(value, &node->constant)) {
		fault_number(compiler, value);
	} else if (yyjson_is_str(value)) {
		node->constant.text = copy_text(compiler, node->constant.text);
	}
}

static yyjson_doc *copy_source(yyjson_val *source)
{
	yyjson_mut_doc *made = yyjson_mut_doc_new(&json_alc);
	yyjson_mut_val *root = made ? yyjson_val_mut_copy(made, source) : NULL;
	yyjson_doc *copy = NULL;
	if (root) {
		yyjson_mut_doc_set_root(made, root);
		copy = yyjson_mut_doc_imut_copy(made, &json_alc);
	}
	yyjson_mut_doc_free(made);
	ASSERT(copy);
	return copy;
}

struct rule *rule_compile(yyjson_val *source, const char *pointer, struct faults *faults)
{
	struct compiler compiler = { .faults = faults };
	struct measure sum = { 0 };
	measure(&sum, source, false, 0);
	if (sum.too_deep) {
		faults_add(faults, pointer, "rule nested deeper than %d levels", RULE_DEPTH_MAX);
		return NULL;
	}
	if (sum.values > RULE_NODES_MAX) {
		faults_add(faults, pointer, "rule of %zu values; at most %d are allowed", sum.values, RULE_NODES_MAX);
		return NULL;
	}
	size_t head = (sizeof(struct rule) + 15) & ~(size_t)15;
	char *block = mem_alloc(head + sum.values * sizeof(struct node) + sum.items * sizeof(struct rule_value) +
				sum.segments * sizeof(struct segment) + sum.bytes);
	struct rule *rule = (struct rule *)(void *)block;
	compiler.left = sum;
	compiler.node = (struct node *)(void *)(block + head);
	compiler.item = (struct rule_value *)(void *)(compiler.node + sum.values);
	compiler.segment = (struct segment *)(void *)(compiler.item + sum.items);
	compiler.byte = (char *)(compiler.segment + sum.segments);
	*rule = (struct rule){ .literals = sum.literals ? copy_source(source) : NULL };
	buf_str(&compiler.pointer, str_of(pointer));
	struct node *root = take_nodes(&compiler, 1);
	rule->root = root;
	compile_value(&compiler, rule->literals ? yyjson_doc_get_root(rule->literals) : source, root);
	buf_free(&compiler.pointer);
	if (!compiler.failed)
		return rule;
	rule_free(rule);
	return NULL;
}

void rule_free(struct rule *rule)
{
	if (!rule)
		return;
	yyjson_doc_free(rule->literals);
	mem_free(rule);
}
