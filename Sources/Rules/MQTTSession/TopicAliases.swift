/// Topic aliases of one direction of one connection (MQTT 5 §3.3.2.3.4). Forgotten with the connection.
///
/// From a client: the client chooses, we look up.
package struct InboundAliases<Topic: Sendable>: Sendable {
    /// What we announced as Topic Alias Maximum.
    package let maximum: UInt16
    private var topics: [UInt16: Topic] = [:]

    package init(maximum: UInt16) { self.maximum = maximum }

    package enum Failure: Error, Sendable, Hashable {
        /// 0, or above what we announced [MQTT-3.3.2-8], [MQTT-3.3.2-9]: reason 0x94.
        case invalid
        /// No topic, and the alias stands for none: reason 0x82.
        case unknown
    }

    /// The topic that a PUBLISH with `topic` (nil when empty) and `alias` means; remembers a new meaning.
    package mutating func resolve(_ topic: Topic?, _ alias: UInt16?) throws(Failure) -> Topic {
        guard let alias else {
            guard let topic else { throw .unknown }
            return topic
        }
        guard alias != 0, alias <= self.maximum else { throw .invalid }
        if let topic {
            self.topics[alias] = topic
            return topic
        }
        guard let known = self.topics[alias] else { throw .unknown }
        return known
    }
}

/// Towards a client: topics get aliases first come, first served, as many as it allows [MQTT-3.1.2-26].
package struct OutboundAliases<Topic: Hashable & Sendable>: Sendable {
    package let maximum: UInt16
    private var aliases: [Topic: UInt16] = [:]

    /// - Parameter maximum: what the client announced, or less.
    package init(maximum: UInt16) { self.maximum = maximum }

    package enum Choice: Sendable, Hashable {
        /// Send the topic alone.
        case none
        /// Send the topic and this alias, which stands for it from now on.
        case define(UInt16)
        /// Send the alias instead of the topic.
        case use(UInt16)
    }

    package mutating func choose(_ topic: Topic) -> Choice {
        guard self.maximum > 0 else { return .none }
        if let alias = self.aliases[topic] { return .use(alias) }
        guard self.aliases.count < Int(self.maximum) else { return .none }
        let alias = UInt16(self.aliases.count + 1)
        self.aliases[topic] = alias
        return .define(alias)
    }
}
