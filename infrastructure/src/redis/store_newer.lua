-- Stores balances that are newer than what their hashes hold.
--
-- KEYS     the hashes of accounts of one shard
-- ARGV[1]  milliseconds that a hash is kept after this
-- ARGV[2]  milliseconds that a fill makes the hashes complete; 0 for a write, which makes none so
-- ARGV[3…] for each balance: the place of its hash in KEYS, its currency, its version, its amounts
--
-- Versions are compared as texts, since a Lua number can't hold 63 bits: of decimals without
-- leading zeros the longer is the larger, and of two as long the one that sorts later.
-- What is not a balance is overwritten, and a key that is not a hash is deleted: nobody else
-- writes here.
local HELD = '^(%d+)|%-?[%d.]+|%-?[%d.]+$'

for at = 3, #ARGV, 4 do
  local key, currency, version = KEYS[tonumber(ARGV[at])], ARGV[at + 1], ARGV[at + 2]
  local held = redis.pcall('HGET', key, currency)
  if type(held) == 'table' then
    redis.call('DEL', key)
    held = false
  end
  held = held and string.match(held, HELD)
  if not held or #version > #held or (#version == #held and version > held) then
    redis.call('HSET', key, currency, version .. '|' .. ARGV[at + 3])
  end
end

local complete_until = false
if ARGV[2] ~= '0' then
  local now = redis.call('TIME')
  complete_until = now[1] * 1000 + math.floor(now[2] / 1000) + ARGV[2]
end
for _, key in ipairs(KEYS) do
  if complete_until then
    -- A hash without a currency is a fact too: the account never had any.
    local set = redis.pcall('HSET', key, 'complete', string.format('%.0f', complete_until))
    if type(set) == 'table' then
      redis.call('DEL', key)
      redis.call('HSET', key, 'complete', string.format('%.0f', complete_until))
    end
  end
  redis.call('PEXPIRE', key, ARGV[1])
end
