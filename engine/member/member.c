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
