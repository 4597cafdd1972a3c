package import SkerryModel

/// Which filters the clients of a box subscribe to, counted, and what other boxes are told of them (FEDERATION.md §2.8): the filters themselves
/// or, above a limit, fewer and wider ones that cover them all.
///
/// What was announced always covers what is counted, once `announcement` was asked for after a change; it may be wider for a while.
package struct InterestSet {
    /// Filters of an announcement, and bytes of their texts with a little for each.
    package static let filtersMax = 1_000
    package static let bytesMax = 64 * 1024
    package static let filterOverhead = 4

    private let filtersMax: Int
    private let bytesMax: Int
    private var counts: [TopicFilter: Int] = [:]
    private var byteCount = 0
    private var announced: Set<TopicFilter> = []
    /// Counted and not covered by what was announced.
    private var uncovered: Set<TopicFilter> = []
    /// Something that was announced may be wanted by nobody any more.
    private var isWide = false

    package init(filtersMax: Int = Self.filtersMax, bytesMax: Int = Self.bytesMax) {
        self.filtersMax = max(1, filtersMax)
        self.bytesMax = max(Self.filterOverhead + 1, bytesMax)
    }

    /// Filters that are counted.
    package var count: Int { self.counts.count }
    /// Others do not know of a filter that somebody here wants.
    package var isBehind: Bool { !self.uncovered.isEmpty }
    /// Others know at least of what is wanted, and perhaps of more.
    package var isTooWide: Bool { self.isWide }

    /// So many subscriptions more, or fewer, to a filter that is not shared.
    package mutating func change(_ filter: TopicFilter, by change: Int) {
        let old = self.counts[filter] ?? 0
        let new = max(0, old + change)
        if new == old { return }
        self.counts[filter] = new == 0 ? nil : new
        if old == 0 {
            self.byteCount += Self.byteCount(filter)
            if !Self.covers(self.announced, filter) { self.uncovered.insert(filter) }
        } else if new == 0 {
            self.byteCount -= Self.byteCount(filter)
            if self.uncovered.remove(filter) == nil { self.isWide = true }
        }
    }

    /// What others are to be told; nil: what they were told last is still right, or merely wider and `isExact` is not wanted.
    ///
    /// Finding out what is not wanted any more takes a walk over everything that is counted, once it is too much to be told one by one.
    package mutating func announcement(isExact: Bool) -> [TopicFilter]? {
        let isLarge = self.counts.count > self.filtersMax || self.byteCount > self.bytesMax
        guard self.isBehind || (self.isWide && (isExact || !isLarge)) else { return nil }
        let new: Set<TopicFilter>
        if !isLarge {
            new = Set(self.counts.keys)
            self.isWide = false
        } else if isExact {
            new = Self.coalesce(Set(self.counts.keys), filtersMax: self.filtersMax, bytesMax: self.bytesMax)
            self.isWide = false
        } else {
            new = Self.coalesce(self.announced.union(self.uncovered), filtersMax: self.filtersMax, bytesMax: self.bytesMax)
        }
        self.uncovered = []
        if new == self.announced { return nil }
        self.announced = new
        return self.current
    }

    /// What others were told last, in the order of its bytes.
    package var current: [TopicFilter] { self.announced.sorted { $0.text.utf8.lexicographicallyPrecedes($1.text.utf8) } }
    /// Whether that is wider than the filters themselves.
    package var isCoalesced: Bool { self.announced.contains { self.counts[$0] == nil } }

    package static func byteCount(_ filter: TopicFilter) -> Int { filter.text.utf8.count + Self.filterOverhead }

    // MARK: - Covering

    /// Whether every topic that `filter` matches is matched by one filter of the set, as far as the set holds it, or a beginning of its levels with
    /// `#` behind.
    package static func covers(_ set: Set<TopicFilter>, _ filter: TopicFilter) -> Bool {
        if set.isEmpty { return false }
        if set.contains(filter) { return true }
        return (0...Self.fixedLevels(filter)).contains { set.contains(Self.prefix(filter, $0)) }
    }

    /// Few filters that cover all of these: those that others cover are left out, and then the largest families of the deepest levels become one
    /// filter with `#`, until it fits; at the worst all of them become `#`. The same filters always give the same.
    package static func coalesce(_ filters: Set<TopicFilter>, filtersMax: Int, bytesMax: Int) -> Set<TopicFilter> {
        var set = Self.pruned(filters)
        var byteCount = set.reduce(0) { $0 + Self.byteCount($1) }
        var depth = (set.map { Self.fixedLevels($0) }.max() ?? 0) - 1
        while depth >= 0, set.count > filtersMax || byteCount > bytesMax {
            var families: [TopicFilter: [TopicFilter]] = [:]
            for filter in set where Self.fixedLevels(filter) > depth { families[Self.prefix(filter, depth), default: []].append(filter) }
            let ordered = families.sorted { one, other in
                one.value.count == other.value.count
                    ? one.key.text.utf8.lexicographicallyPrecedes(other.key.text.utf8) : one.value.count > other.value.count
            }
            for (wide, members) in ordered {
                if set.count <= filtersMax && byteCount <= bytesMax { break }
                // One filter in place of one saves no filter, only bytes.
                if members.count == 1 && byteCount <= bytesMax { continue }
                for member in members where set.remove(member) != nil { byteCount -= Self.byteCount(member) }
                if set.insert(wide).inserted { byteCount += Self.byteCount(wide) }
            }
            depth -= 1
        }
        return Self.pruned(set)
    }

    /// Without those that others of them cover.
    private static func pruned(_ filters: Set<TopicFilter>) -> Set<TopicFilter> {
        filters.filter { filter in
            !(0...Self.fixedLevels(filter)).contains { count in
                let wide = Self.prefix(filter, count)
                return wide != filter && filters.contains(wide)
            }
        }
    }

    /// Levels before a `#` at the end.
    private static func fixedLevels(_ filter: TopicFilter) -> Int { filter.text.utf8.last == UInt8(ascii: "#") ? filter.levelCount - 1 : filter.levelCount }

    private static let everything = try? TopicFilter("#")

    /// The first `count` levels with `#` behind.
    private static func prefix(_ filter: TopicFilter, _ count: Int) -> TopicFilter {
        var text = ""
        for level in filter.levels.prefix(count) {
            text += level.text
            text += "/"
        }
        text += "#"
        // A beginning of a filter is one; only at the very limit of length `#` may be too much, and then everything is.
        return (try? TopicFilter(text)) ?? Self.everything ?? filter
    }
}
