import MQTTCodec
import Replication
import SkerryModel

/// What another box listens to here, and what it may (FEDERATION.md §2.4): broadcast channels of any origin, addressed ones only to itself.
struct BoxSubscriptions {
    enum Answer: Sendable, Hashable {
        case granted(MQTTQoS)
        case refused(MQTTReason)
    }

    private struct Key: Hashable {
        /// Nil: of every box.
        var origin: BoxID?
        var channel: LinkChannel
    }

    private let federation: FederationID
    private let box: BoxID
    private let countMax: Int
    private var granted: [Key: MQTTQoS] = [:]

    /// - Parameter box: who listens.
    init(federation: FederationID, box: BoxID, countMax: Int) {
        self.federation = federation
        self.box = box
        self.countMax = countMax
    }

    var count: Int { self.granted.count }

    mutating func add(_ filter: TopicFilter, _ options: MQTTSubscriptionOptions) -> Answer {
        guard !filter.isShared else { return .refused(.sharedSubscriptionsNotSupported) }
        guard let key = self.key(filter.filter) else { return .refused(.notAuthorized) }
        guard self.granted[key] != nil || self.granted.count < self.countMax else { return .refused(.quotaExceeded) }
        let qos = options.qos == .atMostOnce ? MQTTQoS.atMostOnce : .atLeastOnce
        self.granted[key] = qos
        return .granted(qos)
    }

    /// Whether there was such a subscription.
    mutating func remove(_ filter: TopicFilter) -> Bool { self.key(filter.filter).flatMap { self.granted.removeValue(forKey: $0) } != nil }

    /// With what QoS a message is to be sent; nil: nobody listens.
    func qos(of message: LinkMessage) -> MQTTQoS? {
        guard message.addressee == nil || message.addressee == self.box else { return nil }
        let one = self.granted[Key(origin: message.origin, channel: message.channel)]
        let all = self.granted[Key(origin: nil, channel: message.channel)]
        guard let granted = [one, all].compactMap({ $0 }).max(by: { $0.rawValue < $1.rawValue }) else { return nil }
        return message.channel.qos == 0 ? .atMostOnce : granted
    }

    private func key(_ filter: String) -> Key? {
        let levels = filter.split(separator: "/", omittingEmptySubsequences: false)
        guard levels.count == 5 || levels.count == 6, levels[0] == "fed", levels[1] == "1", FederationID(text: levels[2]) == self.federation,
            let channel = LinkChannel(rawValue: String(levels[4])), channel.isAddressed == (levels.count == 6)
        else { return nil }
        if levels.count == 6, BoxID(text: levels[5]) != self.box { return nil }
        if levels[3] == "+" { return Key(origin: nil, channel: channel) }
        return BoxID(text: levels[3]).map { Key(origin: $0, channel: channel) }
    }
}
