import MQTTCodec
import NIOCore

/// A client that proves anew who it is, on its living connection (MQTT 5 §4.12.1): one exchange at a time, and all else goes on meanwhile.
struct Reauthentication {
    private enum State {
        case idle
        /// What the client sent is being looked at.
        case deciding(since: UInt64)
        /// The next word is the client's.
        case awaiting(since: UInt64)
    }

    /// What an AUTH packet of the client is.
    enum Step {
        case begin(ByteBuffer?)
        case proceed(ByteBuffer?)
        case wrong(String)
    }

    private var state = State.idle

    /// - Parameter method: the one of the connection's CONNECT; nil when it named none, and then there is no AUTH at all [MQTT-4.12.0-7].
    mutating func heard(_ auth: MQTTAuth, method: String?, now: UInt64) -> Step {
        guard let method else { return .wrong("This connection uses no authentication method.") }
        guard auth.properties.authenticationMethod == method else { return .wrong("The authentication method is that of CONNECT.") }
        switch (self.state, auth.reason) {
        case (.idle, .reAuthenticate):
            self.state = .deciding(since: now)
            return .begin(auth.properties.authenticationData)
        case (.awaiting(let since), .continueAuthentication):
            self.state = .deciding(since: since)
            return .proceed(auth.properties.authenticationData)
        case (.idle, _), (.deciding, _), (.awaiting, _): return .wrong("Nothing was asked that this AUTH could answer.")
        }
    }

    /// The client is asked something. False: there is no exchange any more.
    mutating func asks() -> Bool {
        guard case .deciding(let since) = self.state else { return false }
        self.state = .awaiting(since: since)
        return true
    }

    /// The client has proved who it is.
    mutating func succeeded() -> Bool {
        guard case .deciding = self.state else { return false }
        self.state = .idle
        return true
    }

    func isOverdue(at now: UInt64, seconds: Int) -> Bool {
        switch self.state {
        case .idle: false
        case .deciding(let since), .awaiting(let since): now >= since + UInt64(seconds) * 1000
        }
    }
}
