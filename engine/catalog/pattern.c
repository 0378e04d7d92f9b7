// SPDX-License-Identifier: Apache-2.0
/* pattern.c - Thompson's construction: a pattern becomes states, and all states that can be reached walk the text
 * together.
 *
 * No backtracking, so no pattern is slow on a hostile text.  Counted repeats are copies of the states of what they
 * repeat; PATTERN_STATES_MAX bounds them.  Invariant: `next` and `other` of a state are indices into the same table.
 */
#include "engine/catalog/pattern.h"

#include <stdint.h>
#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

enum op { OP_SET, OP_SPLIT, OP_JUMP, OP_BEGIN, OP_END, OP_MATCH };

struct range {
	uint32_t first, last;
};

struct state {
	enum op op;
	uint32_t next, other;          /* OP_SPLIT goes both ways */
	uint32_t from, to;             /* OP_SET: ranges[from..to) */
	bool negated;
};

struct pattern {
	struct state *states;
	size_t count, cap;
	struct range *ranges;
	size_t range_count, range_cap;
};

struct parser {
	const char *at, *end;
	struct pattern *out;
	int depth;
	char *error;                   /* "" while all is well */
};

static bool fail(struct parser *parser, const char *message)
{
	if (!parser->error[0])
		snprintf(parser->error, 120, "%s", message);
	return false;
}

static uint32_t emit(struct parser *parser, struct state state)
{
	struct pattern *out = parser->out;
	if (out->count == PATTERN_STATES_MAX) {
		fail(parser, "the pattern is too large (repeats count as copies)");
		return 0;
	}
	if (out->count == out->cap) {
		out->cap = out->cap ? out->cap * 2 : 32;
		out->states = mem_realloc(out->states, out->cap * sizeof *out->states);
	}
	out->states[out->count] = state;
	return (uint32_t)out->count++;
}

static void add_range(struct pattern *out, uint32_t first, uint32_t last)
{
	if (out->range_count == out->range_cap) {
		out->range_cap = out->range_cap ? out->range_cap * 2 : 32;
		out->ranges = mem_realloc(out->ranges, out->range_cap * sizeof *out->ranges);
	}
	out->ranges[out->range_count++] = (struct range){ first, last };
}

/* The next character; the text is UTF-8 that was checked, and a bad byte counts as one character all the same. */
static uint32_t take(const char **at, const char *end)
{
	const unsigned char *p = (const unsigned char *)*at;
	size_t left = (size_t)(end - *at);
	size_t len = p[0] < 0x80 ? 1 : p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : p[0] >= 0xC0 ? 2 : 1;
	if (len > left)
		len = 1;
	*at += len;
	switch (len) {
	case 2: return (p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu);
	case 3: return (p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
	case 4: return (p[0] & 0x07u) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu);
	default: return p[0];
	}
}

static const struct range digits[] = { { '0', '9' } };
static const struct range words[] = { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } };
static const struct range spaces[] = { { '\t', '\r' }, { ' ', ' ' }, { 0xA0, 0xA0 }, { 0x1680, 0x1680 },
				       { 0x2000, 0x200A }, { 0x2028, 0x2029 }, { 0x202F, 0x202F }, { 0x205F, 0x205F },
				       { 0x3000, 0x3000 }, { 0xFEFF, 0xFEFF } };

/* Adds \d, \w, \s or, for the capital letter, everything else.  False if `letter` is none of them. */
static bool add_class(struct pattern *out, char letter)
{
	const struct range *list;
	size_t count;
	switch (letter) {
	case 'd': case 'D': list = digits; count = sizeof digits / sizeof *digits; break;
	case 'w': case 'W': list = words; count = sizeof words / sizeof *words; break;
	case 's': case 'S': list = spaces; count = sizeof spaces / sizeof *spaces; break;
	default: return false;
	}
	uint32_t from = 0;
	for (size_t i = 0; i < count; i++) {
		if (letter >= 'a')
			add_range(out, list[i].first, list[i].last);
		else if (from < list[i].first)
			add_range(out, from, list[i].first - 1);
		from = list[i].last + 1;
	}
	if (letter < 'a')
		add_range(out, from, 0x10FFFF);
	return true;
}

/* Behind a backslash, and not a class: the character that is meant. */
static bool escape(struct parser *parser, uint32_t *out)
{
	uint32_t c = take(&parser->at, parser->end);
	switch (c) {
	case 't': *out = '\t'; return true;
	case 'n': *out = '\n'; return true;
	case 'r': *out = '\r'; return true;
	case 'f': *out = '\f'; return true;
	case 'v': *out = '\v'; return true;
	case 'u':
	case 'x':
		*out = 0;
		for (int i = 0, count = c == 'u' ? 4 : 2; i < count; i++) {
			char h = parser->at < parser->end ? *parser->at++ : 0;
			if (h >= '0' && h <= '9')
				*out = *out * 16 + (uint32_t)(h - '0');
			else if ((h | 32) >= 'a' && (h | 32) <= 'f')
				*out = *out * 16 + (uint32_t)((h | 32) - 'a' + 10);
			else
				return fail(parser, "\\u needs four hexadecimal digits, \\x two");
		}
		return true;
	case 'b': case 'B': return fail(parser, "\\b and \\B are not supported");
	case 'p': case 'P': return fail(parser, "\\p is not supported");
	default: break;
	}
	if (c >= '1' && c <= '9')
		return fail(parser, "back references are not supported");
	if (c >= 0x80 || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z'))
		return fail(parser, "unknown escape behind a backslash");
	*out = c;
	return true;
}

static bool parse_set(struct parser *parser)
{
	struct state state = { .op = OP_SET, .from = (uint32_t)parser->out->range_count };
	if (parser->at < parser->end && *parser->at == '^') {
		state.negated = true;
		parser->at++;
	}
	for (;;) {
		uint32_t first, last;
		if (parser->at == parser->end)
			return fail(parser, "\"[\" without \"]\"");
		if (*parser->at == ']')
			break;
		first = take(&parser->at, parser->end);
		if (first == '\\') {
			if (parser->at == parser->end)
				return fail(parser, "a backslash at the end");
			if (add_class(parser->out, *parser->at)) {
				parser->at++;
				continue;
			}
			if (!escape(parser, &first))
				return false;
		}
		last = first;
		if (parser->end - parser->at >= 2 && parser->at[0] == '-' && parser->at[1] != ']') {
			parser->at++;
			last = take(&parser->at, parser->end);
			if (last == '\\') {
				if (parser->at == parser->end)
					return fail(parser, "a backslash at the end");
				if (!escape(parser, &last))
					return false;
			}
			if (last < first)
				return fail(parser, "a range in [] runs backwards");
		}
		add_range(parser->out, first, last);
	}
	parser->at++;
	state.to = (uint32_t)parser->out->range_count;
	emit(parser, state);
	return !parser->error[0];
}

static bool parse_either(struct parser *parser);

/* One character, class, group or anchor.  Its states go to the end of the table and lead to what comes behind them. */
static bool parse_atom(struct parser *parser, bool *repeatable)
{
	struct pattern *out = parser->out;
	uint32_t c = take(&parser->at, parser->end);
	struct state state = { .op = OP_SET, .from = (uint32_t)out->range_count };
	*repeatable = true;
	switch (c) {
	case '(':
		if (parser->end - parser->at >= 1 && *parser->at == '?') {
			if (parser->end - parser->at < 2 || parser->at[1] != ':')
				return fail(parser, "look-around and named groups are not supported");
			parser->at += 2;
		}
		if (++parser->depth > PATTERN_DEPTH_MAX)
			return fail(parser, "groups are nested too deep");
		if (!parse_either(parser))
			return false;
		parser->depth--;
		if (parser->at == parser->end || *parser->at != ')')
			return fail(parser, "\"(\" without \")\"");
		parser->at++;
		return true;
	case '[':
		return parse_set(parser);
	case '^':
	case '$':
		*repeatable = false;
		emit(parser, (struct state){ .op = c == '^' ? OP_BEGIN : OP_END });
		return !parser->error[0];
	case '*': case '+': case '?': case '{':
		return fail(parser, "nothing to repeat");
	case '.':
		add_range(out, '\n', '\n');
		add_range(out, '\r', '\r');
		add_range(out, 0x2028, 0x2029);
		state.negated = true;
		break;
	case '\\':
		if (parser->at == parser->end)
			return fail(parser, "a backslash at the end");
		if (add_class(out, *parser->at)) {
			parser->at++;
			break;
		}
		if (!escape(parser, &c))
			return false;
		add_range(out, c, c);
		break;
	default:
		add_range(out, c, c);
	}
	state.to = (uint32_t)out->range_count;
	emit(parser, state);
	return !parser->error[0];
}

static bool parse_number(struct parser *parser, size_t *number)
{
	const char *start = parser->at;
	*number = 0;
	for (; parser->at < parser->end && *parser->at >= '0' && *parser->at <= '9'; parser->at++)
		if (*number <= PATTERN_STATES_MAX)
			*number = *number * 10 + (size_t)(*parser->at - '0');
	return parser->at > start;
}

/* {n}, {n,} or {n,m} behind the brace. */
static bool parse_count(struct parser *parser, size_t *min, size_t *max)
{
	if (!parse_number(parser, min))
		return fail(parser, "\"{\" needs a number behind it");
	*max = *min;
	if (parser->at < parser->end && *parser->at == ',') {
		parser->at++;
		if (!parse_number(parser, max))
			*max = SIZE_MAX;
	}
	if (parser->at == parser->end || *parser->at != '}')
		return fail(parser, "\"{\" without \"}\"");
	parser->at++;
	if (*max < *min)
		return fail(parser, "the numbers of {n,m} are the wrong way round");
	return true;
}

/* A copy of states[0..count), whose indices count from `from`, at the end of the table. */
static void paste(struct parser *parser, const struct state *states, size_t count, uint32_t from)
{
	uint32_t shift = (uint32_t)parser->out->count - from;
	for (size_t i = 0; i < count && !parser->error[0]; i++) {
		struct state state = states[i];
		if (state.op == OP_SPLIT || state.op == OP_JUMP) {
			state.next += shift;
			state.other += shift;
		}
		emit(parser, state);
	}
}

/* The states from `from` on become min..max copies of themselves. */
static bool repeat(struct parser *parser, uint32_t from, size_t min, size_t max)
{
	struct pattern *out = parser->out;
	size_t count = out->count - from;
	struct state *body = mem_dup(count ? out->states + from : NULL, count * sizeof *body);
	out->count = from;
	if (min > PATTERN_STATES_MAX || (max != SIZE_MAX && max > PATTERN_STATES_MAX))
		fail(parser, "the pattern is too large (repeats count as copies)");
	for (size_t i = 0; i < min && !parser->error[0]; i++)
		paste(parser, body, count, from);
	if (max == SIZE_MAX && !parser->error[0]) {
		uint32_t split = emit(parser, (struct state){ .op = OP_SPLIT });
		paste(parser, body, count, from);
		emit(parser, (struct state){ .op = OP_JUMP, .next = split });
		if (!parser->error[0])
			out->states[split] = (struct state){ .op = OP_SPLIT, .next = split + 1,
							     .other = (uint32_t)out->count };
	} else {
		for (size_t i = min; i < max && !parser->error[0]; i++) {
			uint32_t split = emit(parser, (struct state){ .op = OP_SPLIT });
			paste(parser, body, count, from);
			if (!parser->error[0])
				out->states[split] = (struct state){ .op = OP_SPLIT, .next = split + 1,
								     .other = (uint32_t)out->count };
		}
	}
	mem_free(body);
	return !parser->error[0];
}

static bool parse_sequence(struct parser *parser)
{
	while (parser->at < parser->end && *parser->at != '|' && *parser->at != ')') {
		uint32_t from = (uint32_t)parser->out->count;
		size_t min = 1, max = 1;
		bool repeatable;
		if (!parse_atom(parser, &repeatable))
			return false;
		if (parser->at == parser->end || !strchr("*+?{", *parser->at) || !*parser->at)
			continue;
		if (!repeatable)
			return fail(parser, "nothing to repeat");
		switch (*parser->at++) {
		case '*': min = 0; max = SIZE_MAX; break;
		case '+': max = SIZE_MAX; break;
		case '?': min = 0; break;
		default:
			if (!parse_count(parser, &min, &max))
				return false;
		}
		if (parser->at < parser->end && *parser->at == '?')
			parser->at++;
		if (!repeat(parser, from, min, max))
			return false;
	}
	return true;
}

static bool parse_either(struct parser *parser)
{
	struct pattern *out = parser->out;
	uint32_t from = (uint32_t)out->count;
	if (!parse_sequence(parser))
		return false;
	if (parser->at == parser->end || *parser->at != '|')
		return true;
	/* What stands there moves one down to make room for the split before it. */
	size_t count = out->count - from;
	struct state *first = mem_dup(count ? out->states + from : NULL, count * sizeof *first);
	out->count = from;
	uint32_t split = emit(parser, (struct state){ .op = OP_SPLIT });
	paste(parser, first, count, from);
	mem_free(first);
	uint32_t jump = emit(parser, (struct state){ .op = OP_JUMP });
	if (parser->error[0])
		return false;
	out->states[split] = (struct state){ .op = OP_SPLIT, .next = split + 1, .other = (uint32_t)out->count };
	parser->at++;
	if (++parser->depth > 4 * PATTERN_DEPTH_MAX)
		return fail(parser, "too many alternatives");
	if (!parse_either(parser))
		return false;
	parser->depth--;
	out->states[jump] = (struct state){ .op = OP_JUMP, .next = (uint32_t)out->count };
	return true;
}

struct pattern *pattern_compile(struct str text, char error[120])
{
	struct pattern *out = mem_zalloc(sizeof *out);
	struct parser parser = { .at = text.ptr, .end = text.ptr + text.len, .out = out, .error = error };
	error[0] = '\0';
	if (text.len && parse_either(&parser) && parser.at < parser.end)
		fail(&parser, "\")\" without \"(\"");
	emit(&parser, (struct state){ .op = OP_MATCH });
	if (error[0]) {
		pattern_free(out);
		return NULL;
	}
	return out;
}

/* The states that are alive at one place of the text, each once; work[] is room for as many. */
struct set {
	uint32_t *list;
	size_t count;
	uint32_t *seen;                /* per state: the round in which it came in */
};

static bool reach(const struct pattern *pattern, struct set *set, uint32_t *work, uint32_t round, uint32_t start,
		  bool begin, bool end)
{
	size_t depth = 0;
	if (set->seen[start] == round)
		return false;
	set->seen[start] = round;
	work[depth++] = start;
	while (depth) {
		uint32_t at = work[--depth];
		const struct state *state = &pattern->states[at];
		uint32_t ways[2];
		size_t count = 0;
		switch (state->op) {
		case OP_MATCH: return true;
		case OP_SET: set->list[set->count++] = at; break;
		case OP_BEGIN: if (begin) ways[count++] = at + 1; break;
		case OP_END: if (end) ways[count++] = at + 1; break;
		case OP_SPLIT: ways[count++] = state->other;   /* fall through */
		case OP_JUMP: ways[count++] = state->next; break;
		}
		while (count) {
			uint32_t way = ways[--count];
			ASSERT(way < pattern->count);
			if (set->seen[way] == round)
				continue;
			set->seen[way] = round;
			work[depth++] = way;
		}
	}
	return false;
}

static bool accepts(const struct pattern *pattern, const struct state *state, uint32_t c)
{
	for (uint32_t i = state->from; i < state->to; i++)
		if (c >= pattern->ranges[i].first && c <= pattern->ranges[i].last)
			return !state->negated;
	return state->negated;
}

bool pattern_match(const struct pattern *pattern, struct str text)
{
	size_t count = pattern->count;
	uint32_t *room = mem_zalloc(4 * count * sizeof *room);
	uint32_t *work = room + 3 * count, round = 1;
	struct set now = { room, 0, room + 2 * count }, next = { room + count, 0, room + 2 * count };
	const char *at = text.ptr, *end = text.ptr + text.len;
	/* Rounds number the places in the text; a new match may start at each. */
	bool found = reach(pattern, &now, work, round, 0, true, !text.len);
	while (!found && text.len && at < end) {
		uint32_t c = take(&at, end);
		round++;
		next.count = 0;
		for (size_t i = 0; i < now.count && !found; i++) {
			const struct state *state = &pattern->states[now.list[i]];
			if (accepts(pattern, state, c))
				found = reach(pattern, &next, work, round, now.list[i] + 1, false, at == end);
		}
		if (!found)
			found = reach(pattern, &next, work, round, 0, false, at == end);
		struct set swap = now;
		now = next;
		next = swap;
	}
	mem_free(room);
	return found;
}

size_t pattern_cost(const struct pattern *pattern)
{
	return pattern->count + pattern->range_count;
}

void pattern_free(struct pattern *pattern)
{
	if (!pattern)
		return;
	mem_free(pattern->states);
	mem_free(pattern->ranges);
	mem_free(pattern);
}
