import SkerryModel
import SkerryNode

/// The close codes of the chat (Chat.md): 4000–4499 stop and show, 4500–4999 reconnect with jitter.
extension WebSocketCloseCode {
    static let badRequests = Self(rawValue: 4400)
    static let notAuthenticated = Self(rawValue: 4401)
    static let locked = Self(rawValue: 4403)
    static let noHello = Self(rawValue: 4408)
    static let tooManySessions = Self(rawValue: 4429)
    static let unavailable = Self(rawValue: 4500)
    static let slowConsumer = Self(rawValue: 4508)
    static let idle = Self(rawValue: 4510)

    /// How a connection ends whose `hello` was refused with `error`.
    init(refusedHello error: SkerryError) {
        self =
            switch error.code {
            case .forbidden, .banned, .blocked, .muted: .locked
            case .quotaExceeded: .tooManySessions
            case .rateLimited, .storageLow, .moved, .noQuorum, .unavailable, .busy: .unavailable
            case .unauthenticated, .tokenExpired, .badRequest, .payloadInvalid, .notFound, .gone, .conflict, .preconditionFailed, .tooLarge:
                .notAuthenticated
            }
    }

    init(_ end: SessionEnd) {
        self =
            switch end {
            case .revoked, .replaced: .notAuthenticated
            case .locked: .locked
            case .shutdown: .unavailable
            case .slow: .slowConsumer
            }
    }
}

extension SessionEnd {
    var closeReason: String {
        switch self {
        case .revoked: "signed out"
        case .replaced: "replaced by another session"
        case .locked: "account locked"
        case .shutdown: "box is stopping"
        case .slow: "slow consumer"
        }
    }
}
