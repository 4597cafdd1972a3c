/// The one registry of errors (PRODUCT.md §6). Every refusal, on every carrier, is one of these.
package enum ErrorCode: String, Sendable, CaseIterable {
    case badRequest = "bad_request"
    case payloadInvalid = "payload_invalid"
    case unauthenticated
    case tokenExpired = "token_expired"
    case forbidden
    case blocked
    case muted
    case banned
    case notFound = "not_found"
    case gone
    case conflict
    case preconditionFailed = "precondition_failed"
    case tooLarge = "too_large"
    case quotaExceeded = "quota_exceeded"
    case rateLimited = "rate_limited"
    case storageLow = "storage_low"
    case moved
    case noQuorum = "no_quorum"
    case unavailable
    case busy

    /// The HTTP status of the problem document (RFC 9457).
    package var httpStatus: Int {
        switch self {
        case .badRequest: 400
        case .payloadInvalid: 422
        case .unauthenticated, .tokenExpired: 401
        case .forbidden, .blocked, .muted, .banned: 403
        case .notFound: 404
        case .gone: 410
        case .conflict: 409
        case .preconditionFailed: 412
        case .tooLarge: 413
        case .quotaExceeded, .storageLow: 507
        case .rateLimited: 429
        case .moved: 421
        case .noQuorum, .unavailable, .busy: 503
        }
    }

    /// The MQTT 5 reason code of an acknowledgement that carries this refusal (MQTT 5 §2.4).
    package var mqttReason: UInt8 {
        switch self {
        case .badRequest, .payloadInvalid: 0x99
        case .unauthenticated: 0x86
        case .tokenExpired, .forbidden, .blocked, .muted, .banned: 0x87
        case .notFound, .gone: 0x90
        case .conflict, .preconditionFailed: 0x83
        case .tooLarge: 0x95
        case .quotaExceeded, .storageLow, .rateLimited: 0x97
        case .moved: 0x9D
        case .noQuorum, .unavailable: 0x88
        case .busy: 0x89
        }
    }

    /// Whether the same request may succeed later without a change.
    package var isTemporary: Bool {
        switch self {
        case .rateLimited, .storageLow, .moved, .noQuorum, .unavailable, .busy: true
        case .badRequest, .payloadInvalid, .unauthenticated, .tokenExpired, .forbidden, .blocked, .muted, .banned, .notFound, .gone, .conflict,
            .preconditionFailed, .tooLarge, .quotaExceeded:
            false
        }
    }

    /// A short sentence for people; the detail of a `SkerryError` says what to do.
    package var title: String {
        switch self {
        case .badRequest: "The request could not be understood."
        case .payloadInvalid: "The content is not acceptable."
        case .unauthenticated: "Sign in first."
        case .tokenExpired: "The sign-in has expired; sign in again."
        case .forbidden: "You may not do this."
        case .blocked: "This person does not accept messages from you."
        case .muted: "You are muted in this conversation."
        case .banned: "You are banned from this conversation."
        case .notFound: "There is no such thing, or it is not yours to see."
        case .gone: "It existed, but no longer does."
        case .conflict: "It contradicts what is already there."
        case .preconditionFailed: "It has changed since you last read it."
        case .tooLarge: "It is larger than this box accepts."
        case .quotaExceeded: "Your share of this box is used up."
        case .rateLimited: "Too many requests; wait a moment."
        case .storageLow: "The box is nearly out of disk space and takes no new content."
        case .moved: "This is served by another box."
        case .noQuorum: "Too few boxes are reachable to decide this."
        case .unavailable: "The box cannot do this right now."
        case .busy: "The box is busy; try again shortly."
        }
    }
}

/// A refusal: a code of the registry, a sentence that says what to do, and where it helps the field that was wrong.
///
/// The detail reaches clients and logs: it never holds a payload, a password, a token or a position.
package struct SkerryError: Error, Sendable, Hashable, CustomStringConvertible {
    package var code: ErrorCode
    package var detail: String
    package var field: String?
    package var retryAfterSeconds: Int?

    package init(_ code: ErrorCode, _ detail: String, field: String? = nil, retryAfterSeconds: Int? = nil) {
        self.code = code
        self.detail = detail
        self.field = field
        self.retryAfterSeconds = retryAfterSeconds
    }

    package var description: String { "\(self.code.rawValue): \(self.detail)" }
}
