import MQTTSession
import SkerryModel

/// `$SYS/…` on its way to clients: statistics under the names that tools for Mosquitto know. For administrators (PRODUCT.md §5).
extension BrokerShard {
    /// Once an interval, on one shard.
    func publishSystem() {
        let shard = self.shard
        self.broker.refreshRetained {
            shard.enter { shard in
                shard.mqtt?.perform { [mqtt = shard.mqtt] in
                    guard let mqtt else { return }
                    for message in mqtt.broker.system.changes(mqtt.broker) { mqtt.route(message, nil) }
                }
            }
        }
    }

    /// They look retained: a new subscription gets the values of this moment.
    func sendSystem(_ subscription: ClientSubscription, _ session: BrokerSession) {
        for message in self.broker.system.present(self.broker) where subscription.filter.matches(message.topic) {
            self.deliverRetained(message, subscription, session)
        }
    }
}
