-- Who shares one upstream, for people: some rows one by one. Reads only, and is asked for only while
-- somebody looks, at most once a second by each governor.
--
-- KEYS    as of the exchange
-- ARGV    how many rows at most; then indices, from 0, of the values to tell; the last one is where
--         the endpoints begin, and how many numbers each has
-- Reply   now in ms by this server's clock, leader, how many governors; then for each of the rows,
--         the next to lapse first: id, when it lapses, calls in flight, each value asked for
local rows, lapses = KEYS[1], KEYS[2]
local first, per_endpoint = tonumber(ARGV[#ARGV - 1]), tonumber(ARGV[#ARGV])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local reply = {now_ms, redis.call('HGET', rows, 'l') or '', redis.call('ZCARD', lapses)}
local found = redis.call('ZRANGE', lapses, 0, tonumber(ARGV[1]) - 1, 'WITHSCORES')
for at = 1, #found, 2 do
  local kept = redis.call('HGET', rows, 'r:' .. found[at])
  if kept then
    local values, in_flight = cmsgpack.unpack(kept)[3], 0
    for place = first + 1, #values, per_endpoint do in_flight = in_flight + values[place] end
    local row = {found[at], tonumber(found[at + 1]), in_flight}
    for place = 2, #ARGV - 2 do row[#row + 1] = values[tonumber(ARGV[place]) + 1] or 0 end
    reply[#reply + 1] = row
  end
end
return reply
