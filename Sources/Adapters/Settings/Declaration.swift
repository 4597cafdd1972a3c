import SkerryModel

/// One key: how it is written, what it may be, what it does, and which field of `Settings` it fills.
package struct Declaration: Sendable {
    package private(set) var key: String
    /// What a value looks like, as people read it: `0 to 65535`, `true or false`.
    package let form: String
    /// One or more sentences for the default file and the help.
    package let text: String
    /// Puts a written value into its field.
    let apply: @Sendable (inout Settings, String) throws(InvalidValue) -> Void
    /// Writes the field's value as the file would hold it.
    package let render: @Sendable (Settings) -> String
    /// Whether a change takes effect while the box runs; otherwise at its next start.
    package private(set) var isLive = false

    init(
        key: String, form: String, text: String, apply: @escaping @Sendable (inout Settings, String) throws(InvalidValue) -> Void,
        render: @escaping @Sendable (Settings) -> String
    ) {
        self.key = key
        self.form = form
        self.text = text
        self.apply = apply
        self.render = render
    }

    func live() -> Declaration {
        var live = self
        live.isLive = true
        return live
    }

    func renamed(_ key: String) -> Declaration {
        var renamed = self
        renamed.key = key
        return renamed
    }

    /// The environment variable that sets the key: `http.port` is `SKERRY_HTTP_PORT`.
    package var environmentName: String { Self.environmentName(of: self.key) }

    static func environmentName(of key: String) -> String { "SKERRY_" + String(key.uppercased().map { $0 == "." ? "_" : $0 }) }
}

/// Why a value cannot be taken; completes the sentence "`http.port` …".
struct InvalidValue: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
}

extension Declaration {
    typealias Field<Value> = any WritableKeyPath<Settings, Value> & Sendable

    static func number(_ key: String, _ field: Field<Int>, _ range: ClosedRange<Int>, _ text: String) -> Declaration {
        let form = "\(range.lowerBound) to \(range.upperBound)"
        return Declaration(key: key, form: form, text: text) { settings, value throws(InvalidValue) in
            guard let number = Int(value), range.contains(number) else { throw InvalidValue("must be a whole number from \(form)") }
            settings[keyPath: field] = number
        } render: {
            "\($0[keyPath: field])"
        }
    }

    /// A number of bytes; `K`, `M` and `G` after it multiply by 1024, 1024², 1024³.
    static func bytes(_ key: String, _ field: Field<Int>, _ range: ClosedRange<Int>, _ text: String) -> Declaration {
        let form = "\(ByteCount.render(range.lowerBound)) to \(ByteCount.render(range.upperBound)) bytes; K, M or G may follow the number"
        return Declaration(key: key, form: form, text: text) { settings, value throws(InvalidValue) in
            guard let number = ByteCount.parse(value), range.contains(number) else { throw InvalidValue("must be \(form)") }
            settings[keyPath: field] = number
        } render: {
            ByteCount.render($0[keyPath: field])
        }
    }

    static func port(_ key: String, _ field: Field<PortRange>, _ text: String) -> Declaration {
        let form = "0 to 65535, or a range FIRST-LAST"
        return Declaration(key: key, form: form, text: text + " 0 is the next free port; of a range, such as 8080-8089, the lowest free one is taken.") {
            settings, value throws(InvalidValue) in
            guard let ports = PortRange(text: value) else {
                throw InvalidValue("must be a port from 0 to 65535, or a range such as 8080-8089 of at most \(PortRange.countMax) ports")
            }
            settings[keyPath: field] = ports
        } render: {
            "\($0[keyPath: field])"
        }
    }

    static func flag(_ key: String, _ field: Field<Bool>, _ text: String) -> Declaration {
        Declaration(key: key, form: "true or false", text: text) { settings, value throws(InvalidValue) in
            switch value.lowercased() {
            case "true", "yes", "on", "1": settings[keyPath: field] = true
            case "false", "no", "off", "0": settings[keyPath: field] = false
            default: throw InvalidValue("must be true or false")
            }
        } render: {
            $0[keyPath: field] ? "true" : "false"
        }
    }

    static func choice<Value: RawRepresentable<String> & CaseIterable & Sendable>(_ key: String, _ field: Field<Value>, _ text: String) -> Declaration {
        let form = Value.allCases.map(\.rawValue).joined(separator: ", ")
        return Declaration(key: key, form: "one of \(form)", text: text) { settings, value throws(InvalidValue) in
            guard let choice = Value(rawValue: value.lowercased()) else { throw InvalidValue("must be one of \(form)") }
            settings[keyPath: field] = choice
        } render: {
            $0[keyPath: field].rawValue
        }
    }

    /// A file or directory; whether it exists is found out by whoever opens it.
    static func path(_ key: String, _ field: Field<String>, _ text: String) -> Declaration {
        Declaration(key: key, form: "a path", text: text) { settings, value throws(InvalidValue) in
            guard value.utf8.count <= 4_096, !value.utf8.contains(0) else { throw InvalidValue("must be a path of at most 4096 bytes") }
            settings[keyPath: field] = value
        } render: {
            $0[keyPath: field]
        }
    }

    static func address(_ key: String, _ field: Field<String>, _ text: String) -> Declaration {
        Declaration(key: key, form: "an IPv4 or IPv6 address", text: text) { settings, value throws(InvalidValue) in
            guard AddressText.isAddress(value) else { throw InvalidValue("must be an IPv4 or IPv6 address, such as 0.0.0.0, 127.0.0.1 or ::") }
            settings[keyPath: field] = value
        } render: {
            $0[keyPath: field]
        }
    }

    static func topicFilters(_ key: String, _ field: Field<[String]>, _ text: String) -> Declaration {
        Declaration(key: key, form: "topic filters with commas between", text: text) { settings, value throws(InvalidValue) in
            settings[keyPath: field] = try TopicFilterList.parse(value)
        } render: {
            $0[keyPath: field].joined(separator: ", ")
        }
    }
}
