package import MQTTCodec
import MQTTSession

/// What goes to the administrator's log and the figures when a connection begins, is refused or ends.
extension MQTTBroker {
    func noteConnected(_ session: BrokerSession, _ link: MQTTLink, _ version: MQTTVersion, isPresent: Bool) {
        link.introduce(client: "", user: nil)
        self.node.metrics.add(.mqttConnectionsOpened, ["version": version.text, "transport": link.transport.rawValue])
        self.log.connected(session, link, isPresent: isPresent, now: self.clock.now())
    }

    /// - Parameter reason: of a DISCONNECT, from either side; nil: the connection was just gone.
    func noteDisconnected(_ session: BrokerSession, _ link: MQTTLink, _ reason: MQTTReason?) {
        self.node.metrics.add(.mqttDisconnects, ["reason": reason?.description ?? "lost"])
        self.log.disconnected(session, link, reason, now: self.clock.now())
    }

    func note(_ refusal: ConnectRefusal, _ version: MQTTVersion, _ link: MQTTLink) {
        self.node.metrics.add(.mqttConnectsRefused, ["reason": refusal.reason.description])
        guard self.log.admitsRefusal(link, now: self.clock.now()) else { return }
        let (introduced, log) = (link.introduced, self.log)
        guard let user = introduced.user else {
            return log.refused(link, clientID: introduced.client, name: nil, version: version, refusal.text)
        }
        self.accounts.knownName(user) { log.refused(link, clientID: introduced.client, name: $0, version: version, refusal.text) }
    }

    /// A connection is closed because what came on it is no MQTT, or nothing came in time.
    package func noteFault(_ link: MQTTLink, _ reason: MQTTReason, _ text: String) {
        link.setFault(reason)
        guard !link.isIn else { return }
        self.node.metrics.add(.mqttConnectsRefused, ["reason": reason.description])
        if self.log.admitsRefusal(link, now: self.clock.now()) {
            self.log.refused(link, clientID: link.introduced.client, name: nil, version: nil, text)
        }
    }
}
