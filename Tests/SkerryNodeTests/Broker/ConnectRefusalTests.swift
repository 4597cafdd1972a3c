import MQTTCodec
import MQTTSession
import SkerryModel
import Testing

@testable import SkerryNode

@Suite("Broker: reasons of refusals and ends")
struct ConnectRefusalTests {
    @Test("every refusal of an account becomes a reason that CONNACK has [MQTT-3.2.2-8]", arguments: ErrorCode.allCases)
    func connack(_ code: ErrorCode) {
        let allowed: Set<UInt8> = [0x86, 0x87, 0x88, 0x89, 0x8A, 0x95, 0x97, 0x9C, 0x9D, 0x9F]
        #expect(allowed.contains(ConnectRefusal(SkerryError(code, "no")).reason.rawValue))
    }

    @Test(
        "every end that the box decides becomes a reason that a server's DISCONNECT has [MQTT-3.14.2-1]",
        arguments: [SessionEnd.revoked, .locked, .replaced, .shutdown, .slow])
    func disconnect(_ end: SessionEnd) {
        let allowed: Set<UInt8> = [0x80, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x96, 0x97, 0x98, 0x9C, 0x9D]
        #expect(allowed.contains(end.mqttReason.rawValue))
    }
}
