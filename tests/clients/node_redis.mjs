// node-redis, as it is, against an address: node node_redis.mjs HOST:PORT 2|3

import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { createClient, createClientPool, RESP_TYPES, WatchError } from "redis";
import { host, port, protocol, run } from "./behaviours.mjs";

const prefix = `node-redis:${protocol}:${process.pid}:${Date.now()}:`;
const key = (name, tag) => (tag ? `${prefix}{${tag}}:${name}` : prefix + name);
const open = [];
const make = (options = {}) => {
  const client = createClient({ RESP: protocol, socket: { host, port, reconnectStrategy: () => 20 }, ...options });
  client.on("error", () => {});
  open.push(client);
  return client;
};
const connect = (options) => make(options).connect();
const client = await connect();
const sorted = (items) => [...items].sort();
const plain = (value) => JSON.parse(JSON.stringify(value));

const behaviours = {
  async events_of_a_connection() {
    const fresh = make({ name: "named" });
    const events = [];
    for (const event of ["connect", "ready", "end"]) fresh.on(event, () => events.push(event));
    await fresh.connect();
    ok(fresh.isReady);
    equal(await fresh.clientGetName(), "named");
    await fresh.close();
    deepEqual(events, ["connect", "ready", "end"]);
  },

  async strings() {
    const k = key("string");
    equal(await client.set(k, "v"), "OK");
    equal(await client.get(k), "v");
    equal(await client.set(k, "w", { condition: "NX" }), null);
    equal(await client.set(k, "w", { expiration: { type: "EX", value: 100 }, GET: true }), "v");
    ok((await client.ttl(k)) > 97);
    equal(await client.incr(key("n")), 1);
    equal(await client.incrBy(key("n"), 41), 42);
    equal(await client.incrByFloat(key("f"), 2.5), "2.5");
    equal(await client.append(k, "xyz"), 4);
    equal(await client.getRange(k, 1, 2), "xy");
    equal(await client.get(key("none")), null);
    equal(await client.getDel(k), "wxyz");
    await client.set(k, "text");
    await rejects(client.incr(k), /ERR value is not an integer or out of range/);
    await rejects(client.lPush(k, "x"), /WRONGTYPE/);
  },

  async bitmaps() {
    const [k, other] = [key("bits", "bits"), key("other", "bits")];
    equal(await client.setBit(k, 9, 1), 0);
    equal(await client.getBit(k, 9), 1);
    equal(await client.bitCount(k), 1);
    equal(await client.bitPos(k, 1), 9);
    equal(await client.bitOp("NOT", other, k), 2);
    equal(await client.bitCount(other), 15);
  },

  async many_keys_in_many_slots() {
    const names = Array.from({ length: 300 }, (_, i) => key(`many:${i}`));
    equal(await client.mSet(names.map((name, i) => [name, String(i)])), "OK");
    deepEqual(await client.mGet(names), names.map((_, i) => String(i)));
    equal(await client.exists(names), 300);
    equal(await client.del(names), 300);
    deepEqual(await client.mGet(names.slice(0, 2)), [null, null]);
  },

  async binary() {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const raw = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    const k = Buffer.concat([Buffer.from(key("binary")), Buffer.from([0, 13, 10, 255])]);
    await client.set(k, bytes);
    deepEqual(await raw.get(k), bytes);
    const big = Buffer.alloc(2 << 20, 7);
    await client.set(k, big);
    ok((await raw.get(k)).equals(big));
    equal(await client.del(k), 1);
  },

  async hashes_lists_sets() {
    const [h, l, e] = [key("h"), key("l"), key("e")];
    equal(await client.hSet(h, { a: "1", b: "two" }), 2);
    deepEqual(plain(await client.hGetAll(h)), { a: "1", b: "two" });
    deepEqual(await client.hmGet(h, ["b", "none"]), ["two", null]);
    equal(await client.hIncrBy(h, "a", 41), 42);
    equal(await client.hDel(h, ["a", "none"]), 1);
    equal(await client.rPush(l, ["1", "2", "3", "4"]), 4);
    deepEqual(await client.lRange(l, 0, -1), ["1", "2", "3", "4"]);
    equal(await client.lPop(l), "1");
    deepEqual(await client.rPopCount(l, 2), ["4", "3"]);
    equal(await client.lPos(l, "2"), 0);
    equal(await client.sAdd(e, ["x", "y"]), 2);
    deepEqual(sorted(await client.sMembers(e)), ["x", "y"]);
    ok(await client.sIsMember(e, "x"));
    deepEqual((await client.smIsMember(e, ["x", "z"])).map(Boolean), [true, false]);
  },

  async sorted_sets() {
    const z = key("z");
    equal(await client.zAdd(z, [{ score: 1, value: "a" }, { score: 2.5, value: "b" }, { score: Infinity, value: "c" }]), 3);
    equal(await client.zScore(z, "b"), 2.5);
    equal(await client.zScore(z, "c"), Infinity);
    equal(await client.zScore(z, "none"), null);
    deepEqual(plain(await client.zRangeWithScores(z, 0, 1)), [{ value: "a", score: 1 }, { value: "b", score: 2.5 }]);
    deepEqual(await client.zRange(z, "(1", "+inf", { BY: "SCORE" }), ["b", "c"]);
    equal(await client.zRank(z, "c"), 2);
    equal(await client.zIncrBy(z, 0.25, "b"), 2.75);
    deepEqual(plain(await client.zPopMin(z)), { value: "a", score: 1 });
    equal(await client.zCard(z), 2);
  },

  async everything_of_one_turn_is_one_pipeline() {
    const names = Array.from({ length: 2000 }, (_, i) => key(`turn:${i % 10}`));
    const replies = await Promise.all(names.map((name) => client.incr(name)));
    deepEqual(replies, names.map((_, i) => Math.floor(i / 10) + 1));
    const mixed = await Promise.allSettled([client.set(key("t"), "text"), client.incr(key("t")), client.get(key("t"))]);
    deepEqual(mixed.map((result) => result.status), ["fulfilled", "rejected", "fulfilled"]);
  },

  async transactions() {
    const [k, h] = [key("k", "x"), key("h", "x")];
    const replies = await client.multi().set(k, "1").incr(k).hSet(h, "f", "v").hGetAll(h).get(k).exec();
    deepEqual(plain(replies), ["OK", 2, 1, { f: "v" }, "2"]);
    const watcher = await connect();
    await watcher.watch(k);
    await client.set(k, "theirs");
    await rejects(watcher.multi().set(k, "mine").exec(), WatchError);
    equal(await client.get(k), "theirs");
    const partly = await client.multi().set(k, "v").incr(k).get(k).exec().catch((error) => error);
    equal(partly.replies[0], "OK");
    match(partly.replies[1].message, /not an integer/);
    equal(partly.replies[2], "v");
    await rejects(client.multi().set(k, "w").addCommand(["NONSENSE"]).exec(), /EXECABORT|unknown command/);
    equal(await client.get(k), "v");
    deepEqual(await client.multi().get(k).get(key("none", "x")).execAsPipeline(), ["v", null]);
  },

  async scans() {
    const names = Array.from({ length: 700 }, (_, i) => key(`scan:${i}`));
    await Promise.all(names.map((name) => client.set(name, "1")));
    const found = new Set();
    for await (const page of client.scanIterator({ MATCH: `${prefix}scan:*`, COUNT: 100 })) page.forEach((name) => found.add(name));
    deepEqual(sorted(found), sorted(names));
    const none = [];
    for await (const page of client.scanIterator({ MATCH: `${prefix}scan:*`, TYPE: "hash" })) none.push(...page);
    deepEqual(none, []);
    const hash = key("wide");
    await client.hSet(hash, Object.fromEntries(names.map((_, i) => [`f${i}`, String(i)])));
    const fields = new Map();
    for await (const page of client.hScanIterator(hash, { COUNT: 50 })) page.forEach(({ field, value }) => fields.set(field, value));
    equal(fields.size, 700);
    equal(fields.get("f699"), "699");
    equal(await client.unlink(names), 700);
  },

  async blocking_through_a_pool() {
    const [q, other] = [key("q", "b"), key("other", "b")];
    const pool = await createClientPool({ RESP: protocol, socket: { host, port } }, { minimum: 1, maximum: 4 }).connect();
    pool.on("error", () => {});
    const job = pool.blPop([other, q], 10);
    await client.rPush(q, "job");
    deepEqual(plain(await job), { key: q, element: "job" });
    equal(await pool.blPop(q, 0.1), null);
    await client.rPush(q, ["1", "2"]);
    equal(await pool.blMove(q, other, "LEFT", "LEFT", 1), "1");
    await client.zAdd(key("z", "b"), { score: 1, value: "m" });
    deepEqual(plain(await pool.bzPopMin(key("z", "b"), 1)), { key: key("z", "b"), value: "m", score: 1 });
    const taken = Promise.all(Array.from({ length: 30 }, () => pool.brPop(q, 10)));
    for (let i = 0; i < 29; i += 1) await client.lPush(q, `job ${i}`);
    deepEqual(sorted((await taken).map(({ element }) => element)), sorted(["2", ...Array.from({ length: 29 }, (_, i) => `job ${i}`)]));
    await pool.close();
  },

  async a_lost_connection_comes_back() {
    const fragile = await connect();
    const k = key("fragile");
    equal(await fragile.set(k, "1"), "OK");
    const again = new Promise((resolve) => fragile.once("ready", resolve));
    equal(await client.sendCommand(["CLIENT", "KILL", "ID", String(await fragile.clientId())]), 1);
    await again;
    equal(await fragile.incr(k), 2);
  },

  async the_offline_queue_is_sent_in_order() {
    const late = make();
    const ready = late.connect();
    const replies = [late.set(key("late"), "1"), late.incr(key("late")), late.incr(key("late"))];
    await ready;
    deepEqual(await Promise.all(replies), ["OK", 2, 3]);
  },

  async databases_and_the_server() {
    const one = await connect({ database: 1 });
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
    ok(Number.isInteger(await client.clientId()));
    ok(Number.isInteger(await client.dbSize()));
    equal((await client.commandInfo(["get"]))[0].name, "get");
    await rejects(client.sendCommand(["NONSENSE"]), /unknown command/);
  },
};

await run("node-redis 6", behaviours, async () => {
  const raw = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  for await (const page of raw.scanIterator({ MATCH: `${prefix}*`, COUNT: 1000 })) if (page.length) await client.del(page);
  open.forEach((one) => one.isOpen && one.destroy());
});
