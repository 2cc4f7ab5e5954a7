//! Commands of lists: one line each.

use super::prelude::*;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    cmd("blmove", 6, WRITE | DENYOOM | NOSCRIPT | BLOCKING, Private).keys(TWO, &[RW | ACCESS | DELETE, RW | INSERT]).docs("6.2.0", "O(1)", "Pop an element from a list, push it to another list and return it; or block until one is available"),
    cmd("blmpop", -5, WRITE | BLOCKING, Private).keys(NumKeys { at: 2, first: 3 }, &[RW | ACCESS | DELETE]).docs("7.0.0", "O(N+M) where N is the number of provided keys and M is the number of elements returned.", "Pop elements from a list, or block until one is available"),
    cmd("blpop", -3, WRITE | NOSCRIPT | BLOCKING, Private).keys(ALL_BUT_LAST, &[RW | ACCESS | DELETE]).docs("2.0.0", "O(N) where N is the number of provided keys.", "Remove and get the first element in a list, or block until one is available"),
    cmd("brpop", -3, WRITE | NOSCRIPT | BLOCKING, Private).keys(ALL_BUT_LAST, &[RW | ACCESS | DELETE]).docs("2.0.0", "O(N) where N is the number of provided keys.", "Remove and get the last element in a list, or block until one is available"),
    cmd("brpoplpush", 4, WRITE | DENYOOM | NOSCRIPT | BLOCKING, Private).keys(TWO, &[RW | ACCESS | DELETE, RW | INSERT]).docs("2.2.0", "O(1)", "Pop an element from a list, push it to another list and return it; or block until one is available"),
    cmd("lindex", 3, READ | SAFE, OneSlot).keys(ONE, &[RO | ACCESS]).docs("1.0.0", "O(N) where N is the number of elements to traverse to get to the element at index. This makes asking for the first or the last element of the list O(1).", "Get an element from a list by its index"),
    cmd("linsert", 5, WRITE | DENYOOM | BULK, OneSlot).keys(ONE, &[RW | INSERT]).docs("2.2.0", "O(N) where N is the number of elements to traverse before seeing the value pivot. This means that inserting somewhere on the left end on the list (head) can be considered O(1) and inserting somewhere on the right end (tail) is O(N).", "Insert an element before or after another element in a list"),
    cmd("llen", 2, READ | FAST | SAFE, OneSlot).keys(ONE, &[RO]).docs("1.0.0", "O(1)", "Get the length of a list"),
    cmd("lmove", 5, WRITE | DENYOOM, OneSlot).keys(TWO, &[RW | ACCESS | DELETE, RW | INSERT]).docs("6.2.0", "O(1)", "Pop an element from a list, push it to another list and return it"),
    cmd("lmpop", -4, WRITE, OneSlot).keys(NumKeys { at: 1, first: 2 }, &[RW | ACCESS | DELETE]).docs("7.0.0", "O(N+M) where N is the number of provided keys and M is the number of elements returned.", "Pop elements from a list"),
    cmd("lpop", -2, WRITE | FAST, OneSlot).keys(ONE, &[RW | ACCESS | DELETE]).docs("1.0.0", "O(N) where N is the number of elements returned", "Remove and get the first elements in a list"),
    cmd("lpos", -3, READ | SAFE | BULK, OneSlot).keys(ONE, &[RO | ACCESS]).docs("6.0.6", "O(N) where N is the number of elements in the list, for the average case. When searching for elements near the head or the tail of the list, or when the MAXLEN option is provided, the command may run in constant time.", "Return the index of matching elements on a list"),
    cmd("lpush", -3, WRITE | DENYOOM | FAST, OneSlot).keys(ONE, &[RW | INSERT]).docs("1.0.0", "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.", "Prepend one or multiple elements to a list"),
    cmd("lpushx", -3, WRITE | DENYOOM | FAST, OneSlot).keys(ONE, &[RW | INSERT]).docs("2.2.0", "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.", "Prepend an element to a list, only if the list exists"),
    cmd("lrange", 4, READ | SAFE | BULK, OneSlot).keys(ONE, &[RO | ACCESS]).docs("1.0.0", "O(S+N) where S is the distance of start offset from HEAD for small lists, from nearest end (HEAD or TAIL) for large lists; and N is the number of elements in the specified range.", "Get a range of elements from a list"),
    cmd("lrem", 4, WRITE | BULK, OneSlot).keys(ONE, &[RW | DELETE]).docs("1.0.0", "O(N+M) where N is the length of the list and M is the number of elements removed.", "Remove elements from a list"),
    cmd("lset", 4, WRITE | DENYOOM, OneSlot).keys(ONE, &[RW | UPDATE]).docs("1.0.0", "O(N) where N is the length of the list. Setting either the first or the last element of the list is O(1).", "Set the value of an element in a list by its index"),
    cmd("ltrim", 4, WRITE | BULK, OneSlot).keys(ONE, &[RW | DELETE]).docs("1.0.0", "O(N) where N is the number of elements to be removed by the operation.", "Trim a list to the specified range"),
    cmd("rpop", -2, WRITE | FAST, OneSlot).keys(ONE, &[RW | ACCESS | DELETE]).docs("1.0.0", "O(N) where N is the number of elements returned", "Remove and get the last elements in a list"),
    cmd("rpoplpush", 3, WRITE | DENYOOM, OneSlot).keys(TWO, &[RW | ACCESS | DELETE, RW | INSERT]).docs("1.2.0", "O(1)", "Remove the last element in a list, prepend it to another list and return it"),
    cmd("rpush", -3, WRITE | DENYOOM | FAST, OneSlot).keys(ONE, &[RW | INSERT]).docs("1.0.0", "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.", "Append one or multiple elements to a list"),
    cmd("rpushx", -3, WRITE | DENYOOM | FAST, OneSlot).keys(ONE, &[RW | INSERT]).docs("2.2.0", "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.", "Append an element to a list, only if the list exists"),
];
