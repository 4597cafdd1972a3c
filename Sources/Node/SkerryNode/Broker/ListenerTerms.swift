package import MQTTCodec
import MQTTSession
package import SkerryModel
import Synchronization

/// What one listener grants to the clients that come through it. A connection keeps the terms it came under: what CONNACK has announced does
/// not change under a client. A reload makes new terms for those who come later.
package final class ListenerTerms: Sendable {
    /// As the administrator calls it, for lists and logs.
    package let listener: String
    package let settings: BrokerSettings
    /// Topic filters that clients without an account may use here; nil: those of the whole box.
    let anonymous: [TopicFilter]?
    let session: SessionLimits
    private let open: OpenClients

    fileprivate init(listener: String, settings: BrokerSettings, anonymous: [TopicFilter]?, open: OpenClients) {
        self.listener = listener
        self.settings = settings
        self.anonymous = anonymous
        self.session = settings.session
        self.open = open
    }

    /// Clients that are connected through this listener, under these or other terms.
    package var clientCount: Int { self.open.count.load(ordering: .relaxed) }
    var isFull: Bool { self.clientCount >= self.settings.connectionsMax }
    func entered() { self.open.count.wrappingAdd(1, ordering: .relaxed) }
    func left() { self.open.count.wrappingSubtract(1, ordering: .relaxed) }

    /// What the decoder takes of a packet once CONNECT is through.
    package func apply(to limits: inout MQTTCodecLimits) {
        limits.packetBytesMax = self.settings.packetBytesMax
        limits.subscriptionsPerPacketMax = self.settings.subscriptionsPerPacketMax
        limits.repeatedPropertiesMax = self.settings.repeatedPropertiesMax
    }
}

/// The clients of one listener, counted over all its terms.
private final class OpenClients: Sendable {
    let count = Atomic<Int>(0)
}

/// One way in for MQTT clients: a listener's name and the terms for who comes next.
package final class MQTTEntrance: Sendable {
    package let name: String
    private let open = OpenClients()
    private let current: Mutex<ListenerTerms>

    /// - Parameter anonymous: what clients without an account may use here, when it is something else than elsewhere.
    package init(_ name: String, _ settings: BrokerSettings, anonymous: [TopicFilter]? = nil) {
        self.name = name
        self.current = Mutex(ListenerTerms(listener: name, settings: settings, anonymous: anonymous, open: self.open))
    }

    package var terms: ListenerTerms { self.current.withLock { $0 } }

    /// From the next connection on.
    package func change(_ settings: BrokerSettings, anonymous: [TopicFilter]? = nil) {
        let terms = ListenerTerms(listener: self.name, settings: settings, anonymous: anonymous, open: self.open)
        self.current.withLock { $0 = terms }
    }
}
