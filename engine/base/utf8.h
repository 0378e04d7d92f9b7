// SPDX-License-Identifier: Apache-2.0
/* utf8.h - is a text valid UTF-8 (RFC 3629: no surrogates, no overlong forms, nothing beyond U+10FFFF)? */
#ifndef ENGINE_BASE_UTF8_H
#define ENGINE_BASE_UTF8_H

#include <stdbool.h>

#include "engine/base/str.h"

bool utf8_valid(struct str text);

#endif
