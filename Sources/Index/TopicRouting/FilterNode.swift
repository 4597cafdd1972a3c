import SkerryModel

/// A node of the tree of filters with wildcards: reached over the levels of a filter from the root.
final class FilterNode {
    /// The level that leads here; empty for the root and behind `+`.
    let level: String
    /// Another child of the same parent whose level has the same hash: a rarity that costs one comparison.
    private var sibling: FilterNode?
    /// Over a level that must be the same.
    private var children = ChildTable<FilterNode>()
    /// Over `+`: any one level.
    private var anyLevel: FilterNode?
    /// Of the filter that ends here.
    private var here: Int?
    /// Of the filter that ends with `#` below here; it wants this level too (§4.7.1.2).
    private var below: Int?

    init(level: String = "") { self.level = level }

    var isEmpty: Bool { self.here == nil && self.below == nil && self.anyLevel == nil && self.children.isEmpty }

    var descendantCount: Int {
        var count = self.anyLevel.map { 1 + $0.descendantCount } ?? 0
        for first in self.children.nodes {
            var child = Optional(first)
            while let node = child {
                count += 1 + node.descendantCount
                child = node.sibling
            }
        }
        return count
    }

    // MARK: - Changing

    /// Gives the number of `filter`, or enters `number` for it when it has none.
    func enter(_ filter: TopicFilter, _ number: () -> Int, _ hash: LevelHash) -> Int {
        var node = self
        for level in filter.levels {
            switch level.wildcard {
            case .rest: return node.below.orSet(number)
            case .one: node = node.anyLevelMade()
            case nil: node = node.childMade(level.text, hash)
            }
        }
        return node.here.orSet(number)
    }

    func find(_ filter: TopicFilter, _ hash: LevelHash) -> Int? {
        var node = self
        for level in filter.levels {
            switch level.wildcard {
            case .rest: return node.below
            case .one:
                guard let next = node.anyLevel else { return nil }
                node = next
            case nil:
                guard let next = node.child(hash(level.text.utf8), { level.text.utf8.elementsEqual($0.utf8) }) else { return nil }
                node = next
            }
        }
        return node.here
    }

    /// Forgets `filter` and prunes what only it needed. Recursion is bounded by the filter's levels, `TopicName.separatorsMax` + 1.
    func remove(_ levels: TopicLevels, _ hash: LevelHash) {
        var levels = levels
        guard let level = levels.next() else { return self.here = nil }
        switch level.wildcard {
        case .rest: self.below = nil
        case .one:
            guard let child = self.anyLevel else { return }
            child.remove(levels, hash)
            if child.isEmpty { self.anyLevel = nil }
        case nil:
            let key = hash(level.text.utf8)
            guard let child = self.child(key, { level.text.utf8.elementsEqual($0.utf8) }) else { return }
            child.remove(levels, hash)
            if child.isEmpty { self.unlink(child, key) }
        }
    }

    private func anyLevelMade() -> FilterNode {
        if let child = self.anyLevel { return child }
        let child = FilterNode()
        self.anyLevel = child
        return child
    }

    private func childMade(_ level: Substring, _ hash: LevelHash) -> FilterNode {
        let key = hash(level.utf8)
        if let child = self.child(key, { level.utf8.elementsEqual($0.utf8) }) { return child }
        let child = FilterNode(level: String(level))
        child.sibling = self.children[key]
        self.children[key] = child
        return child
    }

    private func unlink(_ child: FilterNode, _ key: UInt64) {
        let rest = child.sibling
        child.sibling = nil
        guard let first = self.children[key], first !== child else { return self.children[key] = rest }
        var before = first
        while let next = before.sibling, next !== child { before = next }
        before.sibling = rest
    }

    /// The child whose level hashes to `key` and is the one that `isLevel` means.
    private func child(_ key: UInt64, _ isLevel: (String) -> Bool) -> FilterNode? {
        var child = self.children[key]
        while let node = child, !isLevel(node.level) { child = node.sibling }
        return child
    }

    // MARK: - Matching

    /// Appends the numbers of the filters that want this topic. Recursion is bounded by its levels.
    ///
    /// - Parameter allowsWildcard: false at the first level of a topic that starts with `$` [MQTT-4.7.2-1].
    func match(_ levels: borrowing HashedLevels, at depth: Int, allowsWildcard: Bool, into numbers: inout [Int]) {
        if allowsWildcard, let below = self.below { numbers.append(below) }
        guard depth < levels.count else {
            if let here = self.here { numbers.append(here) }
            return
        }
        if allowsWildcard, let child = self.anyLevel { child.match(levels, at: depth + 1, allowsWildcard: true, into: &numbers) }
        var child = self.children[levels.hash(at: depth)]
        while let node = child {
            if levels.isEqual(at: depth, node.level) { return node.match(levels, at: depth + 1, allowsWildcard: true, into: &numbers) }
            child = node.sibling
        }
    }
}

@available(*, unavailable)
extension FilterNode: Sendable {}

/// Nodes by the hash of their level: a search among few, a look-up among many. Most nodes have one child, and a dictionary for it would cost
/// more than the node.
struct ChildTable<Node: AnyObject> {
    private static var searchedMax: Int { 6 }

    private var few: [(key: UInt64, node: Node)] = []
    private var many: [UInt64: Node] = [:]

    var isEmpty: Bool { self.few.isEmpty && self.many.isEmpty }
    var nodes: [Node] { self.few.map(\.node) + self.many.values }

    subscript(_ key: UInt64) -> Node? {
        get {
            for entry in self.few where entry.key == key { return entry.node }
            return self.many.isEmpty ? nil : self.many[key]
        }
        set {
            if let place = self.few.firstIndex(where: { $0.key == key }) {
                if let newValue { self.few[place].node = newValue } else { self.few.remove(at: place) }
            } else if !self.many.isEmpty || (newValue != nil && self.few.count >= Self.searchedMax) {
                for entry in self.few { self.many[entry.key] = entry.node }
                self.few = []
                self.many[key] = newValue
            } else if let newValue {
                self.few.append((key, newValue))
            }
        }
    }
}

extension Optional {
    /// What is there; `value`, from now on, where nothing was.
    fileprivate mutating func orSet(_ value: () -> Wrapped) -> Wrapped {
        if let known = self { return known }
        let value = value()
        self = value
        return value
    }
}

extension TopicLevel {
    fileprivate enum Wildcard { case one, rest }

    /// Filters hold wildcards only as whole levels, so one byte tells.
    fileprivate var wildcard: Wildcard? {
        guard self.text.utf8.count == 1 else { return nil }
        switch self.text.utf8.first {
        case UInt8(ascii: "+"): return .one
        case UInt8(ascii: "#"): return .rest
        default: return nil
        }
    }
}
