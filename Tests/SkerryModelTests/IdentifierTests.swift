import SkerryModel
import TestKit
import Testing

@Suite("Ids and orders as text")
struct IdentifierTests {
    @Test(
        "Base32 is RFC 4648's extended-hex alphabet, in lower case and without padding",
        arguments: [("", ""), ("f", "co"), ("fo", "cpng"), ("foo", "cpnmu"), ("foob", "cpnmuog"), ("fooba", "cpnmuoj1"), ("foobar", "cpnmuoj1e8")])
    func vectors(_ plain: String, _ encoded: String) {
        #expect(Base32.encode(plain.utf8) == encoded)
        #expect(Base32.decode(encoded) == Array(plain.utf8))
    }

    @Test(
        "Nothing but the one spelling of a value is read",
        arguments: ["CO", "co======", "c", "cpn", "cpnmuo", "cp", "cpnmv", "co ", "cow", "c0x", "cö", "\u{0}o", "co\n"])
    func refused(_ text: String) { #expect(Base32.decode(text) == nil) }

    @Test("Any bytes come back, and encoded texts sort as their bytes", arguments: 1...20)
    func roundTrip(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let values = (0..<50).map { _ in (0..<Int.random(in: 0..<40, using: &random)).map { _ in UInt8.random(in: 0...3, using: &random) &* 85 } }
        for value in values { #expect(Base32.decode(Base32.encode(value)) == value) }
        let same = values.map { Array(($0 + [UInt8](repeating: 0, count: 40)).prefix(40)) }
        #expect(
            same.sorted { $0.lexicographicallyPrecedes($1) }.map(Base32.encode) == same.map(Base32.encode).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        )
    }

    @Test("An id is 26 characters, read back from exactly those")
    func ids() {
        let text = "00000000000100000000000008"
        let id: UserID = Sample.id(2)
        #expect(Sample.user(1).description.count == 26)
        #expect(UserID(text: Sample.user(1).description) == Sample.user(1))
        #expect(UserID(text: id.description.uppercased()) == (id.description == id.description.uppercased() ? id : nil))
        #expect(UserID(text: text)?.description == text)
        // The last character has two bits too many: they must be zero.
        #expect(UserID(text: "0000000000010000000000000b") == nil)
        #expect(UserID(text: text + "0") == nil)
        #expect(UserID(text: String(text.dropLast())) == nil)
        #expect(UserID(text: "") == nil)
        #expect(UserID(bytes: [UInt8](repeating: 1, count: 15)) == nil)
        #expect(UserID(bytes: [UInt8](repeating: 1, count: 17)) == nil)
    }

    @Test("A box id is 16 characters")
    func boxes() {
        #expect(Sample.box.description == "000g40o40k30e201")
        #expect(BoxID(text: "000g40o40k30e201") == Sample.box)
        #expect(BoxID(text: "00106040g20c1s8") == nil)
        #expect(BoxID(text: "00106040g20c1s8W") == nil)
        #expect(BoxID([1, 2, 3]) == nil)
        #expect(Sample.box(1) < Sample.box(2))
    }

    @Test("A message's id follows from sender and cid, by the published rule")
    func messageID() throws {
        let id = MessageID(sender: Sample.user(1), cid: try CID("01J8ZQ4Y3N6T2V7W9X0A1B2C3D"))
        #expect(id.description == "ool0l3h2enl07lqbhm8anrbp0c")
        #expect(MessageID(sender: Sample.user(2), cid: try CID("01J8ZQ4Y3N6T2V7W9X0A1B2C3D")) != id)
    }

    @Test("A direct conversation's id is the same from both sides")
    func direct() {
        #expect(ConversationID.direct(Sample.user(1), Sample.user(2)) == .direct(Sample.user(2), Sample.user(1)))
        #expect(ConversationID.direct(Sample.user(1), Sample.user(2)).description == "ps3sglv02mncoomqhngedt51d4")
        #expect(ConversationID.direct(Sample.user(1), Sample.user(3)) != .direct(Sample.user(1), Sample.user(2)))
    }

    @Test(
        "A cid is 1 to 64 characters of a small alphabet",
        arguments: [
            ("a", true), ("01J-x_y.z:9", true), (String(repeating: "a", count: 64), true),
            ("", false), (String(repeating: "a", count: 65), false), ("a b", false), ("é", false), ("a\u{0}", false), ("a/b", false), ("a\n", false),
        ])
    func cid(_ text: String, _ isValid: Bool) throws {
        if isValid {
            #expect(try CID(text).text == text)
        } else {
            let error = #expect(throws: SkerryError.self) { try CID(text) }
            #expect(error?.code == .payloadInvalid)
            #expect(error?.field == "cid")
        }
    }
}

@Suite("Order")
struct OrderTests {
    @Test("An order has one spelling")
    func text() {
        let order = Order(hlc: HLC(milliseconds: 1_700_000_000_000, counter: 5), origin: Sample.box, epoch: 7, seq: 9)
        let text = "065svpb80000a001081g81860s402000000000000s0000000000028"
        #expect(order.description == text)
        #expect(Order(text: text) == order)
        #expect(Order(text: text + "0") == nil)
        #expect(Order(text: String(text.dropLast())) == nil)
        #expect(Order(text: String(text.dropLast()) + "1") == nil)
        #expect(Order(bytes: order.bytes) == order)
        #expect(Order(bytes: order.bytes + [0]) == nil)
    }

    @Test("Orders sort as values, as bytes and as text alike: by clock, then box, then epoch, then sequence", arguments: 1...20)
    func sorting(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let edges: [UInt64] = [0, 1, 2, 255, 256, UInt64(UInt32.max), .max - 1, .max]
        func small() -> UInt64 { edges.randomElement(using: &random) ?? 0 }
        let orders = (0..<200).map { _ in
            Order(hlc: HLC(rawValue: small()), origin: Sample.box(UInt8.random(in: 0...2, using: &random)), epoch: small(), seq: small())
        }
        let sorted = orders.sorted()
        #expect(orders.sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) } == sorted)
        #expect(orders.map(\.description).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) } == sorted.map(\.description))
        for (one, other) in zip(sorted, sorted.dropFirst()) {
            let fields = { (order: Order) in (order.hlc.rawValue, order.origin, order.epoch, order.seq) }
            #expect(fields(one) <= fields(other))
        }
    }

    @Test("A clock reading keeps milliseconds and counter apart")
    func hlc() {
        let hlc = HLC(milliseconds: (1 << 48) - 1, counter: .max)
        #expect(hlc.rawValue == .max)
        #expect(hlc.milliseconds == (1 << 48) - 1)
        #expect(hlc.counter == .max)
        #expect(HLC(milliseconds: 2, counter: 0) > HLC(milliseconds: 1, counter: .max))
    }
}
