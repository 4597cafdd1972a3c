import SkerryModel

/// The text of a topic as a key: equal when the bytes are [MQTT-4.7.3-4].
struct TopicText: Hashable {
    private let text: String

    init(_ text: String) { self.text = text }

    static func == (left: TopicText, right: TopicText) -> Bool { TopicBytes.areEqual(left.text.utf8, right.text.utf8) }
    func hash(into hasher: inout Hasher) { TopicBytes.hash(self.text.utf8, into: &hasher) }
}
