import MQTTCodec
import NIOCore
import Testing

@Suite("Farewell")
struct FarewellTests {
    private func farewell(_ decoder: MQTTDecoder, _ bytes: [UInt8]) -> [UInt8]? {
        var decoder = decoder
        decoder.append(ByteBuffer(bytes: bytes))
        #expect(throws: MQTTDecodeError.self) { while try decoder.next() != nil {} }
        guard let farewell = decoder.farewell else { return nil }
        var buffer = ByteBuffer()
        #expect(MQTTEncoder.encode(farewell.packet, version: farewell.version, into: &buffer))
        return Array(buffer.readableBytesView)
    }

    @Test("[MQTT-3.1.2-2] [MQTT311-3.1.2-2] an unknown level gets the return code for it, whatever the level")
    func level() {
        #expect(self.farewell(MQTTDecoder(), [0x10, 10, 0, 4, 0x4D, 0x51, 0x54, 0x54, 6, 2, 0, 0]) == [0x20, 2, 0, 1])
    }

    @Test("[MQTT-3.1.4-1] [MQTT311-3.1.4-1] a malformed CONNECT of version 5 gets a CONNACK with the reason, one of 3.1.1 nothing")
    func connect() {
        #expect(self.farewell(MQTTDecoder(), [0x10, 13, 0, 4, 0x4D, 0x51, 0x54, 0x54, 5, 3, 0, 0, 0, 0, 0]) == [0x20, 3, 0, 0x81, 0])
        #expect(self.farewell(MQTTDecoder(), [0x10, 12, 0, 4, 0x4D, 0x51, 0x54, 0x54, 4, 3, 0, 0, 0, 0]) == nil)
    }

    @Test("who does not speak MQTT gets nothing")
    func stranger() {
        #expect(self.farewell(MQTTDecoder(), Array("GET / HTTP/1.1\r\n".utf8)) == nil)
        #expect(self.farewell(MQTTDecoder(), [0x10, 20, 0, 4, 0x4E]) == nil)
    }

    @Test("[MQTT-4.13.1-1] after CONNECT version 5 gets a DISCONNECT with the reason, the others nothing")
    func connected() throws {
        #expect(try self.farewell(Reader.server(.v5).decoder(), [0x36, 0]) == [0xE0, 1, 0x81])
        #expect(try self.farewell(Reader.server(.v5).decoder(), [0x10, 0]) == [0xE0, 1, 0x82])
        #expect(try self.farewell(Reader.server(.v311).decoder(), [0x36, 0]) == nil)
        #expect(try self.farewell(Reader.client(.v5).decoder(), [0x36, 0]) == nil)
    }

    @Test("nobody is seen off without an error")
    func healthy() throws {
        #expect(try Reader.server(.v5).decoder().farewell == nil)
    }
}
