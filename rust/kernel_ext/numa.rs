// SPDX-License-Identifier: GPL-2.0

//! NUMA nodes.
//!
//! C header: [`include/linux/nodemask.h`](srctree/include/linux/nodemask.h)

use kernel::{
    ffi::c_int,
    prelude::*, //
};

use crate::bindings;

/// A node that memory can be allocated on, or any of them.
///
/// # Invariants
///
/// The number is `NUMA_NO_NODE`, or that of a node which has been online. Such a node keeps its data
/// when it goes offline; allocations then get memory of another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Node(c_int);

impl Node {
    /// Any node.
    // INVARIANT: By the definition.
    pub const ANY: Self = Self(bindings::NUMA_NO_NODE);

    /// Returns the node with that number if it is online.
    pub fn online(number: u32) -> Option<Self> {
        // SAFETY: No requirements.
        let is_online = unsafe { bindings::ext_node_online(number) };
        // INVARIANT: It is online.
        // CAST: The number of a node is less than `MAX_NUMNODES`.
        is_online.then_some(Self(number as c_int))
    }

    /// Returns the number, or `NUMA_NO_NODE`.
    pub(crate) fn into_raw(self) -> c_int {
        self.0
    }
}

/// Returns how many nodes are online: 1 without `CONFIG_NUMA`.
pub fn online_nodes() -> u32 {
    // SAFETY: No requirements.
    unsafe { bindings::ext_num_online_nodes() }
}

#[kunit_tests(rnull_dio_numa)]
mod tests {
    use super::*;

    #[test]
    fn nodes() {
        assert!((1..=1024).contains(&online_nodes()));
        assert!((0..1024).any(|number| Node::online(number).is_some()));
        assert_eq!(Node::online(u32::MAX), None);
        assert_eq!(Node::ANY.into_raw(), -1);
    }
}
