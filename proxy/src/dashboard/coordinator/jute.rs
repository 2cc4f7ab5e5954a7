//! ZooKeeper's encoding, as far as a client of ours needs it (`zookeeper.jute` of Apache ZooKeeper 3.x): big-endian numbers, strings and lists
//! with their lengths in front. Pure.

use super::Ephemeral;

/// Numbers of operations.
pub(super) mod op {
    pub(in super::super) const CREATE: i32 = 1;
    pub(in super::super) const DELETE: i32 = 2;
    pub(in super::super) const EXISTS: i32 = 3;
    pub(in super::super) const GET: i32 = 4;
    pub(in super::super) const CHILDREN: i32 = 8;
    pub(in super::super) const PING: i32 = 11;
    pub(in super::super) const MULTI: i32 = 14;
    pub(in super::super) const AUTH: i32 = 100;
    pub(in super::super) const CLOSE: i32 = -11;
}

/// Numbers of errors that mean something to us.
pub(super) mod code {
    pub(in super::super) const NO_NODE: i32 = -101;
    pub(in super::super) const NODE_EXISTS: i32 = -110;
}

const ALL: i32 = 31;
const READ_WRITE_ADMIN: i32 = 1 | 2 | 16;
const EPHEMERAL: i32 = 1;

/// Who may do what with a node we make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody.
    World,
    /// Who says the same secret as we: the server puts its digest for `auth`.
    Ours,
}

/// A record to send.
#[derive(Clone, Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn int(mut self, value: i32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn long(mut self, value: i64) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn flag(mut self, value: bool) -> Self {
        self.0.push(u8::from(value));
        self
    }

    pub(super) fn bytes(self, value: &[u8]) -> Self {
        // A node holds a mebibyte at most.
        let mut this = self.int(value.len() as i32);
        this.0.extend_from_slice(value);
        this
    }

    pub(super) fn text(self, value: &str) -> Self {
        self.bytes(value.as_bytes())
    }

    fn access(self, access: Access, permissions: i32) -> Self {
        let this = self.int(1).int(permissions);
        match access {
            Access::World => this.text("world").text("anyone"),
            Access::Ours => this.text("auth").text(""),
        }
    }

    /// The record of a node without content that stays.
    pub(super) fn parent(self, path: &str, access: Access) -> Self {
        self.text(path).bytes(b"").access(access, ALL).int(0)
    }

    /// The record of a node that goes with the session.
    pub(super) fn ephemeral(self, node: &Ephemeral, access: Access) -> Self {
        self.text(&node.path).bytes(&node.content).access(access, READ_WRITE_ADMIN).int(EPHEMERAL)
    }

    /// What stands before each operation of a MULTI, and with -1 at its end.
    fn part(self, operation: i32) -> Self {
        self.int(operation).flag(operation == -1).int(-1)
    }

    /// One step: away with the node of that version, and a new one in its place.
    pub(super) fn replacement(self, node: &Ephemeral, access: Access, version: i32) -> Self {
        let this = self.part(op::DELETE).text(&node.path).int(version);
        this.part(op::CREATE).ephemeral(node, access).part(-1)
    }
}

/// A record that came; what is missing reads as nothing, and is told by [`Reader::is_whole`].
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    is_whole: bool,
}

/// What is known of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) version: i32,
    /// The session it goes with; zero for one that stays.
    pub(super) owner: i64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(record: &'a [u8]) -> Self {
        Self { rest: record, is_whole: true }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.rest.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.rest = rest;
                *taken
            }
            None => {
                self.is_whole = false;
                [0; N]
            }
        }
    }

    pub(super) fn int(&mut self) -> i32 {
        i32::from_be_bytes(self.take())
    }

    pub(super) fn long(&mut self) -> i64 {
        i64::from_be_bytes(self.take())
    }

    pub(super) fn flag(&mut self) -> bool {
        self.take() != [0]
    }

    /// Empty where the server has none.
    pub(super) fn bytes(&mut self) -> &'a [u8] {
        let len = usize::try_from(self.int().max(0)).unwrap_or_default();
        match self.rest.split_at_checked(len) {
            Some((taken, rest)) => {
                self.rest = rest;
                taken
            }
            None => {
                self.is_whole = false;
                &[]
            }
        }
    }

    pub(super) fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    pub(super) fn texts(&mut self) -> Vec<String> {
        let count = self.int();
        let mut texts = Vec::new();
        for _ in 0..count {
            if !self.is_whole {
                break;
            }
            texts.push(self.text());
        }
        texts
    }

    pub(super) fn stat(&mut self) -> Stat {
        for _ in 0..4 {
            self.long();
        }
        let version = self.int();
        self.long();
        let owner = self.long();
        self.long();
        self.long();
        Stat { version, owner }
    }

    /// The first error of a MULTI's answers, if there is one.
    pub(super) fn failure(&mut self) -> Option<i32> {
        while self.is_whole {
            let (operation, done, error) = (self.int(), self.flag(), self.int());
            match operation {
                _ if done => return None,
                op::CREATE => _ = self.text(),
                op::DELETE => {}
                _ if error != 0 => return Some(error),
                // An operation that was not tried, since another had failed.
                -1 => _ = self.int(),
                _ => self.is_whole = false,
            }
        }
        None
    }
}

/// What an error's number means, and what to do.
pub(super) fn meaning(code: i32) -> String {
    match code {
        NO_AUTH => {
            "the node may not be touched with this secret: check the auth setting".to_owned()
        }
        AUTH_FAILED => "the secret is refused: check the auth setting".to_owned(),
        EXPIRED => "the session has expired".to_owned(),
        code::NO_NODE => "there is no such node".to_owned(),
        code::NODE_EXISTS => "the node is there already".to_owned(),
        NO_CHILDREN => "a node above it is ephemeral and can have none below".to_owned(),
        BAD_VERSION => "the node was changed meanwhile".to_owned(),
        other => format!("error {other}"),
    }
}

const NO_AUTH: i32 = -102;
const BAD_VERSION: i32 = -103;
const NO_CHILDREN: i32 = -108;
const EXPIRED: i32 = -112;
const AUTH_FAILED: i32 = -115;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_written_as_the_protocol_has_it() {
        let written = Writer::default().int(1).long(-1).flag(true).text("ab").0;
        let want = [0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0, 0, 0, 2, 97, 98];
        assert_eq!(written, want);
        let parent = Writer::default().parent("/a", Access::Ours).0;
        let want = b"\0\0\0\x02/a\0\0\0\0\0\0\0\x01\0\0\0\x1f\0\0\0\x04auth\0\0\0\0\0\0\0\0";
        assert_eq!(parent, want);
    }

    #[test]
    fn a_record_cut_anywhere_reads_as_not_whole() {
        let record = Writer::default().int(2).text("a").text("bc").0;
        for cut in 0..record.len() {
            let mut reader = Reader::new(&record[..cut]);
            reader.texts();
            assert!(!reader.is_whole(), "{cut}");
        }
        let mut reader = Reader::new(&record);
        assert_eq!((reader.texts().join(","), reader.is_whole()), ("a,bc".to_owned(), true));
    }

    #[test]
    fn a_list_that_claims_to_be_endless_ends() {
        let mut reader = Reader::new(&[0x7f, 255, 255, 255]);
        reader.texts();
        assert!(!reader.is_whole());
    }

    #[test]
    fn the_first_failure_of_many_operations_is_found() {
        let part = |w: Writer, operation, error| w.int(operation).flag(false).int(error);
        let end = |w: Writer| w.int(-1).flag(true).int(-1).0;
        let done = part(part(Writer::default(), op::DELETE, 0), op::CREATE, 0).text("/a");
        assert_eq!(Reader::new(&end(done)).failure(), None);
        let failed = part(part(Writer::default(), -1, 0).int(0), -1, -110).int(-110);
        assert_eq!(Reader::new(&end(failed)).failure(), Some(-110));
        let failed = part(Writer::default(), -1, -103).int(-103);
        assert_eq!(Reader::new(&end(failed)).failure(), Some(-103));
    }
}
