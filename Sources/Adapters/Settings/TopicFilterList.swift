/// Filters opened to clients without an account.
enum TopicFilterList {
    static let countMax = 100

    static func parse(_ text: String) throws(InvalidValue) -> [String] {
        if text.isEmpty { return [] }
        var filters: [String] = []
        for piece in text.split(separator: ",", omittingEmptySubsequences: false) {
            let filter = Trimming.trim(piece)
            try Self.check(filter)
            filters.append(filter)
        }
        guard filters.count <= Self.countMax else { throw InvalidValue("may hold at most \(Self.countMax) topic filters") }
        return filters
    }

    /// MQTT 5 §4.7.1; and what belongs to accounts is not given away.
    private static func check(_ filter: String) throws(InvalidValue) {
        guard !filter.isEmpty, filter.utf8.count <= 65_535, !filter.utf8.contains(0) else { throw InvalidValue("holds an empty topic filter") }
        let levels = filter.split(separator: "/", omittingEmptySubsequences: false)
        for (index, level) in levels.enumerated() {
            guard level == "#" ? index == levels.count - 1 : level == "+" || !(level.contains("+") || level.contains("#")) else {
                throw InvalidValue("holds '\(filter)', which is not a topic filter: '+' stands for a whole level, '#' for all that follow")
            }
        }
        if let first = levels.first, first == "v1" || first == "fed" || first.hasPrefix("$") {
            throw InvalidValue("holds '\(filter)': topics under '\(first)/' always need an account")
        }
    }
}

enum Trimming {
    /// Without blanks and tabs at both ends.
    static func trim(_ text: some StringProtocol) -> String {
        let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" }
        let start = text.firstIndex { !isBlank($0) } ?? text.endIndex
        let end = text.lastIndex { !isBlank($0) }.map { text.index(after: $0) } ?? start
        return String(text[start..<end])
    }
}
