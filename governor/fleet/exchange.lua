-- One exchange of one governor about one upstream: its row in, the sum of the others' rows out.
--
-- KEYS[1] hash: a (sum of all rows), r:<id> (rows), e epoch, v version of the membership, n rows,
--         f free ranks, l leader, s its score, w its word
-- KEYS[2] sorted set: id -> instant at which its row lapses, by this server's clock
-- ARGV    id, sequence, base (sequence that the changes build on; -1: they are the whole row),
--         changes (pairs of 16-bit index and 64-bit value, big-endian), lifetime in ms, score, word
--
-- All numbers are integers below 2^53, so that sums do not drift. The work does not depend on how
-- many governors there are. Both keys are kept or lost together: if one was evicted, both start
-- again, with a new epoch, and every row is asked for anew.
local rows, lapses = KEYS[1], KEYS[2]
local id, seq, base = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local changes, life_ms, score, word = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now_ms = math.floor(now_us / 1000)

local kept = redis.call('HMGET', rows, 'a', 'e', 'v', 'n', 'f', 'l', 's', 'w', 'r:' .. id)
local sum, free, mine = {}, {}, nil
local epoch, version, n, leader = now_us, 0, 0, false
local leader_score, leader_word = 0, ''
if kept[1] and redis.call('ZCARD', lapses) == tonumber(kept[4]) then
  sum, epoch, version = cmsgpack.unpack(kept[1]), tonumber(kept[2]), tonumber(kept[3])
  n, free, leader = tonumber(kept[4]), cmsgpack.unpack(kept[5]), kept[6]
  leader_score, leader_word = tonumber(kept[7]), kept[8]
  if kept[9] then mine = cmsgpack.unpack(kept[9]) end
elseif kept[1] or redis.call('EXISTS', lapses) == 1 then
  redis.call('DEL', rows, lapses)
end -- nothing is written before ZADD otherwise: a full server refuses the first write only

local function forget(who, row)
  for i, value in ipairs(row[3]) do sum[i] = sum[i] - value end
  free[#free + 1] = row[2]
  n, version = n - 1, version + 1
  if leader == who then leader, leader_score = '', 0 end
end

for _, who in ipairs(redis.call('ZRANGEBYSCORE', lapses, '-inf', now_ms, 'LIMIT', 0, 8)) do
  if who ~= id then
    forget(who, cmsgpack.unpack(redis.call('HGET', rows, 'r:' .. who)))
    redis.call('HDEL', rows, 'r:' .. who)
    redis.call('ZREM', lapses, who)
  end
end

if life_ms == 0 then -- it leaves
  if mine then
    forget(id, mine)
    redis.call('HDEL', rows, 'r:' .. id)
    redis.call('ZREM', lapses, id)
  end
  if n == 0 then redis.call('DEL', rows, lapses) return {0} end
  mine = {0, 0, {}}
else
  local is_known = mine and mine[1] == base
  if base >= 0 and not is_known then return {0} end -- send the whole row
  if not mine then
    mine = {0, n, {}}
    if #free > 0 then
      table.sort(free)
      mine[2] = table.remove(free, 1)
    end
    n, version = n + 1, version + 1
  end
  local values, at = mine[3], 1
  if base < 0 then
    for i, value in ipairs(values) do
      sum[i], values[i] = sum[i] - value, 0
    end
  end
  while at <= #changes do
    local index, value
    index, value, at = struct.unpack('>Hi8', changes, at)
    for i = #values + 1, index + 1 do values[i] = 0 end
    for i = #sum + 1, index + 1 do sum[i] = 0 end
    sum[index + 1] = sum[index + 1] + value - values[index + 1]
    values[index + 1] = value
  end
  mine[1] = seq
  if leader == '' or not leader or leader == id or score > 2 * leader_score + 1000 then
    leader, leader_score = id, score
    if word ~= '' then leader_word = word end
  end
  redis.call('ZADD', lapses, now_ms + life_ms, id)
end
local state = {'HSET', rows, 'a', cmsgpack.pack(sum), 'e', string.format('%.0f', epoch), 'v', version,
  'n', n, 'f', cmsgpack.pack(free), 'l', leader or '', 's', leader_score, 'w', leader_word}
if life_ms > 0 then
  state[#state + 1] = 'r:' .. id
  state[#state + 1] = cmsgpack.pack(mine)
end
redis.call(unpack(state))
if base < 0 or seq % 32 == 0 then -- seldom: they are to stay for a minute, not for three exchanges
  redis.call('PEXPIRE', rows, 60000)
  redis.call('PEXPIRE', lapses, 60000)
end

local values = mine[3]
local reply = {1, now_us, epoch, version, n, mine[2], n + #free, leader == id and 1 or 0, leader_word}
for i, value in ipairs(sum) do
  local others = value - (values[i] or 0)
  if others ~= 0 then
    reply[#reply + 1] = i - 1
    reply[#reply + 1] = others
  end
end
return reply
