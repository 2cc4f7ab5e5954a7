//! What a proxy believes of one slot, and which news it accepts.

use crate::{Epoch, Token};

/// Where requests of one slot go. `N` is how the proxy names a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route<N> {
    pub node: N,
    pub epoch: Epoch,
    /// The proof of a grant, to be presented to `node` before the first request.
    pub token: Option<Token>,
}

impl<N: PartialEq + Copy> Route<N> {
    /// Takes in news from a node or from the table; returns whether the route changed.
    ///
    /// A higher epoch wins. With the same epoch a token is taken, since it is what the owner-to-be waits for, and a different node is not:
    /// an epoch has one owner. Anything older is ignored.
    pub fn learn(&mut self, news: Self) -> bool {
        let newer = news.epoch > self.epoch;
        let proof = news.epoch == self.epoch
            && news.node == self.node
            && news.token.is_some()
            && self.token != news.token;
        if newer || proof {
            *self = news;
        }
        newer || proof
    }

    /// Takes in what node `by` says of a slot that was sought there; returns whether the route changed.
    ///
    /// It may be news as for [`learn`](Self::learn). If not, but the route names `by` and `by` names another, that counts whatever the
    /// epoch: a power loss can take a grant back after proxies have heard of it, and nobody knows better than the node itself that it is
    /// not the owner.
    pub fn denied(&mut self, by: N, news: Self) -> bool {
        if self.learn(news) {
            return true;
        }
        let denied = self.node == by && news.node != by;
        if denied {
            *self = news;
        }
        denied
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(node: u8, epoch: u64, token: Option<u128>) -> Route<u8> {
        Route { node, epoch: Epoch(epoch), token: token.map(Token) }
    }

    #[test]
    fn a_higher_epoch_wins_and_a_lower_one_is_ignored() {
        let mut known = route(1, 5, None);
        assert!(!known.learn(route(2, 4, Some(9))));
        assert!(!known.learn(route(2, 5, Some(9))), "an epoch has one owner");
        assert!(known.learn(route(2, 6, None)));
        assert!(known.learn(route(2, 6, Some(7))), "the proof may come later than the table");
        assert!(!known.learn(route(2, 6, Some(7))), "news is news once");
        assert!(!known.learn(route(2, 6, None)));
        assert_eq!(known, route(2, 6, Some(7)));
    }

    #[test]
    fn a_node_that_names_another_owner_than_itself_is_believed() {
        let mut known = route(2, 6, Some(7));
        assert!(!known.denied(1, route(1, 5, None)), "only the node of the route knows better");
        assert!(!known.denied(2, route(2, 5, None)));
        assert!(known.denied(2, route(1, 5, None)), "the promised owner refused");
        assert_eq!(known, route(1, 5, None));
        assert!(known.denied(1, route(2, 8, Some(9))), "a later grant is news as ever");
    }
}
