-- The server of the Tarantool peer.  Environment: PEER_PORT, PEER_DIR, PEER_BIN (where tarantool_earn.so is),
-- PEER_MEMORY, PEER_MEMBERS, PEER_TENANTS.
-- No snapshot is made after the first, empty one, so that recovery reads the log.
local fiber = require('fiber')
local dir = os.getenv('PEER_DIR')
package.cpath = os.getenv('PEER_BIN') .. '/?.so;' .. package.cpath
box.cfg {
	work_dir = dir, memtx_dir = dir, wal_dir = dir, vinyl_dir = dir,
	wal_mode = 'fsync',
	memtx_memory = tonumber(os.getenv('PEER_MEMORY')),
	checkpoint_interval = 0, checkpoint_wal_threshold = 1e18,
	readahead = 1048576, log_level = 3,
}
box.once('tally', function()
	local ids = box.schema.space.create('ids')
	ids:create_index('id', { type = 'hash', parts = { { 1, 'varbinary' } } })
	for _, name in ipairs({ 'members', 'tenants' }) do
		local space = box.schema.space.create(name)
		space:create_index('id', { type = 'hash', parts = { { 1, 'unsigned' } } })
	end
	for tenant = 0, tonumber(os.getenv('PEER_TENANTS')) - 1 do box.space.tenants:insert { tenant, 0 } end
	local members = tonumber(os.getenv('PEER_MEMBERS'))
	for first = 0, members - 1, 1000 do
		box.begin()
		for member = first, math.min(first + 999, members - 1) do box.space.members:insert { member, 0 } end
		box.commit()
	end
	-- The client is the guest: it may call these three, and what they touch; nothing else.
	box.schema.func.create('tarantool_earn', { language = 'C' })
	box.schema.func.create('peer_state')
	box.schema.func.create('peer_ready')
	for _, name in ipairs({ 'tarantool_earn', 'peer_state', 'peer_ready' }) do
		box.schema.user.grant('guest', 'execute', 'function', name)
	end
	for _, name in ipairs({ 'ids', 'members', 'tenants' }) do
		box.schema.user.grant('guest', 'read,write', 'space', name)
	end
end)
-- Members' sum, tenants' sum, number of ids.
function peer_state()
	local sums = { 0LL, 0LL }
	for i, name in ipairs({ 'members', 'tenants' }) do
		local rows = 0
		for _, tuple in box.space[name]:pairs() do
			sums[i] = sums[i] + tuple[2]
			rows = rows + 1
			if rows % 1000 == 0 then fiber.yield() end
		end
	end
	return ('%s %s %s'):format(tostring(sums[1]):gsub('LL', ''), tostring(sums[2]):gsub('LL', ''),
		tostring(box.space.ids:len()))
end
function peer_ready() return true end
-- Nobody is answered before the accounts are there.
box.cfg { listen = '127.0.0.1:' .. os.getenv('PEER_PORT') }
