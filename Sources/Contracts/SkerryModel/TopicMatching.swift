extension TopicFilter {
    /// Whether `topic` is one of those that this filter wants (MQTT 5 §4.7); a share name plays no part.
    package func matches(_ topic: TopicName) -> Bool {
        // Wildcards at the first level do not reach topics that start with `$` [MQTT-4.7.2-1].
        if self.hasWildcard, topic.startsWithDollar, !self.startsWithDollar { return false }
        guard self.hasWildcard else { return TopicBytes.areEqual(self.filter.utf8, topic.text.utf8) }
        return Self.match(self.filter.utf8, topic.text.utf8)
    }

    /// Level by level, without looking back: a filter has no wildcard whose reach is a choice.
    private static func match(_ filter: String.UTF8View, _ topic: String.UTF8View) -> Bool {
        var (wanted, there) = (filter.startIndex, topic.startIndex)
        while true {
            // Both stand at the start of a level.
            switch wanted < filter.endIndex ? filter[wanted] : nil {
            case UInt8(ascii: "#"): return true
            case UInt8(ascii: "+"):
                wanted = filter.index(after: wanted)
                while there < topic.endIndex, topic[there] != TopicName.separator { there = topic.index(after: there) }
            default:
                while wanted < filter.endIndex, filter[wanted] != TopicName.separator {
                    guard there < topic.endIndex, topic[there] == filter[wanted] else { return false }
                    wanted = filter.index(after: wanted)
                    there = topic.index(after: there)
                }
            }
            // Both stand at the end of a level, or the topic's level goes on.
            guard there < topic.endIndex else {
                // "a/#" wants "a" too (§4.7.1.2).
                return wanted == filter.endIndex || filter[wanted...].elementsEqual("/#".utf8)
            }
            guard topic[there] == TopicName.separator, wanted < filter.endIndex else { return false }
            wanted = filter.index(after: wanted)
            there = topic.index(after: there)
        }
    }
}
