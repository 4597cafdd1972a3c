import Account
package import Logging
import MQTTCodec
import MQTTSession
import Synchronization

/// The administrator's log of MQTT connections: who came, who was not let in, who was cut off, and why. Never a secret, a topic or a payload.
///
/// A line names the client id, the user, the address, the listener, the transport, the protocol version and the reason. Of one address there are
/// `linesPerAddress` lines a minute at most, of all together `linesPerMinute`; what is left out is counted and told at the end of the minute.
/// The figures in `/metrics` count everything. A client id is shown as far as `textMax`; whoever writes the line takes control characters out.
package final class ConnectionLog: Sendable {
    enum Kind: Int, CaseIterable {
        case connected, disconnected, refused

        /// What is said of those that got no line.
        var summary: String {
            switch self {
            case .connected: "more MQTT clients connected in the last minute"
            case .disconnected: "more MQTT clients were disconnected in the last minute"
            case .refused: "more MQTT connections were refused in the last minute"
            }
        }
    }

    private struct Minute {
        var began: UInt64
        var lines = 0
        var byAddress: [AddressKey: Int] = [:]
        var unlogged = 0
    }

    package static let linesPerMinute = 60
    package static let linesPerAddress = 6
    /// Addresses counted for in one minute; further ones share the lines that are left.
    static let addressesMax = 1_024
    static let textMax = 120

    private let logger: Logger
    private let logsConnects: Bool
    private let state = Mutex<[Minute?]>(Kind.allCases.map { _ in nil })

    /// - Parameter logsConnects: whether clients that come and go as they should are worth a line too (`log.connects`).
    package init(logger: Logger, logsConnects: Bool) {
        self.logger = logger
        self.logsConnects = logsConnects
    }

    /// A log that nobody reads.
    package convenience init() { self.init(logger: Logger(label: "skerry") { _ in SwiftLogNoOpLogHandler() }, logsConnects: false) }

    // MARK: - What is told

    func connected(_ session: BrokerSession, _ link: MQTTLink, isPresent: Bool, now: UInt64) {
        guard self.logsConnects, self.admit(.connected, link.address, now) else { return }
        var about = Self.about(link, session.machine.clientID, session.name)
        about["version"] = "\(session.machine.version.text)"
        about["session"] = session.isDurable ? isPresent ? "kept, found again" : "kept" : "ends with the connection"
        self.logger.info("MQTT client connected", metadata: about)
    }

    /// - Parameter reason: as DISCONNECT says it; nil: the connection was just gone.
    func disconnected(_ session: BrokerSession, _ link: MQTTLink, _ reason: MQTTReason?, now: UInt64) {
        let isOrdinary = reason.map { !$0.isFailure || $0 == .serverShuttingDown || $0 == .sessionTakenOver } ?? true
        guard self.logsConnects || !isOrdinary, self.admit(.disconnected, link.address, now) else { return }
        var about = Self.about(link, session.machine.clientID, session.name)
        about["version"] = "\(session.machine.version.text)"
        about["reason"] = "\(Self.text(reason))"
        self.logger.info("MQTT client disconnected", metadata: about)
    }

    /// Whether a refusal gets a line, so that nothing is looked up for one that does not.
    func admitsRefusal(_ link: MQTTLink, now: UInt64) -> Bool { self.admit(.refused, link.address, now) }

    /// - Parameters:
    ///   - reason: a sentence of our own.
    ///   - name: of an account that exists; people type passwords where names go.
    func refused(_ link: MQTTLink, clientID: String?, name: String?, version: MQTTVersion?, _ reason: String) {
        var about = Self.about(link, clientID ?? "", name ?? "")
        about["version"] = version.map { "\($0.text)" }
        about["reason"] = "\(reason)"
        self.logger.info("MQTT connection refused", metadata: about)
    }

    /// Once a second: minutes that are over say what they left out.
    func secondPassed(now: UInt64) {
        for kind in Kind.allCases { self.tell(kind, self.state.withLock { Self.end(&$0[kind.rawValue], now) }) }
    }

    private func tell(_ kind: Kind, _ unlogged: Int) {
        if unlogged > 0 { self.logger.info("… and \(unlogged) \(kind.summary)") }
    }

    private static func about(_ link: MQTTLink, _ clientID: String, _ name: String) -> Logger.Metadata {
        var about: Logger.Metadata = [
            "address": "\(link.addressText.isEmpty ? "local" : link.addressText)", "listener": "\(link.terms.listener)",
            "transport": "\(link.transport.rawValue)",
        ]
        if !clientID.isEmpty { about["client"] = "\(Self.short(clientID))" }
        if !name.isEmpty { about["user"] = "\(name)" }
        return about
    }

    /// Counted without accents put together: one character may have any number of them.
    static func short(_ text: String) -> String {
        let scalars = text.unicodeScalars
        guard let end = scalars.index(scalars.startIndex, offsetBy: Self.textMax, limitedBy: scalars.endIndex), end < scalars.endIndex else { return text }
        return String(scalars[..<end]) + "…"
    }

    static func text(_ reason: MQTTReason?) -> String {
        guard let reason else { return "the connection was lost" }
        if reason == .disconnectWithWill { return "the client said goodbye and left its will" }
        guard reason.isFailure else { return "the client said goodbye" }
        let words: String? =
            switch reason {
            case .malformedPacket: "what came was no MQTT packet"
            case .protocolError: "a protocol error"
            case .notAuthorized: "the account was locked, its password or token changed, or it did not prove itself anew"
            case .serverShuttingDown: "the box went down"
            case .keepAliveTimeout: "the keep-alive ran out"
            case .sessionTakenOver: "the client id connected again"
            case .receiveMaximumExceeded: "more messages under way than were agreed"
            case .topicAliasInvalid: "a topic alias that was not agreed"
            case .packetTooLarge: "a packet larger than was agreed"
            case .quotaExceeded: "the client did not read what it was sent, or a limit was reached"
            case .administrativeAction: "an administrator disconnected it"
            default: nil
            }
        return words.map { "\(reason), \($0)" } ?? "\(reason)"
    }

    // MARK: - Lines a minute

    private func admit(_ kind: Kind, _ address: AddressKey, _ now: UInt64) -> Bool {
        let (isAdmitted, unlogged) = self.state.withLock { state -> (Bool, Int) in
            let unlogged = Self.end(&state[kind.rawValue], now)
            var minute = state[kind.rawValue] ?? Minute(began: now)
            defer { state[kind.rawValue] = minute }
            let ofAddress = minute.byAddress[address] ?? (minute.byAddress.count < Self.addressesMax ? 0 : Self.linesPerAddress)
            guard minute.lines < Self.linesPerMinute, ofAddress < Self.linesPerAddress else {
                minute.unlogged += 1
                return (false, unlogged)
            }
            minute.lines += 1
            minute.byAddress[address] = ofAddress + 1
            return (true, unlogged)
        }
        self.tell(kind, unlogged)
        return isAdmitted
    }

    /// How many went without a line in a minute that is over by now.
    private static func end(_ minute: inout Minute?, _ now: UInt64) -> Int {
        guard let over = minute, now >= over.began + 60_000 else { return 0 }
        minute = nil
        return over.unlogged
    }
}
