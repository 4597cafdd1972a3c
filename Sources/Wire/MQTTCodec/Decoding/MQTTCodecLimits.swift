/// The bounds on what one packet may cost before anybody has looked at its meaning. The node fills them from its settings.
package struct MQTTCodecLimits: Sendable, Hashable {
    /// Bytes of a whole packet, fixed header included; a longer one is refused with 0x95 before its body is awaited.
    package var packetBytesMax = 1_048_576
    /// Filters of one SUBSCRIBE or UNSUBSCRIBE, and reasons of their answers; more is refused with 0x97.
    package var subscriptionsPerPacketMax = 2_000
    /// User properties, or other repeated properties, of one packet; more is refused with 0x97.
    package var repeatedPropertiesMax = 1_000

    /// What a packet can have at most at all: a remaining length of four bytes, and its header.
    package static let packetBytesProtocolMax = VariableInteger.max + 1 + VariableInteger.bytesMax
    /// Bytes of a first packet that are looked at before its remaining length is believed: fixed header, protocol name and level. What does
    /// not start like a CONNECT is refused there, however much follows.
    package static let firstPacketBytesMax = 1 + VariableInteger.bytesMax + 2 + 6 + 1

    package init() {}
}
