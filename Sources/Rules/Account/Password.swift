package import SkerryModel

/// A password somebody chose, checked once where it came in.
///
/// Its description hides it, so that it cannot reach a log by way of an interpolation.
package struct Password: Sendable, CustomStringConvertible, CustomDebugStringConvertible {
    let bytes: [UInt8]

    /// Refuses with `payload_invalid` what is too short, too long, or holds U+0000. There are no rules about kinds of characters: length is what helps.
    package init(new text: String, limits: Limits = Limits()) throws(SkerryError) {
        guard text.count >= limits.passwordCharactersMin else {
            throw SkerryError(.payloadInvalid, "A password has at least \(limits.passwordCharactersMin) characters.", field: "password")
        }
        guard text.count <= limits.passwordCharactersMax, text.utf8.count <= Self.bytesMax(limits) else {
            throw SkerryError(.payloadInvalid, "A password has at most \(limits.passwordCharactersMax) characters.", field: "password")
        }
        guard !text.utf8.contains(0) else {
            throw SkerryError(.payloadInvalid, "A password may not hold the character U+0000.", field: "password")
        }
        self.bytes = Array(text.utf8)
    }

    /// A password to be compared with a stored hash. Whatever could never have been chosen becomes one that never matches,
    /// so that it costs the caller the same time as a wrong one.
    package init(offered text: String, limits: Limits = Limits()) {
        let isPossible = !text.isEmpty && text.utf8.count <= Self.bytesMax(limits) && !text.utf8.contains(0)
        self.bytes = isPossible ? Array(text.utf8) : [0]
    }

    /// One character may be made of many scalars: bytes are bounded as well.
    private static func bytesMax(_ limits: Limits) -> Int { 4 * limits.passwordCharactersMax }

    package var description: String { "(password)" }
    package var debugDescription: String { "(password)" }
}
