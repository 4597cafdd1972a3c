import Crypto
import SkerryModel

/// Which passwords were right lately, as salted SHA-256 over the stored hash and the password; for MQTT clients that reconnect.
///
/// The stored hash is part of what is hashed, so a changed password makes the old answer unfindable by itself. The salt is random for
/// each start and never leaves the process. Whether the account is locked is not remembered; it is read every time.
/// At the bound the oldest are forgotten and cost a whole check again.
struct VerifiedPasswords: Sendable {
    private let salt: [UInt8]
    private let entriesMax: Int
    private var entries: [[UInt8]: UInt64] = [:]
    /// Long enough for a client that lost its Wi-Fi, short enough that a copy of the memory is soon worth nothing.
    static let millisecondsMax: UInt64 = 5 * 60_000

    init(salt: [UInt8], entriesMax: Int) {
        self.salt = salt
        self.entriesMax = max(8, entriesMax)
    }

    var count: Int { self.entries.count }

    func contains(_ key: [UInt8], now: UInt64) -> Bool {
        guard let since = self.entries[key] else { return false }
        return now >= since && now - since < Self.millisecondsMax
    }

    mutating func keep(_ key: [UInt8], now: UInt64) {
        if self.entries.count >= self.entriesMax {
            self.entries = self.entries.filter { now >= $0.value && now - $0.value < Self.millisecondsMax }
            for key in self.entries.sorted(by: { $0.value < $1.value }).prefix(max(0, self.entries.count - self.entriesMax / 8 * 7)).map(\.key) {
                self.entries[key] = nil
            }
        }
        self.entries[key] = now
    }

    func key(_ user: UserRecord, _ password: String) -> [UInt8] {
        var hash = SHA256()
        hash.update(data: self.salt)
        hash.update(data: user.id.bytes)
        hash.update(data: Array(user.passwordHash.utf8))
        hash.update(data: [0])
        hash.update(data: Array(password.utf8))
        return Array(hash.finalize())
    }
}
