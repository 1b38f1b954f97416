-- Runs once in each VM, before any script: makes of LuaJIT's libraries and of the functions
-- given by Rust (`raw`) the world that a script sees, and hands back what Rust needs of it.
--
-- A table that scripts share is shown to them through an empty one that reads from it and
-- refuses writes, so nothing that one script does is seen by the next.

local raw = ...

local error, type, tostring, select, next = error, type, tostring, select, next
local getmetatable, setmetatable, rawget, rawset = getmetatable, setmetatable, rawget, rawset
local pcall, xpcall, pairs, load, floor = pcall, xpcall, pairs, load, math.floor
local collectgarbage, concat = collectgarbage, table.concat

local READ_ONLY = "Attempt to modify a readonly table"

-- The table behind each one that is shown.
local behind = setmetatable({}, { __mode = "k" })

local function refuse()
  error(READ_ONLY, 2)
end

local function shown(real)
  local face = setmetatable({}, { __index = real, __newindex = refuse, __metatable = false })
  behind[face] = real
  return face
end

local function copy(from, names)
  local to = {}
  for name in names:gmatch("%S+") do
    to[name] = from[name]
  end
  return to
end

-- A function that answers its value, or nothing and why not.
local function checked(call)
  return function(...)
    local value, why = call(...)
    if why then
      error(why, 2)
    end
    return value
  end
end

-- Likewise, with several values behind the reason. It is tail-called, so its own frame is the first
-- one and the script's the next.
local function pass(why, ...)
  if why then
    -- What Lua itself says of a key has no place in front.
    error(why, why:find("^table index") and 0 or 2)
  end
  return ...
end

local function checked_many(call)
  return function(...)
    return pass(call(...))
  end
end

-- What a script finds as its globals.
local globals = {}
local face = shown(globals)
globals._G = face
globals._VERSION = "Lua 5.1"

for _, name in ipairs({ "error", "ipairs", "rawequal", "select", "tonumber", "tostring", "type",
  "unpack", "xpcall" }) do
  globals[name] = _G[name]
end

function globals.assert(value, ...)
  if value then
    return value, ...
  end
  local message = ...
  if select("#", ...) == 0 or message == nil then
    message = "assertion failed!"
  elseif type(message) ~= "string" and type(message) ~= "number" then
    error("bad argument #2 to 'assert' (string expected, got " .. type(message) .. ")", 2)
  end
  error(message, 2)
end

-- Redis hands the text of an error out of pcall, not its table.
local function caught(ok, why, ...)
  if not ok and type(why) == "table" then
    local text = why.err
    if type(text) == "string" or type(text) == "number" then
      return ok, text
    end
  end
  return ok, why, ...
end

function globals.pcall(...)
  return caught(pcall(...))
end

function globals.getmetatable(value)
  if behind[value] then
    return nil
  end
  return getmetatable(value)
end

function globals.setmetatable(table, meta)
  if behind[table] then
    error(READ_ONLY, 0)
  end
  return setmetatable(table, meta)
end

function globals.rawget(table, key)
  return rawget(behind[table] or table, key)
end

function globals.rawset(table, key, value)
  if behind[table] then
    error(READ_ONLY, 0)
  end
  return rawset(table, key, value)
end

function globals.next(table, key)
  return next(behind[table] or table, key)
end

function globals.pairs(table)
  local real = behind[table]
  if real == nil then
    return pairs(table)
  end
  return function(_, key)
    return next(real, key)
  end, table, nil
end

-- Text only: bytecode is not checked by anything before it runs. Nor numbers that make objects of
-- the foreign function interface.
local function load_text(chunk, name, world)
  if type(chunk) == "function" then
    local parts = {}
    while true do
      local part = chunk()
      if part == nil or part == "" then
        break
      elseif type(part) ~= "string" then
        return nil, "reader function must return a string"
      end
      parts[#parts + 1] = part
    end
    name, chunk = name or "=(load)", concat(parts)
  end
  if type(chunk) ~= "string" then
    chunk = raw.text(chunk)
    if chunk == nil then
      error("bad argument #1 to 'load' (string expected)", 3)
    end
  end
  local why = raw.foreign(chunk)
  if why then
    return nil, why
  end
  return load(chunk, name or chunk, "t", world)
end

function globals.load(chunk, name)
  return load_text(chunk, name, face)
end

globals.loadstring = globals.load

function globals.collectgarbage(what)
  if what == "count" or what == "step" then
    return collectgarbage(what)
  end
  if what == nil or what == "collect" then
    return collectgarbage("collect")
  end
  return 0
end

function globals.gcinfo()
  return floor(collectgarbage("count"))
end

-- Libraries.

local strings = copy(string, "byte char dump find format gmatch gsub len lower match rep reverse sub upper")

-- Patterns. Lua matches within one instruction, where nobody could end a script: what may take
-- more than so many steps is searched by Rust, which looks whether the script was ended.
local MOST_STEPS = 5e7
local find, match, gmatch, gsub = string.find, string.match, string.gmatch, string.gsub
local sub, byte, search = string.sub, string.byte, raw.search

-- For each pattern: how often its steps are as many as the subject is long, and by how much more
-- they are multiplied.
local powers, factors, known = {}, {}, 0

local function weigh(pattern)
  if known >= 1000 then
    powers, factors, known = {}, {}, 0
  end
  local power, factor = byte(pattern) == 94 and 0 or 1, #pattern
  for at = 1, #pattern do
    local char = byte(pattern, at)
    if char == 42 or char == 43 or char == 45 or char == 37 and find("b123456789", sub(pattern, at + 1, at + 1), 1, true) then
      power = power + 1
    elseif char == 63 then
      factor = factor * 2
    end
  end
  -- Long ones are not kept.
  if #pattern <= 200 then
    powers[pattern], factors[pattern], known = power, factor, known + 1
  end
  return power, factor
end

-- Whether to search by Rust.
local function is_long(subject, pattern)
  -- Most are far from it.
  if type(subject) ~= "string" or type(pattern) ~= "string" or #pattern == 0 then
    return false
  end
  local power, factor = powers[pattern], factors[pattern]
  if not power then
    power, factor = weigh(pattern)
  end
  return (#subject) ^ power * factor > MOST_STEPS
end

-- The place at which a search begins, counted from 0.
local function from(subject, init)
  init = init == nil and 1 or tonumber(init) or error("bad argument #3 (number expected)", 3)
  init = init < 0 and init + #subject + 1 or init
  return init < 1 and 0 or math.min(floor(init) - 1, #subject)
end

local function pass_on(...)
  return ...
end

local function found(why, first, last, ...)
  if why then
    error(why, 3)
  elseif first then
    return first + 1, last, ...
  end
end

local function matched(subject, why, first, last, ...)
  if why then
    error(why, 3)
  elseif first and select("#", ...) == 0 then
    return sub(subject, first + 1, last)
  end
  return ...
end

function strings.find(...)
  local subject, pattern, init, plain = ...
  if plain then
    plain = type(subject) == "string" and type(pattern) == "string"
    if not plain or #subject * #pattern <= MOST_STEPS then
      return find(...)
    end
  elseif not is_long(subject, pattern) then
    return find(...)
  end
  return pass_on(found(search(subject, pattern, from(subject, init), plain or false, true)))
end

function strings.match(...)
  local subject, pattern, init = ...
  if not is_long(subject, pattern) then
    return match(...)
  end
  return pass_on(matched(subject, search(subject, pattern, from(subject, init), false, true)))
end

function strings.gmatch(...)
  local subject, pattern = ...
  if not is_long(subject, pattern) then
    return gmatch(...)
  end
  local at = 0
  local function step(why, first, last, ...)
    if why then
      error(why, 3)
    elseif not first then
      at = #subject + 1
      return nil
    end
    at = last == first and last + 1 or last
    if select("#", ...) == 0 then
      return sub(subject, first + 1, last)
    end
    return ...
  end
  return function()
    return pass_on(step(search(subject, pattern, at, false, false)))
  end
end
strings.gfind = strings.gmatch

-- What stands in the place of a match.
local function replaced(whole, with, ...)
  local first = select("#", ...) == 0 and whole or (...)
  local value
  if type(with) == "table" then
    value = with[first]
  elseif type(with) == "function" then
    if select("#", ...) == 0 then
      value = with(whole)
    else
      value = with(...)
    end
  else
    local captures, count = { ... }, select("#", ...)
    return (gsub(tostring(with), "%%(.?)", function(char)
      local digit = tonumber(char)
      if not digit then
        return char
      elseif digit == 0 or digit == 1 and count == 0 then
        return whole
      end
      return captures[digit] or error("invalid capture index", 6)
    end))
  end
  if not value then
    return whole
  elseif type(value) ~= "string" and type(value) ~= "number" then
    error("invalid replacement value (a " .. type(value) .. ")", 4)
  end
  return value
end

function strings.gsub(...)
  local subject, pattern, with, most = ...
  local kind = type(with)
  if not is_long(subject, pattern) or (kind ~= "string" and kind ~= "number" and kind ~= "table" and kind ~= "function") then
    return gsub(...)
  end
  most = most == nil and #subject + 1 or tonumber(most) or error("bad argument #4 to 'gsub' (number expected)", 2)
  local parts, length, at, count = {}, 0, 0, 0
  local anchored = byte(pattern) == 94
  local function take(why, first, last, ...)
    if why then
      error(why, 3)
    elseif not first then
      return false
    end
    count = count + 1
    length = length + 1
    parts[length] = sub(subject, at + 1, first)
    length = length + 1
    parts[length] = replaced(sub(subject, first + 1, last), with, ...)
    at = last
    if first == last then
      length = length + 1
      parts[length] = sub(subject, at + 1, at + 1)
      at = at + 1
    end
    return at <= #subject and not anchored
  end
  while count < most and take(search(subject, pattern, at, false, true)) do
  end
  length = length + 1
  parts[length] = sub(subject, at + 1)
  return concat(parts), count
end

globals.string = shown(strings)
for name in pairs(string) do
  string[name] = strings[name]
end
getmetatable("").__metatable = shown({ __index = globals.string })

local tables = copy(table, "concat getn insert maxn remove sort")
local insert = table.insert
function tables.insert(table, ...)
  if behind[table] then
    error(READ_ONLY, 0)
  end
  return insert(table, ...)
end
function tables.foreach(table, visit)
  for key, value in globals.pairs(table) do
    local result = visit(key, value)
    if result ~= nil then
      return result
    end
  end
end
function tables.foreachi(table, visit)
  for index = 1, #table do
    local result = visit(index, table[index])
    if result ~= nil then
      return result
    end
  end
end
function tables.setn()
  error("'setn' is obsolete", 2)
end
tables.getn = tables.getn or function(table)
  return #table
end
globals.table = shown(tables)

local maths = copy(math, "abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp huge ldexp "
  .. "log log10 max min mod modf pi pow rad random randomseed sin sinh sqrt tan tanh")
maths.mod = maths.fmod
local random = math.random
function maths.random(...)
  local least = ...
  if select("#", ...) == 1 and type(least) == "number" and least < 1 then
    error("bad argument #1 to 'random' (interval is empty)", 2)
  end
  return random(...)
end
globals.math = shown(maths)

globals.coroutine = shown(copy(coroutine, "create isyieldable resume running status wrap yield"))
globals.os = shown({ clock = raw.clock })
globals.bit = shown(copy(bit, "arshift band bnot bor bswap bxor lshift rol ror rshift tobit tohex"))

-- redis.*

local call = raw.call

local redis = {
  call = function(...)
    local value, why = call(...)
    if why then
      error(why, 0)
    end
    return value
  end,
  pcall = function(...)
    local value, why = call(...)
    if why then
      return why
    end
    return value
  end,
  error_reply = raw.error_reply,
  status_reply = raw.status_reply,
  breakpoint = function()
    return false
  end,
  debug = function() end,
  replicate_commands = function()
    return true
  end,
  LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3,
  REPL_NONE = 0, REPL_AOF = 1, REPL_SLAVE = 2, REPL_REPLICA = 2, REPL_ALL = 3,
  REDIS_VERSION = raw.version, REDIS_VERSION_NUM = raw.version_number,
}

-- These fail as redis.call does, with a table and no place in front of the text.
for _, name in ipairs({ "log", "sha1hex", "setresp", "set_repl", "acl_check_cmd" }) do
  local inner = raw[name]
  redis[name] = function(...)
    local value, why = inner(...)
    if why then
      error(why, 0)
    end
    return value
  end
end

globals.redis = shown(redis)

-- cjson, cmsgpack and struct keep no settings from one script to the next.

local function json()
  local own = {}
  for name, value in pairs(raw.cjson) do
    own[name] = type(value) == "function" and checked(value) or value
  end
  return own
end
local cjson = json()
function cjson.new()
  return json()
end
globals.cjson = shown(cjson)

local packs = {}
for name, value in pairs(raw.cmsgpack) do
  packs[name] = type(value) == "function" and checked_many(value) or value
end
globals.cmsgpack = shown(packs)

local structs = {}
for name, value in pairs(raw.struct) do
  structs[name] = checked_many(value)
end
globals.struct = shown(structs)

-- A name that is none of these.
setmetatable(globals, {
  __index = function(_, name)
    error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
  end,
})

-- What Rust calls.

local function compile(text)
  return load(text, "@user_script", "t", face)
end

local explain = raw.explain

local function run(script, keys, arguments)
  rawset(globals, "KEYS", keys)
  rawset(globals, "ARGV", arguments)
  return xpcall(script, explain)
end

local function invoke(callback, keys, arguments)
  return xpcall(callback, explain, keys, arguments)
end

-- Functions: as scripts, but without KEYS and ARGV, which they get as arguments. While a library
-- is being loaded, its code sees `redis.register_function` and little else, as in Redis.

local function absent(_, name)
  error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
end

local redis_of_functions = {}
for name, value in pairs(redis) do
  if name ~= "breakpoint" and name ~= "debug" and name ~= "replicate_commands" then
    redis_of_functions[name] = value
  end
end

local function give(why)
  if why then
    error(why, 0)
  end
end

local redis_of_loading = setmetatable({
  register_function = function(...)
    give(raw.register_function(...))
  end,
  log = redis.log,
  LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3,
}, { __index = absent })

local redis_meta = { __index = redis_of_functions, __newindex = refuse, __metatable = false }
local redis_face = setmetatable({}, redis_meta)
behind[redis_face] = redis_of_functions

local function_globals = {}
for name, value in pairs(globals) do
  if name ~= "KEYS" and name ~= "ARGV" then
    function_globals[name] = value
  end
end
function_globals.redis = redis_face
local function_meta = { __index = function_globals, __newindex = refuse, __metatable = false }
local function_face = setmetatable({}, function_meta)
behind[function_face] = function_globals
function_globals._G = function_face
function_globals.load = function(chunk, name)
  return load_text(chunk, name, function_face)
end
function_globals.loadstring = function_globals.load
setmetatable(function_globals, { __index = absent })

local loading_globals = setmetatable({ redis = redis_face }, { __index = absent })

-- Runs the code of a library; answers whether it compiled, whether it ran, and why not.
local function load_library(text)
  local chunk, why = load(text, "@user_function", "t", function_face)
  if not chunk then
    return false, false, why
  end
  function_meta.__index, redis_meta.__index = loading_globals, redis_of_loading
  local ok, failure = xpcall(chunk, explain)
  function_meta.__index, redis_meta.__index = function_globals, redis_of_functions
  return true, ok, failure
end

return compile, run, invoke, load_library
