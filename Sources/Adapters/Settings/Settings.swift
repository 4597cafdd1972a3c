package import SkerryModel

/// Everything an administrator can set: read at the start, and anew when the box is told to reload. A value never changes.
///
/// The defaults written here are the defaults: the table of declarations reads them from a fresh value, so they are said only once.
package struct Settings: Sendable {
    /// The data directory: database, keys, media, and `run/` for what a running box publishes. Made if missing.
    package var data = ""
    /// The IP address to listen on.
    package var bind = "0.0.0.0"
    /// Event loops; 0 is one for each processor.
    package var loops = 0

    package var http = Listener(port: 8_080)
    package var https = Listener(port: 8_443)
    package var mqtt = Listener(port: 1_883)
    package var mqtts = Listener(port: 8_883)
    /// For other boxes.
    package var federationPort = Listener(port: 0)
    package var federation = Federation()
    package var tls = TLS()
    package var broker = Broker()
    /// For MQTT, beside `mqtt` and `mqtts`.
    package var listeners: [MQTTListener] = []
    /// Who may say with the PROXY protocol for whom it connects.
    package var trustedProxies: [AddressRange] = []
    package var webSocket = WebSocket()
    package var log = Log()
    package var limits = Limits()

    /// Where each key's value came from.
    package internal(set) var origins: [String: SettingOrigin] = [:]

    /// What the members of a family write to while one of its sets is read.
    var draftListener = MQTTListener()
    var draftPair = TLS.Extra(name: "")

    package init() {}

    package struct Listener: Sendable, Hashable {
        /// 0 is the next free port; of several the lowest free one is taken.
        package var port: PortRange
        package var isEnabled = true
        /// Whether clients show certificates; with TLS only.
        package var clients = ClientCertificates.off
    }

    package struct TLS: Sendable, Hashable {
        /// PEM files; both empty for the box's own certificate.
        package var certificate = ""
        package var key = ""
        /// For clients that ask for a name in them.
        package var extra: [Extra] = []
        /// A PEM file of the authorities of client certificates.
        package var clientAuthority = ""
        package var clientNaming = CertificateNaming.commonName

        package struct Extra: Sendable, Hashable {
            package var name: String
            package var certificate = ""
            package var key = ""
        }
    }

    /// What one MQTT client may ask of the broker; announced in CONNACK where MQTT 5 has a property for it.
    package struct Broker: Sendable, Hashable {
        /// Topic filters that clients without an account may use.
        package var anonymous: [String] = []
        /// Whether SCRAM-SHA-256 is offered. Off: what it needs of each password is easier to guess against than the scrypt hash.
        package var offersScram = false
        package var packetBytesMax = 1_048_576
        package var receiveMax = 64
        package var topicAliasMax = 16
        package var keepAliveSecondsMax = 65_535
        package var sessionSecondsMax = 30 * 86_400
        package var inFlightMax = 64
        package var queuedMessagesMax = 10_000
        package var queuedBytesMax = 16 << 20
        package var queuedBytesAllMax = 256 << 20
        package var levelsMax = 200
        package var subscriptionsMax = 10_000
        package var subscriptionsPerPacketMax = 2_000
        package var repeatedPropertiesMax = 1_000
        package var connectBurst = 5_000
        package var connectsPerSecond = 500
        package var connectionsMax = 10_000
        package var sessionsMax = 20_000
        package var sessionsPerUserMax = 1_000
        package var retainedMessagesMax = 1_000_000
        package var retainedBytesMax = 1 << 30
        package var overflow = Overflow.refuse
        package var systemSeconds = 10
    }

    /// What becomes of a message for which a receiver's queue has no room.
    package enum Overflow: String, Sendable, Hashable, CaseIterable {
        case refuse
        case dropNew = "drop_new"
        case dropOldest = "drop_oldest"
    }

    package struct WebSocket: Sendable, Hashable {
        /// Whether `permessage-deflate` (RFC 7692) is offered.
        package var compresses = false
    }

    package struct Log: Sendable, Hashable {
        package var level = Level.info
        package var connects = false
    }

    package enum Level: String, Sendable, Hashable, CaseIterable {
        case trace, debug, info, notice, warning, error
    }
}

/// Where a value came from, for `skerry settings` and for error messages.
package enum SettingOrigin: Sendable, Hashable, CustomStringConvertible {
    case standard
    case file(path: String, line: Int)
    case environment(name: String)
    case flag(name: String)

    package var description: String {
        switch self {
        case .standard: "default"
        case .file(let path, let line): "\(path):\(line)"
        case .environment(let name): "environment variable \(name)"
        case .flag(let name): "option \(name)"
        }
    }
}
