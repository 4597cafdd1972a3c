/// Why a text is no topic name or no topic filter (MQTT 5 §4.7, §4.8.2; MQTT 3.1.1 §4.7). Never holds the text.
package enum TopicError: String, Error, Sendable, Hashable, CaseIterable, CustomStringConvertible {
    /// A name or filter has at least one character [MQTT-4.7.3-1].
    case empty
    /// Over 65,535 bytes [MQTT-4.7.3-3].
    case tooLong
    /// Not well-formed UTF-8; nothing is repaired [MQTT-1.5.4-1].
    case notUTF8
    /// Holds U+0000 [MQTT-4.7.3-2].
    case nullCharacter
    /// A name with `+` or `#` [MQTT-3.3.2-2], [MQTT-4.7.0-1].
    case wildcardInName
    /// A filter whose `#` is not its whole last level, or whose `+` is not a whole level [MQTT-4.7.1-1], [MQTT-4.7.1-2].
    case misplacedWildcard
    /// More than `TopicName.separatorsMax` slashes: bounds the depth of everything that walks levels.
    case tooDeep
    /// `$share/` without a share name or filter, or with a wildcard in the share name [MQTT-4.8.2-1], [MQTT-4.8.2-2].
    case badShare

    package var description: String {
        switch self {
        case .empty: "a topic has at least one character"
        case .tooLong: "a topic has at most 65,535 bytes"
        case .notUTF8: "a topic is well-formed UTF-8"
        case .nullCharacter: "a topic does not contain U+0000"
        case .wildcardInName: "a topic name contains no '+' and no '#'"
        case .misplacedWildcard: "'+' stands for a whole level and '#' for the whole last level"
        case .tooDeep: "a topic has at most \(TopicName.separatorsMax) slashes"
        case .badShare: "a shared subscription is written $share/{group}/{filter}"
        }
    }
}
