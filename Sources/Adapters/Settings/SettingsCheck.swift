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
        for (index, (name, listener)) in listeners.enumerated() where listener.port != 0 {
            for (other, earlier) in listeners.prefix(index) where earlier.port == listener.port {
                problems.append("\(self.place("\(name).port")): \(name).port and \(other).port are both \(listener.port); give each its own")
            }
        }
        if listeners.isEmpty { problems.append("http.enabled, https.enabled, mqtt.enabled and mqtts.enabled are all false; enable at least one") }
        if self.limits.frameBytesMax < self.limits.textBytesMax + 8_192 {
            problems.append("\(self.place("chat.text_bytes_max")): chat.frame_bytes_max must exceed chat.text_bytes_max by at least 8K")
        }
        return problems
    }

    private func place(_ key: String) -> String { "\(self.origins[key] ?? .standard)" }
}
