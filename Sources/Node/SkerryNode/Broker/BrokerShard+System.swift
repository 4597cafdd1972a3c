import MQTTCodec
import MQTTSession
import NIOCore
import SkerryModel

/// `$SYS/…`: statistics under the names that tools for Mosquitto know. For administrators (PRODUCT.md §5).
extension BrokerShard {
    func publishSystem() {
        for message in self.broker.systemMessages() { self.route(message, nil) }
    }

    /// They look retained: a new subscription gets the values of this moment.
    func sendSystem(_ subscription: ClientSubscription, _ session: BrokerSession) {
        for message in self.broker.systemMessages() where subscription.filter.matches(message.topic) {
            self.deliverRetained(message, subscription, session)
        }
    }
}

extension MQTTBroker {
    func systemMessages() -> [ApplicationMessage] {
        let metrics = self.node.metrics
        let connected = self.statistics.value(.connected)
        let sessions = self.statistics.value(.sessions)
        let values: [(String, String)] = [
            ("version", "skerry version \(SkerryVersion.text)"),
            ("uptime", "\((self.clock.now() - self.started) / 1000) seconds"),
            ("clients/connected", "\(connected)"),
            ("clients/active", "\(connected)"),
            ("clients/disconnected", "\(max(0, sessions - connected))"),
            ("clients/inactive", "\(max(0, sessions - connected))"),
            ("clients/total", "\(sessions)"),
            ("clients/maximum", "\(self.statistics.value(.connectedMost))"),
            ("subscriptions/count", "\(self.statistics.value(.subscriptions))"),
            ("publish/messages/received", "\(metrics.value(.mqttPublishesIn))"),
            ("publish/messages/sent", "\(metrics.value(.mqttPublishesOut))"),
            ("publish/messages/dropped", "\(metrics.value(.mqttDropped))"),
            ("messages/received", "\(metrics.value(.mqttPublishesIn))"),
            ("messages/sent", "\(metrics.value(.mqttPublishesOut))"),
            ("bytes/received", "\(metrics.value(.mqttBytesIn))"),
            ("bytes/sent", "\(metrics.value(.mqttBytesOut))"),
        ]
        return values.compactMap { name, value in
            guard let topic = try? TopicName("$SYS/broker/\(name)") else { return nil }
            return ApplicationMessage(topic: topic, payload: ByteBuffer(string: value), qos: .atMostOnce)
        }
    }
}
