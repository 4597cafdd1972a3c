import HTTPTypes

extension HTTPField.Name {
    // The names are tokens, so the failable initialiser cannot fail; the fallback is never used and keeps `!` out of the code.
    static let idempotencyKey = HTTPField.Name("Idempotency-Key") ?? .ifMatch
    static let rateLimitLimit = HTTPField.Name("RateLimit-Limit") ?? .ifMatch
    static let rateLimitRemaining = HTTPField.Name("RateLimit-Remaining") ?? .ifMatch
    static let rateLimitReset = HTTPField.Name("RateLimit-Reset") ?? .ifMatch
    static let requestID = HTTPField.Name("X-Request-Id") ?? .ifMatch
}
