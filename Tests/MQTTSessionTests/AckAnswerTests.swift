import MQTTCodec
import SkerryModel
import Testing

@testable import MQTTSession

@Suite("Refusals as acknowledgements")
struct AckAnswerTests {
    @Test("Every refusal becomes a reason that MQTT 5 allows in PUBACK and PUBREC [MQTT-3.4.2-1], [MQTT-3.5.2-1]", arguments: ErrorCode.allCases)
    func publish(_ code: ErrorCode) {
        let answer = AckAnswer(SkerryError(code, "no"), isLost: false)
        #expect([0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99].contains(answer.reason.rawValue))
        #expect(answer.code == code.rawValue)
    }

    @Test("Every refusal becomes a reason that MQTT 5 allows in SUBACK [MQTT-3.9.3-2]", arguments: ErrorCode.allCases)
    func subscribe(_ code: ErrorCode) {
        #expect([0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2].contains(MQTTReason.ofSubscribe(code).rawValue))
    }
}
