// SPDX-License-Identifier: Apache-2.0
#include "engine/member/member.h"

#include "engine/base/assert.h"
#include "engine/base/mem.h"

struct member *member_new(struct tenant *tenant, uint64_t hash, struct str profile, int64_t now_ms)
{
	struct member *member = mem_zalloc(sizeof *member + profile.len);
	ASSERT(profile.len <= UINT16_MAX && hash);
	member->hash = hash;
	member->tenant = tenant;
	memcpy(member->profile, profile.ptr, profile.len);
	member->profile_len = (uint16_t)profile.len;
	member->created_ms = now_ms;
	member_set_status(member, STR("ACTIVE"));
	return member;
}

void member_free(struct member *member)
{
	member_clear_tags(member);
	mem_free(member->status);
	mem_free(member->attributes);
	if (member->more) {
		for (uint32_t i = 0; i < member->more->reward_count; i++)
			mem_free(member->more->rewards[i].name);
		for (uint32_t i = 0; i < member->more->bonus_count; i++)
			mem_free(member->more->bonuses[i].key);
		mem_free(member->more->rewards);
		mem_free(member->more->bonuses);
		mem_free(member->more->counters);
		mem_free(member->more);
	}
	mem_free(member);
}

/* The place of a tag in the sorted list: where it is, or where it would be. */
static size_t tag_place(const struct member *member, struct str tag, bool *found)
{
	size_t low = 0, high = member->tag_count;
	*found = false;
	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = str_cmp(member->tags[middle], tag);
		if (order == 0) {
			*found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool member_has_tag(const struct member *member, struct str tag)
{
	bool found;
	tag_place(member, tag, &found);
	return found;
}

bool member_add_tag(struct member *member, struct str tag)
{
	bool found;
	size_t place = tag_place(member, tag, &found);
	if (found)
		return false;
	ASSERT(member->tag_count < MEMBER_TAGS_MAX);
	member->tags = mem_realloc(member->tags, (member->tag_count + 1u) * sizeof *member->tags);
	memmove(member->tags + place + 1, member->tags + place, (member->tag_count - place) * sizeof *member->tags);
	member->tags[place] = (struct str){ mem_dup(tag.ptr, tag.len), tag.len };
	member->tag_count++;
	return true;
}

bool member_remove_tag(struct member *member, struct str tag)
{
	bool found;
	size_t place = tag_place(member, tag, &found);
	if (!found)
		return false;
	mem_free((char *)(uintptr_t)member->tags[place].ptr);
	memmove(member->tags + place, member->tags + place + 1, (member->tag_count - place - 1u) * sizeof *member->tags);
	member->tag_count--;
	return true;
}

void member_clear_tags(struct member *member)
{
	for (size_t i = 0; i < member->tag_count; i++)
		mem_free((char *)(uintptr_t)member->tags[i].ptr);
	mem_free(member->tags);
	member->tags = NULL;
	member->tag_count = 0;
}

void member_set_status(struct member *member, struct str status)
{
	ASSERT(status.len <= UINT16_MAX);
	mem_free(member->status);
	member->status = mem_dup(status.ptr, status.len);
	member->status_len = (uint16_t)status.len;
}

void member_set_attributes(struct member *member, struct str json)
{
	mem_free(member->attributes);
	member->attributes = json.len > 2 ? mem_dup(json.ptr, json.len) : NULL;
	member->attributes_len = json.len > 2 ? (uint32_t)json.len : 0;
}

struct member_more *member_more(struct member *member)
{
	if (!member->more)
		member->more = mem_zalloc(sizeof *member->more);
	return member->more;
}

struct reward_item *member_reward(const struct member *member, uint32_t seq)
{
	size_t low = 0, high = member->more ? member->more->reward_count : 0;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct reward_item *item = &member->more->rewards[middle];
		if (item->seq == seq)
			return item;
		if (item->seq < seq)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

struct bonus_item *member_bonus(const struct member *member, uint32_t seq)
{
	size_t low = 0, high = member->more ? member->more->bonus_count : 0;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct bonus_item *item = &member->more->bonuses[middle];
		if (item->seq == seq)
			return item;
		if (item->seq < seq)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

bool member_has_bonus(const struct member *member, struct str key, uint32_t period)
{
	for (uint32_t i = member->more ? member->more->bonus_count : 0; i--;) {
		const struct bonus_item *item = &member->more->bonuses[i];
		if (item->period == period && str_eq((struct str){ item->key, item->key_len }, key))
			return true;
	}
	return false;
}

uint32_t member_counted(const struct member *member, uint64_t key, uint32_t period)
{
	for (uint32_t i = 0; member->more && i < member->more->counter_count; i++)
		if (member->more->counters[i].key == key)
			return member->more->counters[i].period == period ? member->more->counters[i].count : 0;
	return 0;
}

/* Room for one more of a list; NULL: it is full. */
static void *grow(void *list, uint32_t count, uint32_t *cap, size_t size)
{
	if (count < *cap)
		return list;
	if (count >= MEMBER_ITEMS_MAX)
		return NULL;
	*cap = *cap ? *cap * 2 : 4;
	return mem_realloc(list, *cap * size);
}

bool member_add_reward(struct member *member, const struct reward_item *item, struct str name)
{
	struct member_more *more = member_more(member);
	if (item->seq <= (more->reward_count ? more->rewards[more->reward_count - 1].seq : 0) || name.len > UINT16_MAX)
		return false;
	void *list = grow(more->rewards, more->reward_count, &more->reward_cap, sizeof *more->rewards);
	if (!list)
		return false;
	more->rewards = list;
	struct reward_item *added = &more->rewards[more->reward_count++];
	*added = *item;
	added->name = mem_dup(name.ptr, name.len);
	added->name_len = (uint16_t)name.len;
	if (more->seq < item->seq)
		more->seq = item->seq;
	return true;
}

bool member_add_bonus(struct member *member, const struct bonus_item *item, struct str key)
{
	struct member_more *more = member_more(member);
	if (item->seq <= (more->bonus_count ? more->bonuses[more->bonus_count - 1].seq : 0) || key.len > UINT16_MAX)
		return false;
	void *list = grow(more->bonuses, more->bonus_count, &more->bonus_cap, sizeof *more->bonuses);
	if (!list)
		return false;
	more->bonuses = list;
	struct bonus_item *added = &more->bonuses[more->bonus_count++];
	*added = *item;
	added->key = mem_dup(key.ptr, key.len);
	added->key_len = (uint32_t)key.len;
	if (more->seq < item->seq)
		more->seq = item->seq;
	return true;
}

void member_drop_bonus(struct member *member, uint32_t seq)
{
	struct bonus_item *item = member_bonus(member, seq);
	if (!item)
		return;
	mem_free(item->key);
	size_t place = (size_t)(item - member->more->bonuses);
	memmove(item, item + 1, (member->more->bonus_count - place - 1) * sizeof *item);
	member->more->bonus_count--;
}

bool member_count(struct member *member, uint64_t key, uint32_t period, uint32_t count)
{
	struct member_more *more = member_more(member);
	uint32_t i = 0;
	while (i < more->counter_count && more->counters[i].key != key)
		i++;
	if (i == more->counter_count) {
		void *list = grow(more->counters, more->counter_count, &more->counter_cap, sizeof *more->counters);
		if (!list)
			return false;
		more->counters = list;
		more->counter_count++;
	}
	more->counters[i] = (struct counter_item){ key, period, count };
	return true;
}

uint32_t member_rewards_due(const struct member *member, int64_t now_ms)
{
	uint32_t due = 0;
	for (uint32_t i = 0; member->more && i < member->more->reward_count; i++) {
		const struct reward_item *item = &member->more->rewards[i];
		due += item->state == REWARD_ISSUED && item->expires_ms && item->expires_ms <= now_ms;
	}
	return due;
}

size_t member_more_bytes(const struct member *member)
{
	const struct member_more *more = member->more;
	return more ? sizeof *more + more->reward_cap * (sizeof *more->rewards + 32) +
			      more->bonus_cap * (sizeof *more->bonuses + 32) + more->counter_cap * sizeof *more->counters
		    : 0;
}
