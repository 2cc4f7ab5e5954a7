//! Commands of strings: one line each.

use super::prelude::*;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    cmd("append", 3, WRITE | DENYOOM | FAST, OneSlot).keys(ONE, &[RW | INSERT]).docs("2.0.0", "O(1). The amortized time complexity is O(1) assuming the appended value is small and the already present value is of any size, since the dynamic string library used by Redis will double the free space available on every reallocation.", "Append a value to a key"),
    cmd("decr", 2, WRITE | DENYOOM | FAST, OneSlot).keys(ONE, &[RW | ACCESS | UPDATE]).docs("1.0.0", "O(1)", "Decrement the integer value of a key by one"),
    cmd("decrby", 3, WRITE | DENYOOM | FAST, OneSlot).keys(ONE, &[RW | ACCESS | UPDATE]).docs("1.0.0", "O(1)", "Decrement the integer value of a key by the given number"),
    cmd("get", 2, READ | FAST | SAFE, OneSlot).keys(ONE, &[RO | ACCESS]).docs("1.0.0", "O(1)", "Get the value of a key"),
    cmd("getdel", 2, WRITE | FAST, OneSlot).keys(ONE, &[RW | ACCESS | DELETE]).docs("6.2.0", "O(1)", "Get the value of a key and delete the key"),
    cmd("getex", -2, WRITE | FAST, OneSlot).keys(ONE, &[RW | ACCESS | UPDATE]).docs("6.2.0", "O(1)", "Get the value of a key and optionally set its expiration"),
    cmd("getrange", 4, READ | SAFE, OneSlot).keys(ONE, &[RO | ACCESS]).docs("2.4.0", "O(N) where N is the length of the returned string. The complexity is ultimately determined by the returned length, but because creating a substring from an existing string is very cheap, it can be considered O(1) for small strings.", "Get a substring of the string stored at a key"),
    cmd("getset", 3, WRITE | DENYOOM | FAST, OneSlot).keys(ONE, &[RW | ACCESS | UPDATE]).docs("1.0.0", "O(1)", "Set the string value of a key and return its old value"),
    cmd("incr", 2, WRITE | DENYOOM | FAST, OneSlot).keys(ONE, &[RW | ACCESS | UPDATE]).docs("1.0.0", "O(1)", "Increment the integer value of a key by one"),
    cmd("incrby", 3, WRITE | DENYOOM | FAST, OneSlot).keys(ONE, &[RW | ACCESS | UPDATE]).docs("1.0.0", "O(1)", "Increment the integer value of a key by the given amount"),
    cmd("incrbyfloat", 3, WRITE | DENYOOM | FAST, OneSlot).keys(ONE, &[RW | ACCESS | UPDATE]).docs("2.6.0", "O(1)", "Increment the float value of a key by the given amount"),
    cmd("lcs", -3, READ | SAFE, Refused(LATER)).keys(TWO, &[RO | ACCESS]).docs("7.0.0", "O(N*M) where N and M are the lengths of s1 and s2, respectively", "Find longest common substring"),
    cmd("mget", -2, READ | FAST | SAFE, Split(Join::Array)).keys(ALL, &[RO | ACCESS]).tips(&["request_policy:multi_shard"]).docs("1.0.0", "O(N) where N is the number of keys to retrieve.", "Get the values of all the given keys"),
    cmd("mset", -3, WRITE | DENYOOM, Split(Join::Ok)).keys(PAIRS, &[OW | UPDATE]).tips(&["request_policy:multi_shard", "response_policy:all_succeeded"]).docs("1.0.1", "O(N) where N is the number of keys to set.", "Set multiple keys to multiple values"),
    cmd("msetnx", -3, WRITE | DENYOOM, OneSlot).keys(PAIRS, &[OW | INSERT]).tips(&["request_policy:multi_shard", "response_policy:agg_min"]).docs("1.0.1", "O(N) where N is the number of keys to set.", "Set multiple keys to multiple values, only if none of the keys exist"),
    cmd("psetex", 4, WRITE | DENYOOM, OneSlot).keys(ONE, &[OW | UPDATE]).docs("2.6.0", "O(1)", "Set the value and expiration in milliseconds of a key"),
    cmd("set", -3, WRITE | DENYOOM, OneSlot).keys(ONE, &[RW | ACCESS | UPDATE | VARIABLE]).docs("1.0.0", "O(1)", "Set the string value of a key"),
    cmd("setex", 4, WRITE | DENYOOM, OneSlot).keys(ONE, &[OW | UPDATE]).docs("2.0.0", "O(1)", "Set the value and expiration of a key"),
    cmd("setnx", 3, WRITE | DENYOOM | FAST, OneSlot).keys(ONE, &[OW | INSERT]).docs("1.0.0", "O(1)", "Set the value of a key, only if the key does not exist"),
    cmd("setrange", 4, WRITE | DENYOOM, OneSlot).keys(ONE, &[RW | UPDATE]).docs("2.2.0", "O(1), not counting the time taken to copy the new string in place. Usually, this string is very small so the amortized complexity is O(1). Otherwise, complexity is O(M) with M being the length of the value argument.", "Overwrite part of a string at key starting at the specified offset"),
    cmd("strlen", 2, READ | FAST | SAFE, OneSlot).keys(ONE, &[RO]).docs("2.2.0", "O(1)", "Get the length of the value stored in a key"),
    cmd("substr", 4, READ | SAFE, OneSlot).keys(ONE, &[RO | ACCESS]).docs("1.0.0", "O(N) where N is the length of the returned string. The complexity is ultimately determined by the returned length, but because creating a substring from an existing string is very cheap, it can be considered O(1) for small strings.", "Get a substring of the string stored at a key"),
];
