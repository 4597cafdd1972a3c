import SkerryModel
import Testing

@Suite("Ranges of ports") struct PortRangeTests {
    @Test("a port, a range and any port are read as they are written", arguments: ["0", "1", "65535", "8080-8089", "1-1000", "65000-65535"])
    func good(_ text: String) throws { #expect(try #require(PortRange(text: text)).description == text) }

    @Test(
        "anything else is none",
        arguments: ["", "-", "1-", "-1", "2-1", "0-5", "1-1001", "1-65536", "65536", "1-2-3", " 1", "1 - 2", "+1", "0x10", "１", "123456", "1-0"])
    func bad(_ text: String) { #expect(PortRange(text: text) == nil) }

    @Test("a range of one is a port, and only a port is known before it is bound")
    func fixed() throws {
        #expect(try #require(PortRange(text: "80-80")).fixed == 80)
        #expect(PortRange(80).fixed == 80)
        #expect(PortRange(0).fixed == nil && PortRange(0).isAny)
        #expect(try #require(PortRange(text: "80-81")).fixed == nil)
    }
}
