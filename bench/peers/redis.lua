-- The stored procedure of the Redis peer.  ARGV: count, ids, {INCRBY, i64, #member, amount} of each row, tenants.
-- Answers how many rows were new.  ids is a set; members and tenants are strings of 64-bit integers (BITFIELD), the
-- smallest that Redis has, and commands take many rows at once: a call of its own for each row costs more than its
-- work.
local n = tonumber(ARGV[1])
local all = n * 5 + 1
local known, fresh
if n == 1 then
	fresh = redis.call('SADD', 'ids', ARGV[2]) == 1
	known = { 1 } -- read only when it was
else
	known = redis.call('SMISMEMBER', 'ids', unpack(ARGV, 2, n + 1))
	fresh = true
	for i = 1, n do
		if known[i] == 1 then
			fresh = false
			break
		end
	end
	if fresh then
		-- Fewer than n: one id twice within the batch. The first counts, and all are in the set now.
		fresh = redis.call('SADD', 'ids', unpack(ARGV, 2, n + 1)) == n
	end
end
local sums = {}
local applied = n
if fresh then
	redis.call('BITFIELD', 'members', unpack(ARGV, n + 2, all))
	for i = 1, n do
		local tenant = ARGV[all + i]
		sums[tenant] = (sums[tenant] or 0) + ARGV[n + 1 + i * 4]
	end
else
	local seen = {}
	applied = 0
	for i = 1, n do
		local id = ARGV[i + 1]
		if known[i] == 0 and not seen[id] then
			local at = n + 1 + i * 4
			local tenant = ARGV[all + i]
			seen[id] = true
			applied = applied + 1
			redis.call('SADD', 'ids', id)
			redis.call('BITFIELD', 'members', 'INCRBY', 'i64', ARGV[at - 1], ARGV[at])
			sums[tenant] = (sums[tenant] or 0) + ARGV[at]
		end
	end
end
for tenant, sum in pairs(sums) do
	redis.call('BITFIELD', 'tenants', 'INCRBY', 'i64', '#' .. tenant, -sum)
end
return applied
