// SPDX-License-Identifier: Apache-2.0
/* zone.c - the only file that asks ICU: it copies a zone's changes of the clock into a table, once, when the zone is
 * opened.
 *
 * Calendars of ICU belong to one thread and are slow; the table is constant, so that what is computed from it needs
 * no lock and is the same in the server, in the simulator and on the command line.
 */
#include "engine/cron/zone.h"

#include <stdio.h>
#include <unicode/ucal.h>
#include <unicode/uclean.h>
#include <unicode/uversion.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

/* Abbreviations that ICU keeps from Java 1.1.  They are not IANA's, and mislead: BST is Dhaka there. */
static const char legacy[] =
	" ACT AET AGT ART AST BET BST CAT CNT CST CTT EAT ECT IET IST JST MIT NET NST PLT PNT PRT PST SST VST ";

static void *icu_alloc(const void *context, size_t size)
{
	(void)context;
	return mem_alloc(size);
}

static void *icu_realloc(const void *context, void *pointer, size_t size)
{
	(void)context;
	return mem_realloc(pointer, size);
}

static void icu_free(const void *context, void *pointer)
{
	(void)context;
	mem_free(pointer);
}

void cron_start(void)
{
	static bool started;
	UErrorCode status = U_ZERO_ERROR;
	if (started)
		return;
	started = true;
	u_setMemoryFunctions(NULL, icu_alloc, icu_realloc, icu_free, &status);
	ASSERT(U_SUCCESS(status));
	/* The first zone loads the tables of all. */
	cron_zone_close(cron_zone_open(STR("UTC")));
}

void cron_versions(char out[CRON_VERSIONS_MAX])
{
	UErrorCode status = U_ZERO_ERROR;
	UVersionInfo version;
	char library[U_MAX_VERSION_STRING_LENGTH];
	u_getVersion(version);
	u_versionToString(version, library);
	const char *zones = ucal_getTZDataVersion(&status);
	snprintf(out, CRON_VERSIONS_MAX, "ICU %s (zones %s)", library, U_SUCCESS(status) ? zones : "unknown");
}

static bool begins_with(struct str text, struct str with)
{
	return text.len >= with.len && str_eq((struct str){ text.ptr, with.len }, with);
}

static bool is_legacy(struct str name)
{
	if (begins_with(name, STR("SystemV/")) || str_eq(name, STR("Etc/Unknown")))
		return true;
	for (const char *at = legacy + 1; name.len == 3 && *at; at += 4)
		if (str_eq(name, (struct str){ at, 3 }))
			return true;
	return false;
}

/* ICU takes an unknown name for UTC and "GMT+3" for a zone: only names of its table are zones here. */
static bool name_read(struct str name, UChar out[CRON_ZONE_NAME_MAX])
{
	UChar canonical[2 * CRON_ZONE_NAME_MAX];
	UErrorCode status = U_ZERO_ERROR;
	UBool known = 0;
	if (name.len > CRON_ZONE_NAME_MAX || is_legacy(name))
		return false;
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.ptr[i];
		if (c <= ' ' || c > '~')
			return false;
		out[i] = c;
	}
	ucal_getCanonicalTimeZoneID(out, (int32_t)name.len, canonical, 2 * CRON_ZONE_NAME_MAX, &known, &status);
	return U_SUCCESS(status) && known;
}

static int64_t offset_now(UCalendar *calendar, UErrorCode *status)
{
	return (int64_t)ucal_get(calendar, UCAL_ZONE_OFFSET, status) + ucal_get(calendar, UCAL_DST_OFFSET, status);
}

struct cron_zone *cron_zone_open(struct str name)
{
	UChar id[CRON_ZONE_NAME_MAX];
	UErrorCode status = U_ZERO_ERROR;
	UDate time = (UDate)CRON_FIRST_MS;
	size_t room = 8;
	if (!name.len)
		name = STR("UTC");
	if (!name_read(name, id))
		return NULL;
	UCalendar *calendar = ucal_open(id, (int32_t)name.len, "root", UCAL_GREGORIAN, &status);
	ASSERT(U_SUCCESS(status));
	struct cron_zone *zone = mem_alloc(sizeof *zone + room * sizeof zone->spans[0]);
	ucal_setMillis(calendar, time, &status);
	zone->spans[0] = (struct zone_span){ CRON_FIRST_MS, offset_now(calendar, &status) };
	zone->count = 1;
	while (ucal_getTimeZoneTransitionDate(calendar, UCAL_TZ_TRANSITION_NEXT, &time, &status) &&
	       time < (UDate)CRON_LAST_MS) {
		ucal_setMillis(calendar, time, &status);
		int64_t offset = offset_now(calendar, &status);
		if (offset == zone->spans[zone->count - 1].offset_ms)
			continue;              /* only its name changed */
		if (zone->count == room) {
			room *= 2;
			zone = mem_realloc(zone, sizeof *zone + room * sizeof zone->spans[0]);
		}
		zone->spans[zone->count++] = (struct zone_span){ (int64_t)time, offset };
	}
	ASSERT(U_SUCCESS(status));
	ucal_close(calendar);
	return zone;
}

void cron_zone_close(struct cron_zone *zone)
{
	mem_free(zone);
}

size_t zone_span_at(const struct cron_zone *zone, int64_t time_ms)
{
	size_t low = 0, high = zone->count;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		if (zone->spans[middle].start_ms <= time_ms)
			low = middle;
		else
			high = middle;
	}
	return low;
}

int64_t cron_zone_offset(const struct cron_zone *zone, int64_t time_ms)
{
	return zone->spans[zone_span_at(zone, time_ms)].offset_ms;
}
