import Crypto
import CryptoExtras
package import SkerryModel

/// What is stored of a password: scrypt (RFC 7914) of it and a salt, written `$scrypt$ln=14,r=8,p=1$salt$hash`.
///
/// Making or checking one takes tens of milliseconds and `cost.memoryBytes` of memory: never on an event loop, and few at a time.
package struct PasswordHash: Sendable, Hashable {
    /// How much work a guess costs.
    package struct Cost: Sendable, Hashable {
        /// Logarithm of scrypt's N.
        package let logRounds: Int
        /// scrypt's p: how often the work is done, in the same memory.
        package let repeats: Int

        /// Nil for a cost no box of ours would have chosen: a hash from elsewhere must not be able to exhaust the memory or the processor.
        package init?(logRounds: Int, repeats: Int) {
            guard Self.logRoundsRange.contains(logRounds), Self.repeatsRange.contains(repeats) else { return nil }
            self.init(checkedLogRounds: logRounds, repeats: repeats)
        }

        private init(checkedLogRounds: Int, repeats: Int) {
            self.logRounds = checkedLogRounds
            self.repeats = repeats
        }

        package static let logRoundsRange = 10...16
        package static let repeatsRange = 1...4

        /// 16 MiB of memory. Twice that would not fit a 256 MB board under several logins at once.
        package static let standard = Cost(checkedLogRounds: 14, repeats: 1)
        /// For tests only: a millisecond.
        package static let weakest = Cost(checkedLogRounds: 10, repeats: 1)

        package var memoryBytes: Int { 128 * PasswordHash.blockSize << self.logRounds }
    }

    /// scrypt's r. Nobody tunes it; a hash with another value is refused.
    static let blockSize = 8
    package static let saltByteCount = 16
    static let hashByteCount = 32

    package let cost: Cost
    private let salt: [UInt8]
    private let hash: [UInt8]

    /// Hashes a chosen password under `saltByteCount` fresh bytes of `random`.
    package init(_ password: Password, cost: Cost = .standard, using random: inout some RandomNumberGenerator) throws(SkerryError) {
        try self.init(password, salt: Bytes16(randomFrom: &random).bytes, cost: cost)
    }

    package init(_ password: Password, salt: [UInt8], cost: Cost) throws(SkerryError) {
        self.cost = cost
        self.salt = salt
        self.hash = try Self.derive(password, salt, cost)
    }

    /// Reads what `encoded` wrote; nil for anything else, absurd costs included.
    package init?(encoded: String) {
        let parts = encoded.split(separator: "$", omittingEmptySubsequences: false)
        guard encoded.utf8.count <= 200, parts.count == 5, parts[0].isEmpty, parts[1] == "scrypt" else { return nil }
        guard let cost = Self.cost(of: parts[2]), let salt = Base32.decode(parts[3]), let hash = Base32.decode(parts[4]) else { return nil }
        guard salt.count == Self.saltByteCount, hash.count == Self.hashByteCount else { return nil }
        self.cost = cost
        self.salt = salt
        self.hash = hash
    }

    package var encoded: String {
        "$scrypt$ln=\(self.cost.logRounds),r=\(Self.blockSize),p=\(self.cost.repeats)$\(Base32.encode(self.salt))$\(Base32.encode(self.hash))"
    }

    /// Whether this is the hash of `password`; compared in constant time.
    package func matches(_ password: Password) -> Bool {
        guard let derived = try? Self.derive(password, self.salt, self.cost) else { return false }
        return ConstantTime.equal(derived, self.hash)
    }

    /// Whether the password should be hashed anew at the next login, because the cost has been raised since.
    package func needsRehash(for cost: Cost = .standard) -> Bool { self.cost != cost }

    /// Whether `password` belongs to the stored hash of a user, `nil` or empty when there is no such user or they have no password.
    ///
    /// The answer takes the same work in every case: how long it takes must not tell which names exist.
    package static func verify(_ password: Password, against stored: String?, cost: Cost = .standard) -> Bool {
        guard let stored, let hash = PasswordHash(encoded: stored) else {
            _ = try? Self.derive(password, [UInt8](repeating: 0x5A, count: Self.saltByteCount), cost)
            return false
        }
        return hash.matches(password)
    }

    private static func cost(of text: Substring) -> Cost? {
        let fields = text.split(separator: ",", omittingEmptySubsequences: false)
        guard fields.count == 3, fields[1] == "r=\(Self.blockSize)", fields[0].hasPrefix("ln="), fields[2].hasPrefix("p=") else { return nil }
        guard let logRounds = Int(fields[0].dropFirst(3)), let repeats = Int(fields[2].dropFirst(2)) else { return nil }
        return Cost(logRounds: logRounds, repeats: repeats)
    }

    private static func derive(_ password: Password, _ salt: [UInt8], _ cost: Cost) throws(SkerryError) -> [UInt8] {
        do {
            let key = try KDF.Scrypt.deriveKey(
                from: password.bytes, salt: salt, outputByteCount: Self.hashByteCount, rounds: 1 << cost.logRounds, blockSize: Self.blockSize,
                parallelism: cost.repeats)
            return key.withUnsafeBytes { Array($0) }
        } catch {
            // The only failure left after the bounds of `Cost` is memory.
            throw SkerryError(.busy, "The box has no memory left for checking a password; try again shortly.", retryAfterSeconds: 5)
        }
    }
}
