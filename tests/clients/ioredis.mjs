// ioredis, as it is, against an address: node ioredis.mjs HOST:PORT 2|3

import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import Redis from "ioredis";
import { host, pause, port, protocol, run } from "./behaviours.mjs";

const prefix = `ioredis:${protocol}:${process.pid}:${Date.now()}:`;
const key = (name, tag) => (tag ? `${prefix}{${tag}}:${name}` : prefix + name);
const open = [];
const connect = (options = {}) => {
  const client = new Redis({ host, port, protocol, maxRetriesPerRequest: 2, ...options });
  client.on("error", () => {});
  open.push(client);
  return client;
};
const client = connect();
// Some libraries give maps as objects, some as arrays: only the pairs count here.
const sorted = (items) => [...items].sort();

const behaviours = {
  async ready_after_its_checks() {
    const fresh = connect({ enableReadyCheck: true, connectionName: "named", lazyConnect: true });
    const events = [];
    for (const event of ["connect", "ready", "end"]) fresh.on(event, () => events.push(event));
    await fresh.connect();
    equal(fresh.status, "ready");
    equal(await fresh.client("GETNAME"), "named");
    equal(await fresh.quit(), "OK");
    await pause(50);
    deepEqual(events, ["connect", "ready", "end"]);
  },

  async strings() {
    const k = key("string");
    equal(await client.set(k, "v"), "OK");
    equal(await client.get(k), "v");
    equal(await client.set(k, "w", "EX", 100, "NX"), null);
    equal(await client.set(k, "w", "PX", 100_000, "XX", "GET"), "v");
    ok((await client.ttl(k)) > 97);
    equal(await client.incr(key("n")), 1);
    equal(await client.incrby(key("n"), "9007199254740993"), 9007199254740994);
    equal(await client.incrbyfloat(key("f"), 0.1), "0.1");
    equal(await client.append(k, "xyz"), 4);
    equal(await client.getrange(k, 1, 2), "xy");
    await rejects(client.incr(k), /ERR value is not an integer or out of range/);
    await rejects(client.lpush(k, "x"), /WRONGTYPE/);
    equal(await client.get(key("none")), null);
  },

  async bitmaps() {
    const [k, other] = [key("bits", "bits"), key("other", "bits")];
    equal(await client.setbit(k, 9, 1), 0);
    equal(await client.getbit(k, 9), 1);
    equal(await client.bitcount(k), 1);
    equal(await client.bitpos(k, 1), 9);
    equal(await client.bitop("NOT", other, k), 2);
    equal(await client.bitcount(other), 15);
  },

  async many_keys_in_many_slots() {
    const names = Array.from({ length: 300 }, (_, i) => key(`many:${i}`));
    equal(await client.mset(new Map(names.map((name, i) => [name, i]))), "OK");
    deepEqual(await client.mget(names), names.map((_, i) => String(i)));
    equal(await client.exists(...names), 300);
    equal(await client.del(names), 300);
    deepEqual(await client.mget(names.slice(0, 2)), [null, null]);
  },

  async binary() {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const k = Buffer.concat([Buffer.from(key("binary")), Buffer.from([0, 13, 10, 255])]);
    equal(await client.set(k, bytes), "OK");
    deepEqual(await client.getBuffer(k), bytes);
    const big = Buffer.alloc(2 << 20, 7);
    await client.set(k, big);
    ok((await client.getBuffer(k)).equals(big));
    equal(await client.del(k), 1);
  },

  async hashes_lists_sets() {
    const [h, l, e] = [key("h"), key("l"), key("e")];
    equal(await client.hset(h, { a: 1, b: "two" }), 2);
    deepEqual(await client.hgetall(h), { a: "1", b: "two" });
    deepEqual(await client.hmget(h, "b", "none"), ["two", null]);
    equal(await client.hincrby(h, "a", 41), 42);
    equal(await client.hdel(h, "a", "none"), 1);
    equal(await client.rpush(l, 1, 2, 3, 4), 4);
    deepEqual(await client.lrange(l, 0, -1), ["1", "2", "3", "4"]);
    equal(await client.lpop(l), "1");
    deepEqual(await client.rpop(l, 2), ["4", "3"]);
    equal(await client.lmove(key("a", "m"), key("b", "m"), "LEFT", "RIGHT"), null);
    equal(await client.sadd(e, "x", "y"), 2);
    deepEqual(sorted(await client.smembers(e)), ["x", "y"]);
    equal(await client.sismember(e, "x"), 1);
    deepEqual(await client.smismember(e, "x", "z"), [1, 0]);
  },

  async sorted_sets() {
    const z = key("z");
    equal(await client.zadd(z, 1, "a", 2.5, "b", "+inf", "c"), 3);
    equal(Number(await client.zscore(z, "b")), 2.5);
    deepEqual((await client.zrange(z, 0, 1, "WITHSCORES")).flat().map(String), ["a", "1", "b", "2.5"]);
    deepEqual(await client.zrangebyscore(z, "(1", "+inf"), ["b", "c"]);
    equal(await client.zrank(z, "c"), 2);
    equal(await client.zrank(z, "none"), null);
    deepEqual((await client.zpopmin(z)).flat().map(String), ["a", "1"]);
    equal(await client.zcard(z), 2);
  },

  async auto_pipelining() {
    const auto = connect({ enableAutoPipelining: true });
    const names = Array.from({ length: 1000 }, (_, i) => key(`auto:${i % 10}`));
    const replies = await Promise.all(names.map((name) => auto.incr(name)));
    deepEqual(replies, names.map((_, i) => Math.floor(i / 10) + 1));
    deepEqual(await Promise.all(names.slice(0, 10).map((name) => auto.get(name))), Array(10).fill("100"));
    const mixed = await Promise.allSettled([auto.set(key("t"), "text"), auto.incr(key("t")), auto.get(key("t"))]);
    deepEqual(mixed.map((result) => result.status), ["fulfilled", "rejected", "fulfilled"]);
  },

  async pipelines() {
    const pipeline = client.pipeline();
    for (let i = 0; i < 2000; i += 1) pipeline.incr(key(`pipe:${i % 3}`));
    pipeline.lpush(key("pipe:0"), "x").get(key("pipe:1"));
    const replies = await pipeline.exec();
    replies.slice(0, 2000).forEach(([error, value], i) => deepEqual([error, value], [null, Math.floor(i / 3) + 1]));
    match(replies[2000][0].message, /WRONGTYPE/);
    deepEqual(replies[2001], [null, "667"]);
  },

  async transactions() {
    const [k, h] = [key("k", "x"), key("h", "x")];
    const replies = await client.multi().set(k, 1).incr(k).hset(h, "f", "v").hgetall(h).get(k).exec();
    deepEqual(replies.map(([error]) => error), Array(5).fill(null));
    deepEqual([replies[0][1], replies[1][1], replies[2][1], replies[4][1]], ["OK", 2, 1, "2"]);
    await client.multi({ pipeline: false });
    equal(await client.set(k, 5), "QUEUED");
    equal(await client.incr(k), "QUEUED");
    deepEqual((await client.exec()).map(([, value]) => value), ["OK", 6]);
    const watcher = connect();
    await watcher.watch(k);
    await client.set(k, "theirs");
    equal(await watcher.multi().set(k, "mine").exec(), null);
    equal(await client.get(k), "theirs");
    const partly = await client.multi().set(k, "v").incr(k).get(k).exec();
    equal(partly[0][1], "OK");
    match(partly[1][0].message, /not an integer/);
    equal(partly[2][1], "v");
    await rejects(client.multi().set(k, "w").call("NONSENSE").exec(), /EXECABORT/);
    equal(await client.get(k), "v");
  },

  async scans() {
    const names = Array.from({ length: 700 }, (_, i) => key(`scan:${i}`));
    await Promise.all(names.map((name) => client.set(name, 1)));
    const found = new Set();
    for await (const page of client.scanStream({ match: `${prefix}scan:*`, count: 100 })) page.forEach((name) => found.add(name));
    deepEqual(sorted(found), sorted(names));
    const hash = key("wide");
    await client.hset(hash, Object.fromEntries(names.map((name, i) => [`f${i}`, i])));
    const fields = new Map();
    for await (const page of client.hscanStream(hash, { count: 50 })) {
      for (let i = 0; i < page.length; i += 2) fields.set(page[i], page[i + 1]);
    }
    equal(fields.size, 700);
    equal(fields.get("f699"), "699");
    await client.sadd(key("set"), names);
    const members = new Set();
    for await (const page of client.sscanStream(key("set"))) page.forEach((name) => members.add(name));
    equal(members.size, 700);
    equal(await client.unlink(...names), 700);
  },

  async key_prefixes() {
    const prefixed = connect({ keyPrefix: prefix });
    equal(await prefixed.set("prefixed", "v"), "OK");
    equal(await client.get(key("prefixed")), "v");
    deepEqual(await prefixed.mget("prefixed", "none"), ["v", null]);
    equal(await prefixed.del("prefixed"), 1);
  },

  async blocking() {
    const [q, other] = [key("q", "b"), key("other", "b")];
    const worker = connect();
    const job = worker.blpop(other, q, 10);
    await client.rpush(q, "job");
    deepEqual(await job, [q, "job"]);
    equal(await worker.blpop(q, 0.1), null);
    await client.rpush(q, 1, 2);
    equal(await worker.blmove(q, other, "LEFT", "LEFT", 1), "1");
    await client.zadd(key("z", "b"), 1, "m");
    deepEqual((await worker.bzpopmin(key("z", "b"), 1)).map(String), [key("z", "b"), "m", "1"]);
    const jobs = Array.from({ length: 50 }, () => worker.brpop(q, 10));
    for (let i = 0; i < 49; i += 1) await client.lpush(q, `job ${i}`);
    const taken = (await Promise.all(jobs)).map(([, value]) => value);
    deepEqual(taken, ["2", ...Array.from({ length: 49 }, (_, i) => `job ${i}`)]);
  },

  async a_lost_connection_comes_back() {
    const fragile = connect({ retryStrategy: () => 10 });
    const k = key("fragile");
    equal(await fragile.set(k, 1), "OK");
    const again = new Promise((resolve) => fragile.once("ready", resolve));
    fragile.stream.destroy();
    await again;
    equal(await fragile.incr(k), 2);
    fragile.disconnect();
  },

  async databases_and_the_server() {
    const one = connect({ db: 1 });
    const k = key("db");
    await one.set(k, "one");
    equal(await client.get(k), null);
    await client.select(1);
    equal(await client.get(k), "one");
    await client.select(0);
    await one.del(k);
    match(await client.info(), /redis_version:/);
    equal(await client.ping(), "PONG");
    equal(await client.echo("hi"), "hi");
    ok(Number.isInteger(await client.client("ID")));
    ok(Number.isInteger(await client.dbsize()));
    ok(Array.isArray(await client.command("INFO", "get")));
    await rejects(client.call("NONSENSE"), /unknown command/);
  },
};

await run("ioredis 6", behaviours, async () => {
  for await (const page of client.scanBufferStream({ match: `${prefix}*`, count: 1000 })) await Promise.all(page.map((name) => client.del(name)));
  open.forEach((one) => one.disconnect());
});
