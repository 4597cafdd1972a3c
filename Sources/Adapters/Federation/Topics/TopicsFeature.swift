package import NIOCore
package import Replication
package import SkerryModel
package import SkerryNode

/// Ordinary MQTT topics across boxes (FEDERATION.md §2.8): what is published here is heard by subscribers there, by interest.
package final class TopicsFeature: FederationFeature {
    private let broker: MQTTBroker

    /// - Parameters:
    ///   - allowed: only topics that one of these matches cross; empty: all.
    ///   - denied: topics that one of these matches do not cross, whatever `allowed` says.
    ///   - loop: where all of it runs; nil: a shard's.
    package init(broker: MQTTBroker, allowed: [TopicFilter] = [], denied: [TopicFilter] = [], loop: (any EventLoop)? = nil) {
        self.broker = broker
    }

    package var channels: Set<LinkChannel> { [.topic, .topicAcknowledged, .interest] }
    package func start(_ links: any FederationLinks) {}
    package func linkUp(_ box: BoxID) {}
    package func linkDown(_ box: BoxID) {}
    package func received(_ message: LinkMessage, from box: BoxID) {}
    package func tick(now monotonic: UInt64) {}
    /// Other lists from now on.
    package func reload(allowed: [TopicFilter], denied: [TopicFilter]) {}
    /// Nothing crosses any more; returns when the broker has let go of it.
    package func stop() async {}
}
