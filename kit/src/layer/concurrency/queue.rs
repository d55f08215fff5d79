use std::collections::BTreeMap;

use super::priority::{Classes, Priority};

/// Who waits: by class, and by order of arrival in it.
#[derive(Debug)]
pub(super) struct Queue<T> {
    lines: Classes<BTreeMap<u64, T>>,
    next: u64,
}

/// A place in the queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    class: Priority,
    number: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        let lines = Classes { critical: BTreeMap::new(), normal: BTreeMap::new(), sheddable: BTreeMap::new() };
        Self { lines, next: 0 }
    }
}

impl<T> Queue<T> {
    pub(super) fn len(&self) -> usize {
        Priority::ALL.iter().map(|class| self.lines.of(*class).len()).sum()
    }

    pub(super) fn join(&mut self, class: Priority, waiter: T) -> Ticket {
        let number = self.next;
        self.next += 1;
        self.lines.of_mut(class).insert(number, waiter);
        Ticket { class, number }
    }

    /// Takes a waiter out; `None` for one that is not here any more.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<T> {
        self.lines.of_mut(ticket.class).remove(&ticket.number)
    }

    /// The class of who is next.
    pub(super) fn first(&self) -> Option<Priority> {
        Priority::ALL.into_iter().find(|class| !self.lines.of(*class).is_empty())
    }

    /// Takes the one out that is next of its class.
    pub(super) fn take(&mut self, class: Priority) -> Option<T> {
        self.lines.of_mut(class).pop_first().map(|(_, waiter)| waiter)
    }

    /// Takes the newest of the lowest class out, if that is lower than `class`.
    pub(super) fn displace(&mut self, class: Priority) -> Option<T> {
        let lowest = Priority::ALL.into_iter().rfind(|class| !self.lines.of(*class).is_empty())?;
        if lowest <= class {
            return None;
        }
        self.lines.of_mut(lowest).pop_last().map(|(_, waiter)| waiter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_by_class_and_then_by_arrival() {
        let mut queue = Queue::default();
        queue.join(Priority::Sheddable, "s1");
        let left = queue.join(Priority::Normal, "n1");
        queue.join(Priority::Normal, "n2");
        queue.join(Priority::Critical, "c1");
        queue.join(Priority::Sheddable, "s2");
        assert_eq!((queue.leave(left), queue.leave(left), queue.len()), (Some("n1"), None, 4));
        let order: Vec<_> = std::iter::from_fn(|| queue.first().and_then(|class| queue.take(class))).collect();
        assert_eq!(order, ["c1", "n2", "s1", "s2"]);
    }

    #[test]
    fn the_newest_of_the_lowest_makes_room() {
        let mut queue = Queue::default();
        queue.join(Priority::Sheddable, "s1");
        queue.join(Priority::Sheddable, "s2");
        queue.join(Priority::Normal, "n1");
        assert_eq!(queue.displace(Priority::Sheddable), None);
        assert_eq!(queue.displace(Priority::Normal), Some("s2"));
        assert_eq!(queue.displace(Priority::Critical), Some("s1"));
        assert_eq!(queue.displace(Priority::Normal), None);
        assert_eq!(queue.displace(Priority::Critical), Some("n1"));
        assert_eq!(queue.displace(Priority::Critical), None);
    }
}
