package import SkerryModel

/// Which of many filters want a topic, as small numbers: the part of routing that does not depend on who subscribes.
///
/// Filters without a wildcard are found with one look-up of the whole topic, however many there are. Filters with wildcards form a tree with a
/// step for each level; a walk follows at most the literal and the `+` step at each level, so its cost grows with what matches and not with
/// what is stored. Share names play no part.
///
/// Not generic, so that it is compiled once and in full; `SubscriptionTree` puts the subscribers to the numbers.
package final class FilterTree {
    /// By the text of the topic: the filters without a wildcard.
    private var literals: [TopicText: Int] = [:]
    private let root = FilterNode()
    private let hash = LevelHash()
    /// Storage for the levels of one topic after another.
    private var scratch: [HashedLevels.Level] = []
    /// Numbers of removed filters, given again before new ones.
    private var free: [Int] = []
    private var nextNumber = 0

    package init() {}

    /// Filters that have a number.
    package var count: Int { self.nextNumber - self.free.count }
    /// Numbers are below this.
    package var numberEnd: Int { self.nextNumber }
    /// Nodes of the tree and filters outside it: what a test looks at to see that nothing is left behind.
    package var nodeCount: Int { self.literals.count + self.root.descendantCount }

    /// The number of `filter`, which gets one if it has none.
    package func enter(_ filter: TopicFilter) -> Int {
        if filter.hasWildcard { return self.root.enter(filter, self.newNumber, self.hash) }
        let text = TopicText(filter.filter)
        if let number = self.literals[text] { return number }
        let number = self.newNumber()
        self.literals[text] = number
        return number
    }

    /// The number of `filter`; nil when it has none.
    package func find(_ filter: TopicFilter) -> Int? {
        filter.hasWildcard ? self.root.find(filter, self.hash) : self.literals[TopicText(filter.filter)]
    }

    /// Forgets `filter`; its number may be given to another.
    package func remove(_ filter: TopicFilter) {
        guard let number = self.find(filter) else { return }
        self.free.append(number)
        if filter.hasWildcard {
            self.root.remove(filter.levels, self.hash)
        } else {
            self.literals[TopicText(filter.filter)] = nil
        }
    }

    /// Appends the numbers of the filters that want `topic`, each once.
    package func match(_ topic: TopicName, into numbers: inout [Int]) {
        if !self.literals.isEmpty, let number = self.literals[TopicText(topic.text)] { numbers.append(number) }
        guard !self.root.isEmpty else { return }
        var text = topic.text
        let allowsWildcard = !topic.startsWithDollar
        self.scratch = text.withUTF8 { bytes in
            let levels = HashedLevels(bytes, self.hash, scratch: &self.scratch)
            self.root.match(levels, at: 0, allowsWildcard: allowsWildcard, into: &numbers)
            return levels.takeBack()
        }
    }

    private func newNumber() -> Int {
        if let number = self.free.popLast() { return number }
        self.nextNumber += 1
        return self.nextNumber - 1
    }
}

@available(*, unavailable)
extension FilterTree: Sendable {}
