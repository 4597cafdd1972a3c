import SkerryModel
import Testing

@Suite("The registry of errors")
struct ErrorCodeTests {
    /// PRODUCT.md §6, row by row.
    static let published: [(ErrorCode, String, Int, UInt8, Bool)] = [
        (.badRequest, "bad_request", 400, 0x99, false), (.payloadInvalid, "payload_invalid", 422, 0x99, false),
        (.unauthenticated, "unauthenticated", 401, 0x86, false), (.tokenExpired, "token_expired", 401, 0x87, false),
        (.forbidden, "forbidden", 403, 0x87, false), (.blocked, "blocked", 403, 0x87, false), (.muted, "muted", 403, 0x87, false),
        (.banned, "banned", 403, 0x87, false), (.notFound, "not_found", 404, 0x90, false), (.gone, "gone", 410, 0x90, false),
        (.conflict, "conflict", 409, 0x83, false), (.preconditionFailed, "precondition_failed", 412, 0x83, false),
        (.tooLarge, "too_large", 413, 0x95, false), (.quotaExceeded, "quota_exceeded", 507, 0x97, false), (.rateLimited, "rate_limited", 429, 0x97, true),
        (.storageLow, "storage_low", 507, 0x97, true), (.moved, "moved", 421, 0x9D, true), (.noQuorum, "no_quorum", 503, 0x88, true),
        (.unavailable, "unavailable", 503, 0x88, true), (.busy, "busy", 503, 0x89, true),
    ]

    @Test("Each code is carried as published", arguments: published.indices)
    func table(_ index: Int) {
        let (code, text, status, reason, isTemporary) = Self.published[index]
        #expect(code.rawValue == text)
        #expect(code.httpStatus == status)
        #expect(code.mqttReason == reason)
        #expect(code.isTemporary == isTemporary)
        #expect(code.title.hasSuffix("."))
    }

    @Test("The table is whole")
    func whole() { #expect(Set(Self.published.map(\.0)) == Set(ErrorCode.allCases)) }
}
