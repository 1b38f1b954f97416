// The scripts of @upstash/ratelimit, run natively and by Lua: the same answers, the same keys and
// the same words in the log. The texts come from the packages. NATIVE_SEED=n repeats a run, and
// NATIVE_CASES=n makes it longer.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { Redis } from "ioredis";
import { resp, until } from "./support.mjs";

const VERSIONS = ["2.2.0", "2.1.0", "2.0.8", "2.0.7", "2.0.6", "1.2.1", "1.0.3"];
const SEED = Number(process.env.NATIVE_SEED ?? 1);
const CASES = Number(process.env.NATIVE_CASES ?? 200);

// What each script is called with: how many keys it writes and reads, the words of its ARGV, and
// whether a key with another limit may come last.
const FIXED = ["limit", "window", "rate"];
const SLIDING = ["limit", "now", "window", "rate"];
const BUCKET = ["limit", "window", "refill", "now", "rate"];
const shape = (kind, keys, words, dynamic = "no") => ({ kind, keys, words, dynamic });
const SCRIPTS = {
  b2efc02798c8e9b471a10f9b1d5745db89923ff3: shape("number", 1, FIXED, "optional"),
  "823cb2a5a902d69681244f5e28e5ebb8f2a89edd": shape("number", 1, ["limit"], "optional"),
  "74740bb3d7792848093cdef586b6b6037c455fd6": shape("number", 2, SLIDING, "optional"),
  "7ca36169e0fc9caedd81b4eef8e99854c157f9b5": shape("number", 2, SLIDING.slice(0, 3), "optional"),
  d60be5bd3d83482ae229309f1f7425424f891204: shape("bucket", 1, BUCKET, "optional"),
  a9873a8026b509e99a49a0e5a2049756c693c384: shape("bucket", 1, BUCKET, "optional"),
  "40daf4a441df736f5c99f8b77bbe176c909e5de4": shape("bucket", 1, ["limit"], "optional"),
  "1861a700bafe96c833a483af6b1c28a8897cfdb0": shape("number", 1, ["window", "rate"]),
  eb82f0e853d2fc9a236fa9bfbe704fda6ac2fc36: shape("number", 1, ["rate"]),
  "472e55443b62f60d0991028456c57815a387066d": shape("number", 1, FIXED, "needed"),
  "40515c9dd0a08f8584f5f9b593935f6a87c1c1c3": shape("number", 1, ["limit"], "needed"),
  "977fb636fb5ceb7e98a96d1b3a1272ba018efdae": shape("number", 2, SLIDING, "needed"),
  ee3a3265fad822f83acad23f8a1e2f5c0b156b03: shape("number", 2, SLIDING.slice(0, 3), "needed"),
  b35c5bc0b7fdae7dd0573d4529911cabaf9d1d89: shape("bucket", 1, BUCKET, "needed"),
  deb03663e8af5a968deee895dd081be553d2611b: shape("bucket", 1, ["limit"], "needed"),
  c26b12703dd137939b9a69a3a9b18e906a2d940f: shape("number", 1, ["window", "rate"]),
  "8e8f222ccae68b595ee6e3f3bf2199629a62b91a": shape("number", 1, []),
  b13943e359636db027ad280f1def143f02158c13: shape("number", 1, ["window", "rate"]),
  "8c4c341934502aee132643ffbe58ead3450e5208": shape("number", 1, []),
  "9b7842963bd73721f1a3011650c23c0010848ee3": shape("number", 2, SLIDING),
  e1391e429b699c780eb0480350cd5b7280fd9213: shape("number", 2, SLIDING),
  "65a73ac5a05bf9712903bc304b77268980c1c417": shape("number", 2, ["now", "window"]),
  d1f857ebbdaeca90ccd2cd4eada61d7c8e5db1ca: shape("bucket", 1, BUCKET),
  "5bece90aeef8189a8cfd28995b479529e270b3c6": shape("bucket", 1, BUCKET),
  a15be2bb1db2a15f7c82db06146f9d08983900d0: shape("bucket", 1, ["limit"]),
  "67f84c3691a7a22a78a9a3761b836ea40ef9dd0d": shape("bucket", 1, ["limit"]),
  "375e8c55641c07e85ce7154463000f11d3abe109": shape("number", 1, ["window", "rate"]),
  ae4802a9916a31174ad87bee0251593305dfc24b: shape("number", 2, SLIDING),
  e04b753a75909b7f99aae4c04cf8869a8de02a9e: shape("requests", 1, ["id", "window", "rate"]),
  e066c8ce3eaca142b0894ad1541e0a58c9924819: shape("requests", 1, ["id"]),
  aeb4d8f381e8dafc8e69041baae1324d254ded44: shape("requests", 2, ["limit", "now", "window", "id", "rate"]),
  "87828c1088f6a8d1f512a434ea330189982a1c0a": shape("requests", 2, ["now", "window"]),
  a8c14f3835aa87bd70e5e2116081b81664abcf5c: shape("requests", 1, ["id", "window", "rate"]),
  "8f7788c4a9c1632338c19094c0af5847bbd5a011": shape("requests", 1, ["id", "window", "rate"]),
  "8ab8322d0ed5fe5ac8eb08f0c2e4557f1b4816fd": shape("requests", 1, []),
  "1e7ca8dcd2d600a6d0124a67a57ea225ed62921b": shape("requests", 2, ["limit", "now", "window", "id", "rate"]),
  cb4fdc2575056df7c6d422764df0de3a08d6753b: shape("requests", 2, ["limit", "now", "window", "id", "rate"]),
  "558c9306b7ec54abb50747fe0b17e5d44bd24868": shape("requests", 2, ["now", "window"]),
  e8062088fe7e67994f617766e5d766490de1afb8: shape("deny", 2, ["member", "member", "member"]),
};

// Windows as nobody sends them, none of them short: see above.
const ODD_WINDOWS = [
  "", "abc", "0", "-1", "-3600000", " 3600000", "3600000 ", "+3600000", "03600000", "3600000.5", "36e5",
  "0x36EE80", "nan", "inf", "1e400", "10000000000000", "10000000000001", "1125899906842625",
  "9223372036854775807", "9223372036854775808",
];

/** The text of every known script, out of the packages' own files. */
function texts() {
  const found = new Map();
  for (const version of VERSIONS) {
    const name = version === "2.2.0" ? "@upstash/ratelimit" : `upstash-ratelimit-${version}`;
    const source = readFileSync(`node_modules/${name}/dist/index.js`, "utf8");
    for (const [, literal] of source.matchAll(/`([^`]*)`/g)) {
      const text = literal.replace("${tokenBucketIdentifierNotFound}", "-1");
      const sha = createHash("sha1").update(text).digest("hex");
      if (sha in SCRIPTS) found.set(sha, text);
    }
  }
  return found;
}

/** Numbers below `most`, the same for the same seed. */
function dice(seed) {
  let state = BigInt(seed) * 0x9e3779b97f4a7c15n;
  return (most) => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
    return Number((state >> 33n) % BigInt(most));
  };
}

const BEFORE = 1795210140547;
// Long enough that nothing expires while both ways are run.
const WINDOWS = ["3600000", "60000000", "86400000", "604800000"];
const ODD = [
  "", " ", "abc", "-1", "0", "-0", "007", "+5", "1.5", "-2.5", "1e3", "1e400", "0x10", "nan", "inf", "-inf", " 5",
  "5 ", "5\u0000", "9007199254740993", "9223372036854775807", "-9223372036854775808",
  "9223372036854775808", "100000000000000", "1125899906842624", "1125899906842625", "1e17", "0.1",
];

/** One call after the other with the keys that they find: what is sent, in pieces. */
function play(roll, sha, number, hostile) {
  const { kind, keys, words, dynamic } = SCRIPTS[sha];
  const pick = (list) => list[roll(list.length)];
  const odd = () => hostile && roll(6) === 0;
  const name = (at) => `case:${number}:${at}`;
  const names = Array.from({ length: keys }, (_, at) => name(at));
  const limit = String(1 + roll(12));
  const window = pick(WINDOWS);
  let now = BEFORE + roll(Number(window));
  const rate = () => (roll(3) === 0 ? String(roll(16) - 5) : "1");
  const value = () => (odd() ? pick(ODD) : String(roll(2) ? roll(14) : roll(40) - 12));
  const set = (key) => {
    if (odd()) return roll(2) ? ["sadd", key, "a"] : ["rpush", key, "1", "2"];
    if (kind === "bucket") {
      const at = odd() ? pick(ODD) : String(now - roll(Number(window) * 4));
      const fields = ["refilledAt", at, "tokens", value()];
      return ["hset", key, ...(odd() ? fields.slice(roll(2) * 2).slice(0, 2) : fields)];
    }
    if (kind === "requests") {
      const pairs = Array.from({ length: 1 + roll(4) }, (_, at) => [`r${at}`, value()]);
      return ["hset", key, ...pairs.flat()];
    }
    if (kind === "deny") return ["sadd", key, "m1", "m2", "m3"];
    return ["set", key, value()];
  };
  const setup = [];
  if (kind === "deny") {
    if (roll(2)) setup.push(set(names[0]));
    if (roll(2)) setup.push(["set", names[1], "valid", ...(roll(2) ? ["ex", "1000"] : [])]);
    if (hostile && roll(8) === 0) setup.push(["sadd", names[1], "a"]);
  } else {
    for (const key of names) if (roll(3)) setup.push(set(key));
  }
  const all = [...names];
  if (dynamic === "needed" || (dynamic === "optional" && roll(2))) {
    const empty = roll(3) === 0;
    all.push(empty ? "" : name("dynamic"));
    if (!empty && roll(2)) setup.push(["set", name("dynamic"), odd() ? pick(ODD) : String(roll(20))]);
  }
  if (hostile && roll(12) === 0) all.pop();
  if (hostile && roll(12) === 0) all.push(name("more"));
  if (hostile && roll(20) === 0) all.fill(all[0]);
  const word = (which) => {
    if (odd()) return pick(which === "window" ? ODD_WINDOWS : ODD);
    switch (which) {
      case "limit": return limit;
      case "now": return String(now);
      case "window": return window;
      case "rate": return rate();
      case "refill": return String(1 + roll(5));
      case "member": return `m${roll(6)}`;
      default: return `r${roll(6)}`;
    }
  };
  const calls = [];
  for (let left = 1 + roll(4); left > 0; left -= 1) {
    now += roll(3) === 0 ? roll(Number(window) * 2) : roll(5000);
    const given = words.map(word);
    if (hostile && roll(12) === 0) given.pop();
    if (hostile && roll(12) === 0) given.push("1");
    calls.push([String(all.length), ...all, ...given]);
  }
  return { sha, setup, calls, keys: [...new Set([...all, ...names])] };
}

/** What a replica of this node hears, as long as it listens. */
async function follower() {
  const socket = connect(resp());
  let bytes = Buffer.alloc(0);
  const heard = [];
  let copied = false;
  const take = () => {
    while (copied) {
      const found = command(bytes);
      if (!found) return;
      bytes = bytes.subarray(found.end);
      if (!["PING", "REPLCONF", "SELECT"].includes(found.words[0])) heard.push(found.words);
    }
  };
  socket.on("data", (data) => {
    bytes = Buffer.concat([bytes, data]);
    take();
  });
  socket.on("error", () => {});
  await until(() => socket.readyState === "open");
  socket.write("PSYNC ? -1\r\n");
  // The copy ends with a mark that its head names, or after as many bytes as it says.
  const end = await until(() => {
    // Before its size come line ends while it is being made, as from Redis.
    const head = bytes.indexOf("\n$");
    const body = bytes.indexOf("\r\n", head + 1) + 2;
    if (head < 0 || body < 2) return null;
    const size = bytes.subarray(head + 2, body - 2).toString();
    if (!size.startsWith("EOF:")) {
      return bytes.length >= body + Number(size) ? body + Number(size) : null;
    }
    const mark = bytes.indexOf(size.slice(4), body);
    return mark < 0 ? null : mark + 40;
  }, "a full copy");
  bytes = bytes.subarray(end);
  copied = true;
  take();
  const timer = setInterval(() => socket.write("REPLCONF ACK 0\r\n"), 1000);
  const stop = () => {
    clearInterval(timer);
    socket.destroy();
  };
  return { heard, stop };
}

/** The first command in a stream of them, and where it ends. */
function command(bytes) {
  let at = 0;
  const number = () => {
    const end = bytes.indexOf("\r\n", at);
    if (end < 0) return Number.NaN;
    const number = Number(bytes.subarray(at + 1, end).toString());
    at = end + 2;
    return number;
  };
  const words = [];
  const count = number();
  while (words.length < count) {
    const length = number();
    words.push(bytes.subarray(at, at + length).toString("latin1"));
    at += length + 2;
  }
  return count > 0 && at <= bytes.length ? { words, end: at } : null;
}

describe("scripts run natively and by Lua", () => {
  const script = texts();
  let [redis, log] = [];
  before(async () => {
    redis = new Redis(resp());
    await redis.flushall();
    log = await follower();
  });
  after(async () => {
    log?.stop();
    await redis.config("SET", "native-scripts", "yes");
    await redis.quit();
  });

  /** Plays cases; what each has answered and left, and what a replica has heard of it. */
  async function run(cases, native, by) {
    await redis.config("SET", "native-scripts", native);
    log.heard.length = 0;
    await redis.flushall();
    const pipeline = redis.pipeline();
    const call = (one, words) =>
      by(one) === "text" ? ["eval", script.get(one.sha), ...words] : ["evalsha", one.sha, ...words];
    for (const one of cases) {
      for (const words of one.setup) pipeline.call(...words);
      for (const words of one.calls) pipeline.call(...call(one, words));
      for (const key of one.keys) pipeline.dumpBuffer(key).object("encoding", key).pttl(key);
    }
    const replies = (await pipeline.exec()).map(([error, value]) =>
      error ? `!${error.message}` : plain(value),
    );
    const parts = cases.map((one) => {
      const take = (count) => replies.splice(0, count);
      take(one.setup.length);
      return { answers: take(one.calls.length), keys: take(one.keys.length * 3) };
    });
    await redis.set("end", "");
    const start = () => log.heard.findIndex((words) => words[0] === "flushall") + 1;
    const end = () => log.heard.findIndex((words, at) => at >= start() && words[1] === "end");
    await until(() => start() > 0 && end() >= 0, "the end of the log");
    return { parts, heard: log.heard.slice(start(), end()) };
  }

  const plain = (value) => {
    if (Buffer.isBuffer(value)) return value.toString("latin1");
    return Array.isArray(value) ? value.map(plain) : value;
  };

  /** That two runs are the same, but for the time between them. */
  function compare(cases, native, lua) {
    cases.forEach((one, at) => {
      const shown = JSON.stringify({ seed: SEED, ...one });
      const [a, b] = [native.parts[at], lua.parts[at]];
      assert.deepEqual(a.answers, b.answers, shown);
      a.keys.forEach((value, place) => {
        if (place % 3 === 2 && value > 0) {
          assert.ok(Math.abs(value - b.keys[place]) < 60_000, `${value} ${b.keys[place]} ${shown}`);
        } else {
          assert.deepEqual(value, b.keys[place], shown);
        }
      });
    });
    const [a, b] = [words(native.heard), words(lua.heard)];
    a.forEach((heard, at) => assert.deepEqual(heard, b[at]));
    assert.equal(a.length, b.length);
  }

  /** Without what the time between two runs changes. */
  const words = (heard) =>
    heard.map((one) => {
      if (one[0] === "PEXPIREAT") return one.slice(0, 2);
      return one[3] === "PXAT" ? one.slice(0, 4) : one;
    });

  test("the packages have every text", () => {
    assert.deepEqual(Object.keys(SCRIPTS).filter((sha) => !script.has(sha)), []);
  });

  for (const sha of Object.keys(SCRIPTS)) {
    test(`${sha} is known before it was loaded`, async () => {
      const roll = dice(SEED * 1000 + parseInt(sha.slice(0, 6), 16));
      const cases = Array.from({ length: CASES }, (_, at) => play(roll, sha, at, false));
      await redis.call("script", "flush");
      const native = await run(cases, "yes", () => "sha");
      const missing = native.parts.flatMap((part) => part.answers).filter((answer) => {
        return typeof answer === "string" && answer.startsWith("!NOSCRIPT");
      });
      // A time that has passed already is Lua's to set.
      if (!sha.startsWith("5bece")) assert.equal(missing.length, 0, sha);
      await redis.call("script", "load", script.get(sha));
      if (missing.length > 0) {
        return compare(cases, await run(cases, "yes", () => "sha"), await run(cases, "no", () => "sha"));
      }
      compare(cases, native, await run(cases, "no", () => "sha"));
    });

    test(`${sha} with what nobody sends`, async () => {
      const roll = dice(SEED * 2000 + parseInt(sha.slice(0, 6), 16));
      const cases = Array.from({ length: CASES }, (_, at) => play(roll, sha, at, true));
      await redis.call("script", "load", script.get(sha));
      const by = (one) => (one.calls.length % 2 ? "text" : "sha");
      compare(cases, await run(cases, "yes", by), await run(cases, "no", by));
    });
  }
});
