package import SkerryModel

/// The topic filter of an access rule: `%u` stands for the user's name and `%c` for the client id, each as the text of a level or a part of one.
package enum AccessPattern {
    /// Whether the text may be a rule's; what is wrong with it otherwise.
    package static func check(_ text: String, effect: AccessEffect, limits: Limits) throws(SkerryError) {
        guard text.utf8.count <= limits.accessFilterBytesMax else {
            throw SkerryError(.tooLarge, "A rule's topic filter has at most \(limits.accessFilterBytesMax) bytes.", field: "filter")
        }
        let filter: TopicFilter
        do throws(TopicError) {
            filter = try TopicFilter(Self.expand(text, user: "x", client: "x") ?? text)
        } catch {
            throw SkerryError(.payloadInvalid, "This is no topic filter: \(error).", field: "filter")
        }
        guard !filter.isShared else {
            throw SkerryError(
                .payloadInvalid, "A rule is about topics: write the filter without $share/{group}/; it holds for shared subscriptions too.", field: "filter")
        }
        guard effect == .allow else { return }
        switch filter.firstLevel {
        case "$SYS":
            throw SkerryError(.payloadInvalid, "Topics under $SYS/ are the box's own and read by administrators; a rule can only deny them.", field: "filter")
        case "fed":
            throw SkerryError(.payloadInvalid, "Topics under fed/ are between boxes; no rule opens them.", field: "filter")
        default: return
        }
    }

    /// The filter for one client; nil when the rule says nothing about it: it has no name, or a client id that would be more than one level's text.
    ///
    /// What is put in is not read again: a client id `%u`, `+` or `#` stands for nothing but itself, and one that would make the filter another
    /// kind of filter (`$share`) makes none.
    package static func filter(_ text: String, user: String?, client: String) -> TopicFilter? {
        guard let expanded = Self.expand(text, user: user, client: client), let filter = try? TopicFilter(expanded), !filter.isShared else { return nil }
        return filter
    }

    private static func expand(_ text: String, user: String?, client: String) -> String? {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return text }
        var result = ""
        var rest = text[...]
        while let percent = rest.utf8.firstIndex(of: UInt8(ascii: "%")) {
            result += rest[..<percent]
            rest = rest[rest.utf8.index(after: percent)...]
            let value: String?
            switch rest.utf8.first {
            case UInt8(ascii: "u"): value = user
            case UInt8(ascii: "c"): value = client
            default:
                result += "%"
                continue
            }
            guard let value, Self.isText(value) else { return nil }
            result += value
            rest = rest[rest.utf8.index(after: rest.startIndex)...]
        }
        return result + rest
    }

    private static func isText(_ value: String) -> Bool {
        !value.isEmpty && !value.utf8.contains { $0 == TopicName.separator || $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") || $0 == 0 }
    }
}
