package import SkerryModel

/// Ids and orders for tests: small numbers in, always the same values out.
package enum Sample {
    package static func id<ID: Identifier>(_ number: Int) -> ID { ID(Bytes16(high: 0xA0, low: UInt64(number))) }
    package static func user(_ number: Int) -> UserID { Self.id(number) }
    package static func device(_ number: Int) -> DeviceID { Self.id(number) }
    package static func conversation(_ number: Int) -> ConversationID { Self.id(number) }
    package static func message(_ number: Int) -> MessageID { Self.id(number) }
    package static func invite(_ number: Int) -> InviteID { Self.id(number) }
    package static func accessRule(_ number: Int) -> AccessRuleID { Self.id(number) }

    package static let box = Self.box(1)
    package static func box(_ number: UInt8) -> BoxID {
        guard let box = BoxID([0, 1, 2, 3, 4, 5, 6, 7, 8, number]) else { preconditionFailure("ten bytes make a box id") }
        return box
    }

    package static func log(_ stream: Stream = .message, epoch: UInt64 = 7, box: BoxID = Sample.box) -> LogEpoch {
        LogEpoch(origin: box, stream: stream, epoch: epoch)
    }

    /// An order at a millisecond; the same number gives the same order.
    package static func order(_ milliseconds: Int, box: BoxID = Sample.box) -> Order {
        Order(hlc: HLC(milliseconds: UInt64(milliseconds), counter: 0), origin: box, epoch: 7, seq: UInt64(milliseconds))
    }

    package static func userRecord(_ number: Int, name: String? = nil, role: Role = .user) -> UserRecord {
        let name = name ?? "user\(number)"
        return UserRecord(
            id: Self.user(number), name: name, nameKey: UserName.key(of: name), display: "User \(number)", role: role, isLocked: false,
            passwordHash: "", createdMilliseconds: UInt64(number), stamp: Self.order(number))
    }

    package static func userEntry(_ id: UserID, name: String, role: Role = .user) -> UserEntry {
        UserEntry(id: id, name: name, display: name, role: role, isLocked: false, passwordHash: "", createdMilliseconds: 1)
    }
}

/// A small generator whose whole state is its seed, so that a failing run can be run again (SplitMix64).
package struct SeededRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64
    package init(seed: UInt64) { self.state = seed }

    package mutating func next() -> UInt64 {
        self.state &+= 0x9e37_79b9_7f4a_7c15
        var value = self.state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }

    /// True in `percent` of a hundred cases.
    package mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }

    package mutating func pick<Element>(_ elements: [Element]) -> Element? { elements.randomElement(using: &self) }
}
