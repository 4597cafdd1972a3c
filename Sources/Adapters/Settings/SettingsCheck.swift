import SkerryModel

extension Settings {
    /// Values that are right each by itself but not together.
    func contradictions() -> [String] {
        var problems: [String] = []
        if self.tls.certificate.isEmpty != self.tls.key.isEmpty {
            let (present, absent) = self.tls.certificate.isEmpty ? ("tls.key", "tls.certificate") : ("tls.certificate", "tls.key")
            problems.append("\(self.place(present)): \(present) is set but \(absent) is not; set both, or neither for the box's own certificate")
        }
        let listeners = [("http", self.http), ("https", self.https), ("mqtt", self.mqtt), ("mqtts", self.mqtts)].filter(\.1.isEnabled)
        // The same range twice is no contradiction: each listener takes what is free.
        for (index, (name, listener)) in listeners.enumerated() where listener.port.fixed != nil {
            for (other, earlier) in listeners.prefix(index) where earlier.port == listener.port {
                problems.append("\(self.place("\(name).port")): \(name).port and \(other).port are both \(listener.port); give each its own")
            }
        }
        if listeners.isEmpty && self.listeners.isEmpty {
            problems.append("http.enabled, https.enabled, mqtt.enabled and mqtts.enabled are all false; enable at least one")
        }
        problems += self.listenerContradictions()
        if self.limits.frameBytesMax < self.limits.textBytesMax + 8_192 {
            problems.append("\(self.place("chat.text_bytes_max")): chat.frame_bytes_max must exceed chat.text_bytes_max by at least 8K")
        }
        return problems
    }

    private func listenerContradictions() -> [String] {
        var problems: [String] = []
        let usual: [(String, Listener)] = [("http", self.http), ("https", self.https), ("mqtt", self.mqtt), ("mqtts", self.mqtts)]
        var taken = usual.filter { $0.1.isEnabled && $0.1.port.fixed != nil }.map { (key: "\($0.0).port", address: self.bind, port: $0.1.port) }
        for listener in self.listeners {
            let key = "mqtt.listeners.\(listener.name).bind"
            let address = listener.address.isEmpty ? self.bind : listener.address
            if listener.port.fixed != nil, listener.interface.isEmpty {
                if let other = taken.first(where: { $0.port == listener.port && $0.address == address }) {
                    problems.append("\(self.place(key)): \(key) and \(other.key) are the same place; give each its own")
                }
                taken.append((key, address, listener.port))
            }
            if listener.clients != .off, !listener.isTLS {
                let asking = "mqtt.listeners.\(listener.name).client_certificates"
                problems.append("\(self.place(asking)): \(asking) needs TLS; set mqtt.listeners.\(listener.name).tls = true")
            }
        }
        guard self.tls.clientAuthority.isEmpty else { return problems }
        var asking: [(key: String, clients: ClientCertificates)] = [
            ("https.client_certificates", self.https.clients), ("mqtts.client_certificates", self.mqtts.clients),
        ]
        for listener in self.listeners { asking.append(("mqtt.listeners.\(listener.name).client_certificates", listener.clients)) }
        for (key, clients) in asking where clients != .off {
            problems.append("\(self.place(key)): \(key) needs tls.client_authority, the file that says whose certificates are good")
        }
        return problems
    }

    private func place(_ key: String) -> String { "\(self.origins[key] ?? .standard)" }
}
