import Account
import HTTPTypes
import SkerryModel
import SkerryNode

/// `Authorization: Bearer …` (RFC 6750). Nothing else lets anybody in: no cookie, no token in an address.
enum BearerToken {
    static func caller(_ headers: HTTPFields, _ address: AddressKey, _ accounts: AccountService) async throws(SkerryError) -> Caller {
        guard let token = Self.token(headers[.authorization]) else {
            throw SkerryError(.unauthenticated, "Sign in, and send the token as Authorization: Bearer TOKEN.")
        }
        return try await accounts.authenticate(token: token, address: address)
    }

    private static func token(_ header: String?) -> String? {
        guard let header else { return nil }
        let parts = header.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, let scheme = parts.first, scheme.lowercased() == "bearer", let token = parts.last else { return nil }
        return String(token.drop { $0 == " " })
    }
}
