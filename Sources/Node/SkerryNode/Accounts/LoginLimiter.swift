import Account
import SkerryModel

/// Slows down guessing of passwords and links: one ladder for addresses, one for names (PRODUCT.md M7).
///
/// A try counts when it is made. One that succeeds is given back to its address, and forgets its name's ladder: somebody who has an
/// account of their own wins nothing by it, since what they get back is only what that success had cost.
struct LoginLimiter: Sendable {
    private var addresses: RateLadder<AddressKey>
    private var names: RateLadder<String>

    init(limits: Limits) {
        self.addresses = RateLadder(policy: .address, keysMax: limits.limiterKeysMax)
        self.names = RateLadder(policy: .login, keysMax: limits.limiterKeysMax)
    }

    mutating func attempt(_ address: AddressKey, now: UInt64) throws(SkerryError) { try self.addresses.check(address, now: now) }
    mutating func attempt(name: String, now: UInt64) throws(SkerryError) { try self.names.check(Self.key(name), now: now) }

    mutating func succeeded(_ address: AddressKey, name: String?) {
        self.addresses.giveBack(address)
        if let name { self.names.forgive(Self.key(name)) }
    }

    /// A key takes bounded memory, whatever was given as a name.
    private static func key(_ name: String) -> String { String(decoding: UserName.key(of: name.prefix(128)).utf8.prefix(128), as: UTF8.self) }
}
