import SkerryModel
import Testing

@Suite("Address ranges") struct AddressRangeTests {
    @Test(
        "a block holds its addresses and no others",
        arguments: [
            ("10.0.0.0/8", "10.255.3.4", true), ("10.0.0.0/8", "11.0.0.1", false), ("192.0.2.4", "192.0.2.4", true), ("192.0.2.4", "192.0.2.5", false),
            ("192.0.2.128/25", "192.0.2.200", true), ("192.0.2.128/25", "192.0.2.127", false), ("0.0.0.0/0", "203.0.113.9", true),
            ("fd00::/8", "fdff::1", true), ("fd00::/8", "fe80::1", false), ("::1", "::1", true), ("::/0", "2001:db8::1", true), ("::/0", "10.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true), ("2001:db8::/33", "2001:db8:7fff::1", true), ("2001:db8::/33", "2001:db8:8000::1", false),
        ])
    func contains(_ range: String, _ address: String, _ isIn: Bool) throws {
        let range = try #require(AddressRange(range))
        #expect(range.contains(try #require(IPText.packed(address))) == isIn)
        #expect(AddressRange(range.description) == range)
    }

    @Test(
        "what is not one is refused, and so are bits behind the length",
        arguments: [
            "", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/", "10.0.0.0/ 8", "10.0.0.0/+8", "10.0.0/8", "10.0.0.00", "10.0.0.0/8/8", "::1/129", ":::", "1::2::3",
            "fd00::1/8", "fe80::1%eth0", "localhost", "1:2:3:4:5:6:7:8:9", "::ffff:1.2.3", "1.2.3.4:80", "12345::", "g::", "１.2.3.4",
        ])
    func refused(_ text: String) { #expect(AddressRange(text) == nil) }

    @Test(
        "an address is written as RFC 5952 says",
        arguments: ["::", "::1", "1::", "fd00::1", "2001:db8::1:0:0:1", "2001:0:0:1::1", "1:2:3:4:5:6:7:8", "0:1:2:3:4:5:6:7", "10.0.0.1"])
    func written(_ text: String) throws { #expect(IPText.text(try #require(IPText.packed(text))) == text) }

    @Test(
        "addresses are read as RFC 4291 writes them",
        arguments: [
            ("1.2.3.4", "01020304"), ("::", "00000000000000000000000000000000"), ("1::", "00010000000000000000000000000000"),
            ("::ffff:1.2.3.4", "00000000000000000000ffff01020304"), ("102:304:506:708:90a:b0c:d0e:f10", "0102030405060708090a0b0c0d0e0f10"),
        ])
    func packed(_ text: String, _ bytes: String) throws {
        let packed = try #require(IPText.packed(text))
        #expect(packed.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() == bytes)
    }
}
