import SkerryModel
import SkerryNode
import TestKit
import Testing

@Suite struct SisterPagesTests {
    private static func sister(_ name: String, _ addresses: String...) -> SisterBox { SisterBox(box: Sample.box, name: name, addresses: addresses) }

    static let origins: [(String, Bool)] = [
        ("http://10.0.0.2:8080", true), ("https://10.0.0.2:8443", true), ("http://10.0.0.2", true), ("http://lighthouse:8080", true),
        ("http://LightHouse.local", true), ("http://[fd00::2]:8080", true), ("https://[fd00::2]", true),
        ("http://10.0.0.3:8080", false), ("http://10.0.0.2.evil.example", false), ("http://10.0.0.2@evil.example", false),
        ("http://evil.example/10.0.0.2", false), ("http://lighthouse.example", false), ("http://10.0.0.2:", false), ("http://10.0.0.2:80x", false),
        ("http://10.0.0.2:8080/", false), ("http://[fd00::2", false), ("http://[fd00::2]x", false), ("http://fd00::2", false), ("ftp://10.0.0.2", false),
        ("file://10.0.0.2", false), ("null", false), ("", false), ("http://", false), ("http://:8080", false),
        ("http://10.0.0.2:" + String(repeating: "8", count: 200), false),
    ]

    @Test("a page is let in from where a box of the federation is, at any port, and from nowhere else", arguments: origins)
    func allow(_ origin: String, _ isAllowed: Bool) {
        #expect(SisterPages.allow(origin, from: [Self.sister("Lighthouse", "10.0.0.2", "fd00::2")]) == isAllowed)
        #expect(!SisterPages.allow(origin, from: []))
    }

    @Test("a name that is no host name lets nobody in")
    func names() {
        for name in ["", "a b", "*", "港口"] { #expect(!SisterPages.allow("http://\(name)", from: [Self.sister(name)])) }
    }

    @Test("the policy names each address once, for requests and for WebSockets")
    func sources() {
        let sisters = [Self.sister("a", "10.0.0.2", "fd00::2"), Self.sister("b", "10.0.0.2", "box.lan")]
        #expect(SisterPages.policySources(sisters) == ["http://10.0.0.2:*", "ws://10.0.0.2:*", "http://box.lan:*", "ws://box.lan:*"])
        #expect(SisterPages.policySources([]).isEmpty)
    }

    @Test(
        "what could write another rule, or stand for every host, does not get into the policy",
        arguments: ["*", "a b", "a; script-src *", "a,b", "é", "'self'", ""])
    func injection(_ address: String) {
        #expect(SisterPages.policySources([Self.sister("a", address)]).isEmpty)
    }

    @Test("a policy has a bound, whatever boxes say of themselves")
    func bound() {
        let many = SisterBox(box: Sample.box, name: "a", addresses: (0..<1_000).map { "10.1.\($0 / 250).\($0 % 250)" })
        #expect(SisterPages.policySources([many]).count == 2 * SisterPages.addressesMax)
    }
}
