// SPDX-License-Identifier: Apache-2.0
/* msgpack-c encodes; its packer only lives for one call, so that its writes are compiled into plain appends. */
#include "net/rpc/pack.h"

#include <msgpack.h>

static int append(void *out, const char *bytes, size_t len)
{
	buf_bytes(out, bytes, len);
	return 0;
}

#define PACKER(out) { .data = (out), .callback = append }

void pack_map(struct buf *out, size_t count)
{
	msgpack_packer packer = PACKER(out);
	msgpack_pack_map(&packer, count);
}

void pack_array(struct buf *out, size_t count)
{
	msgpack_packer packer = PACKER(out);
	msgpack_pack_array(&packer, count);
}

void pack_text(struct buf *out, struct str text)
{
	msgpack_packer packer = PACKER(out);
	buf_room(out, 5 + text.len);
	msgpack_pack_str(&packer, text.len);
	buf_str(out, text);
}

void pack_bin(struct buf *out, const void *bytes, size_t len)
{
	unsigned char *room = pack_bin_room(out, len);
	if (len)
		memcpy(room, bytes, len);
}

unsigned char *pack_bin_room(struct buf *out, size_t len)
{
	msgpack_packer packer = PACKER(out);
	buf_room(out, 5 + len);
	msgpack_pack_bin(&packer, len);
	out->len += len;
	return (unsigned char *)out->ptr + out->len - len;
}

void pack_u64(struct buf *out, uint64_t value)
{
	msgpack_packer packer = PACKER(out);
	msgpack_pack_uint64(&packer, value);
}

void pack_i64(struct buf *out, int64_t value)
{
	msgpack_packer packer = PACKER(out);
	msgpack_pack_int64(&packer, value);
}

void pack_f64(struct buf *out, double value)
{
	msgpack_packer packer = PACKER(out);
	msgpack_pack_double(&packer, value);
}

void pack_bool(struct buf *out, bool value)
{
	msgpack_packer packer = PACKER(out);
	if (value)
		msgpack_pack_true(&packer);
	else
		msgpack_pack_false(&packer);
}

void pack_nil(struct buf *out)
{
	msgpack_packer packer = PACKER(out);
	msgpack_pack_nil(&packer);
}
