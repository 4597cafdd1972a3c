package import SkerryModel

/// Whether some filters together match everything that another one matches.
///
/// Level by level, keeping those that still match. A `+` that is asked for stands for any text, so only filters that take any text go on:
/// whatever they cover is covered for every text that another filter names. So the answer is exact, also for several filters that cover
/// only together (`a` and `a/+/#` cover `a/#`).
package enum FilterCoverage {
    package static func covers(_ filters: [TopicFilter], _ wanted: TopicFilter) -> Bool {
        // [MQTT-4.7.2-1]: a wildcard at the first level does not reach `$…`.
        let candidates = wanted.startsWithDollar ? filters.filter(\.startsWithDollar) : filters
        return Self.covers(candidates.map(\.levels), wanted.levels)
    }

    private static func covers(_ filters: [TopicLevels], _ wanted: TopicLevels) -> Bool {
        // Whether the levels so far are a topic: "" is none, so "#" and "/#" match no parent.
        var (filters, wanted, isTopic, depth) = (filters, wanted, false, 0)
        while !filters.isEmpty {
            let level = wanted.next()
            var going: [TopicLevels] = []
            var endsHere = false
            for var filter in filters {
                guard let offered = filter.next() else {
                    endsHere = true
                    continue
                }
                if offered.text == "#" { return true }
                if offered.text == "+" || (level.map { $0.text != "+" && $0.text != "#" && $0 == offered } ?? false) { going.append(filter) }
            }
            guard let level else { return endsHere }
            // "a/#" matches "a" and then any number of levels of any text.
            if level.text == "#" { return (endsHere || !isTopic) && Self.coversAll(going) }
            (filters, isTopic, depth) = (going, depth > 0 || !level.text.isEmpty, depth + 1)
        }
        return false
    }

    /// Whether everything from one level on is covered: at every depth until one of the filters says `#`.
    private static func coversAll(_ filters: [TopicLevels]) -> Bool {
        var filters = filters
        while !filters.isEmpty {
            var going: [TopicLevels] = []
            var endsHere = false
            for var filter in filters {
                guard let offered = filter.next() else {
                    endsHere = true
                    continue
                }
                if offered.text == "#" { return true }
                if offered.text == "+" { going.append(filter) }
            }
            guard endsHere else { return false }
            filters = going
        }
        return false
    }
}
