//! Scripts that mean harm: none of them reaches outside, none is felt by the next one, and none
//! takes more memory than it may.

use crate::support::reply::Reply;
use crate::support::server::Program;
use crate::{call, connect, start};

/// Scripts that must fail, or find nothing.
const ATTACKS: &[&str] = &[
    // Ways out.
    "return io.open('/etc/passwd')",
    "return os.execute('true')",
    "return os.getenv('PATH')",
    "return require('ffi')",
    "return package.loadlib('x', 'y')",
    "return debug.getregistry()",
    "return jit.on()",
    "return ffi.C",
    "return newproxy(true)",
    "return getfenv(1)",
    "return setfenv(1, {})",
    "return dofile('/etc/passwd')",
    "return loadfile('/etc/passwd')",
    "return module('x')",
    // Bytecode, by every door.
    "return loadstring(string.dump(function() return 1 end))()",
    "return load(string.dump(function() return 1 end))()",
    "return assert(load(coroutine.wrap(function() coroutine.yield(string.dump(function() end)) end)))()",
    "return loadstring('\\27LJ\\2')()",
    // Numbers that make objects of the foreign function interface.
    "return 1LL + 1",
    "return loadstring('return 2ull')()",
    // What scripts share.
    "x = 1",
    "_G.x = 1",
    "rawset(_G, 'x', 1)",
    "string.rep = nil",
    "redis.call = nil",
    "rawset(string, 'rep', nil)",
    "rawset(getmetatable(''), '__index', nil)",
    "getmetatable('').__index = {}",
    "getmetatable('').__index.rep = nil",
    "setmetatable(_G, {})",
    "setmetatable(string, {})",
    "setmetatable(redis, {__index = function() end})",
    "table.insert(string, 1)",
    "table.insert(_G, 1, 1)",
    "table.sort(redis, function() return math.huge end) error('no')",
    "for k in pairs(string) do string[k] = nil end",
    "local _, real = pairs(string) real.rep = nil",
    "cjson.null = 1",
    "math.huge = 1",
    "cmsgpack.pack = nil",
    "struct.pack = nil",
    "bit.band = nil",
    "coroutine.wrap = nil",
    // Depth.
    "local t = {} for i = 1, 100000 do t = {t} end return cjson.encode(t)",
    "return cjson.decode(string.rep('[', 100000))",
    "return cjson.decode(string.rep('{\"a\":', 100000))",
    "return cmsgpack.unpack(string.rep('\\145', 100000))",
    "local function f() return 1 + f() end return f()",
    "return string.rep('(', 100000):find(string.rep('(', 100000))",
    "return loadstring('return ' .. string.rep('(', 100000))()",
    "return loadstring(string.rep('x=', 100000))()",
    // Size.
    "return ('x'):rep(1e9):rep(1e9)",
    "local s = 'x' while true do s = s .. s end",
    "local t = {} while true do t[#t + 1] = string.rep('x', 1e6) .. #t end",
    "local t = {} for i = 1, 1e9 do t[i] = i end",
    "return string.format('%99999d', 1)",
    "return table.concat({string.rep('x', 1e8), string.rep('y', 1e8), string.rep('z', 1e8)})",
    "return unpack({}, 1, 1e8)",
    "return unpack({}, -2^31, 2^31 - 1)",
    "return unpack({}, 0, 2^31 - 1)",
    "return struct.pack('i33', 1)",
    "return struct.unpack('i4', 'x')",
    "return struct.unpack('c0', 'x')",
    "return struct.unpack('>i4', 'abcdefgh', 2^40)",
    "return struct.pack('!3 i4', 1)",
    "return struct.pack('c99999999999', 'x')",
    "return cmsgpack.unpack('\\221\\255\\255\\255\\255')",
    "return cmsgpack.unpack('\\219\\255\\255\\255\\255x')",
    "return cmsgpack.unpack_limit('\\1', 1, 5)",
    "return cmsgpack.unpack_one('\\1', -1)",
    "local f = coroutine.wrap(function() error(setmetatable({}, {__tostring = error})) end) f()",
];

/// Scripts that may answer something; what matters is that the server goes on.
const ODDITIES: &[&str] = &[
    "return string.rep('x', 2^31)",
    "local t = {} t[1] = t return t",
    "local t = {} for i = 1, 5000 do t = {t} end return t",
    "local t = {} for i = 1, 20 do t = {t} end return cmsgpack.pack(t)",
    "local t = {} t.map = t return t",
    "local t = {} t.set = {[t] = true} return t",
    "return bit.tohex(65535, -2147483648)",
    "return {err = string.rep('x', 100000)}",
    "return setmetatable({}, {__index = function(t, k) return k end})",
    "return {double = 0/0}",
    "return {big_number = 'x\\r\\n+OK'}",
    "return {ok = 'x\\r\\n+OK'}",
    "error({err = 'A x\\r\\n+OK'})",
    "error('x\\r\\n+OK')",
    "return redis.error_reply('x\\r\\n+OK\\r\\n')",
    "return redis.call('set', 'k', 'x\\r\\n')",
    "return redis.call('x\\r\\n+OK')",
    "return coroutine.create(function() end)",
    "collectgarbage('stop') collectgarbage('setpause', 1e9) return 1",
    "redis.setresp(3) error('x')",
    "cjson.encode_max_depth(2147483647) cjson.decode_max_depth(2147483647) \
     local t = {} for i = 1, 1500 do t = {t} end return pcall(cjson.encode, t)",
    "return string.rep('a', 10):gsub('a', function() error('x') end)",
    "return pcall(string.rep, 'x', -1)",
    "return cjson.decode('\"\\\\ud800\\\\udc00\"')",
    "return tostring(cjson.null)",
];

/// Resident memory beyond which something was not bounded.
const MOST_BYTES: u64 = 1 << 30;

#[test]
fn a_hostile_script_fails_and_leaves_nothing_behind() {
    let mut server = start(Program::Eave, "--io-threads 1");
    let mut client = connect(&server);
    for script in ATTACKS {
        match call(&mut client, &["EVAL", script, "0"]) {
            Reply::Error(_) => {}
            other => panic!(
                "{script} answered {}",
                &other.to_string()[..100.min(other.to_string().len())]
            ),
        }
        is_well(&mut client, script);
    }
    assert!(server.is_running());
    let bytes = server.resident_bytes().expect("the kernel counts");
    assert!(bytes < MOST_BYTES, "{bytes} bytes are in use");
}

#[test]
fn an_odd_script_does_no_harm() {
    let mut server = start(Program::Eave, "--io-threads 1");
    for protocol in ["2", "3"] {
        for script in ODDITIES {
            // A connection of its own: an answer may be deeper than this client reads.
            let mut client = connect(&server);
            call(&mut client, &["HELLO", protocol]);
            let _ = client.call(&["EVAL", script, "0"]);
            is_well(&mut connect(&server), script);
        }
    }
    assert!(server.is_running());
}

/// Whether the next script finds the world as it should be.
fn is_well(client: &mut crate::support::resp::Connection, after: &str) {
    const CHECK: &str = "local names = {} \
        for _, library in ipairs({string, table, math, redis, cjson, cmsgpack, struct, bit, coroutine, _G}) do \
            for name, value in pairs(library) do names[#names + 1] = name .. type(value) end end \
        table.sort(names) \
        return {redis.sha1hex(table.concat(names)), ('x'):rep(3), cjson.encode({1}), \
                type(redis.call('get', 'missing')), rawget(_G, 'x') == nil, #cjson.decode('[[1]]')}";
    let found = call(client, &["EVAL", CHECK, "0"]).to_string();
    let expected = "[\"2d1a\" \"xxx\" \"[1]\" \"boolean\" 1 1]";
    let tail = |text: &str| text.split_once(' ').map(|(_, tail)| tail.to_owned());
    assert_eq!(tail(&found), tail(expected), "after {after}");
    let digest = found.split(' ').next().unwrap_or_default().to_owned();
    let first = FIRST.get_or_init(|| digest.clone());
    assert_eq!(&digest, first, "after {after}, names have changed");
}

/// What the libraries looked like when they were first looked at.
static FIRST: std::sync::OnceLock<String> = std::sync::OnceLock::new();
