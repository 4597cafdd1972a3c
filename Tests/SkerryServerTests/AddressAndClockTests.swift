import SkerryModel
import SkerryNode
import Testing

@testable import SkerryServer

@Suite("Addresses and clock")
struct AddressAndClockTests {
    @Test(
        "a link names an address that can be opened",
        arguments: [
            ("0.0.0.0", "http://127.0.0.1:80"), ("::", "http://[::1]:80"), ("fd00::1", "http://[fd00::1]:80"), ("192.168.1.2", "http://192.168.1.2:80"),
        ])
    func url(address: String, expected: String) { #expect(LocalAddress.url("http", address, 80) == expected) }

    @Test("a box without a set clock goes on from its latest stamp, and never from before its own making")
    func floor() {
        let future = SkerryVersion.earliestMilliseconds + 400 * 86_400_000_000
        if NodeClock.disciplined(after: 0).isKeptRight { return }
        #expect(NodeClock.disciplined(after: future).wall() >= future)
        #expect(NodeClock.disciplined(after: 0).wall() >= SkerryVersion.earliestMilliseconds)
    }
}

extension NodeClock {
    /// Where the kernel vouches for the clock there is no floor to test.
    fileprivate var isKeptRight: Bool { SystemProbe.system(dataDirectory: "/").clockIsSynced() == true }
}
