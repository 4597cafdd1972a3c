import MQTTCodec
import Replication
import SkerryModel
import Testing

@testable import Listeners

@Suite("what another box may listen to and publish here")
struct BoxRuleTests {
    private static let federation = FederationID([UInt8](repeating: 1, count: 10))!
    private static let foreign = FederationID([UInt8](repeating: 2, count: 10))!
    private static let here = BoxID([UInt8](repeating: 3, count: 10))!
    private static let sender = BoxID([UInt8](repeating: 4, count: 10))!
    private static let third = BoxID([UInt8](repeating: 5, count: 10))!

    private static func answer(_ filter: String, qos: MQTTQoS = .atLeastOnce) throws -> BoxSubscriptions.Answer {
        var subscriptions = BoxSubscriptions(federation: Self.federation, box: Self.sender, countMax: 100)
        return subscriptions.add(try TopicFilter(filter), MQTTSubscriptionOptions(qos: qos))
    }

    @Test("broadcast channels of any box and what is for the box itself are granted")
    func granted() throws {
        for filter in FederationTopic.filters(Self.federation, of: Self.here, for: Self.sender) {
            #expect(try Self.answer(filter) == .granted(.atLeastOnce), "\(filter)")
        }
        for channel in LinkChannel.allCases {
            let end = channel.isAddressed ? "/\(Self.sender)" : ""
            #expect(try Self.answer("fed/1/\(Self.federation)/+/\(channel.rawValue)\(end)") == .granted(.atLeastOnce))
        }
        #expect(try Self.answer("fed/1/\(Self.federation)/+/hb", qos: .atMostOnce) == .granted(.atMostOnce))
        #expect(try Self.answer("fed/1/\(Self.federation)/+/c", qos: .exactlyOnce) == .granted(.atLeastOnce))
    }

    @Test("anything else is refused as not the box's to hear")
    func refused() throws {
        let start = "fed/1/\(Self.federation)"
        let filters = [
            "#", "+", "fed/#", "fed/1/#", "\(start)/#", "\(start)/\(Self.here)/#", "\(start)/\(Self.here)/+", "\(start)/+/+", "\(start)/+/q/+",
            "\(start)/\(Self.here)/q/\(Self.third)", "\(start)/\(Self.here)/q", "\(start)/\(Self.here)/c/\(Self.sender)", "\(start)/\(Self.here)/nonsense",
            "fed/1/\(Self.foreign)/\(Self.here)/c", "fed/2/\(Self.federation)/\(Self.here)/c", "v1/c/x/msg", "$SYS/#", "\(start)/nobody/c",
        ]
        for filter in filters { #expect(try Self.answer(filter) == .refused(.notAuthorized), "\(filter)") }
        #expect(try Self.answer("$share/g/\(start)/+/c") == .refused(.sharedSubscriptionsNotSupported))
    }

    @Test("one subscription over the limit is refused, one again is not")
    func limit() throws {
        var subscriptions = BoxSubscriptions(federation: Self.federation, box: Self.sender, countMax: 2)
        let filters = try ["c", "m", "vv"].map { try TopicFilter("fed/1/\(Self.federation)/+/\($0)") }
        let options = MQTTSubscriptionOptions(qos: .atLeastOnce)
        #expect(subscriptions.add(filters[0], options) == .granted(.atLeastOnce))
        #expect(subscriptions.add(filters[1], options) == .granted(.atLeastOnce))
        #expect(subscriptions.add(filters[2], options) == .refused(.quotaExceeded))
        #expect(subscriptions.add(filters[1], options) == .granted(.atLeastOnce))
        #expect(subscriptions.remove(filters[0]) && !subscriptions.remove(filters[0]))
        #expect(subscriptions.add(filters[2], options) == .granted(.atLeastOnce))
    }

    @Test("a message goes out only to a subscription, with the lesser QoS")
    func matching() throws {
        var subscriptions = BoxSubscriptions(federation: Self.federation, box: Self.sender, countMax: 10)
        let message = LinkMessage(origin: Self.here, channel: .message, payload: [])
        #expect(subscriptions.qos(of: message) == nil)
        _ = subscriptions.add(try TopicFilter("fed/1/\(Self.federation)/\(Self.third)/m"), MQTTSubscriptionOptions(qos: .atLeastOnce))
        #expect(subscriptions.qos(of: message) == nil)
        _ = subscriptions.add(try TopicFilter("fed/1/\(Self.federation)/+/m"), MQTTSubscriptionOptions(qos: .atMostOnce))
        #expect(subscriptions.qos(of: message) == .atMostOnce)
        _ = subscriptions.add(try TopicFilter("fed/1/\(Self.federation)/\(Self.here)/m"), MQTTSubscriptionOptions(qos: .atLeastOnce))
        #expect(subscriptions.qos(of: message) == .atLeastOnce)
        _ = subscriptions.add(try TopicFilter("fed/1/\(Self.federation)/+/hb"), MQTTSubscriptionOptions(qos: .atLeastOnce))
        #expect(subscriptions.qos(of: LinkMessage(origin: Self.here, channel: .heartbeat, payload: [])) == .atMostOnce)
        _ = subscriptions.add(try TopicFilter("fed/1/\(Self.federation)/+/q/\(Self.sender)"), MQTTSubscriptionOptions(qos: .atLeastOnce))
        #expect(subscriptions.qos(of: LinkMessage(origin: Self.here, channel: .request, addressee: Self.third, payload: [])) == nil)
        #expect(subscriptions.qos(of: LinkMessage(origin: Self.here, channel: .request, addressee: Self.sender, payload: [])) == .atLeastOnce)
    }

    @Test("a box publishes under its own name to its own federation, and to this box")
    func publishing() {
        func verdict(_ topic: String, _ bytes: Int = 1) -> BoxPublishRule.Verdict {
            BoxPublishRule.judge(topic, bytes, from: Self.sender, at: Self.here, of: Self.federation)
        }
        let start = "fed/1/\(Self.federation)"
        #expect(verdict("\(start)/\(Self.sender)/m") == .accepted(FederationTopic(Self.federation, Self.sender, .message)))
        #expect(verdict("\(start)/\(Self.sender)/q/\(Self.here)") == .accepted(FederationTopic(Self.federation, Self.sender, .request, to: Self.here)))
        #expect(verdict("\(start)/\(Self.third)/m") == .forged(claimed: Self.third))
        #expect(verdict("\(start)/\(Self.here)/m") == .forged(claimed: Self.here))
        #expect(verdict("fed/1/\(Self.foreign)/\(Self.sender)/m") == .forged(claimed: Self.sender))
        #expect(verdict("v1/c/x/send") == .forged(claimed: nil))
        #expect(verdict("\(start)/\(Self.sender)/q/\(Self.third)") == .refused(.notAuthorized))
        #expect(verdict("\(start)/\(Self.sender)/later") == .refused(.topicNameInvalid))
        #expect(verdict("\(start)/\(Self.sender)/m", LinkChannel.payloadBytesMax) == .accepted(FederationTopic(Self.federation, Self.sender, .message)))
        #expect(verdict("\(start)/\(Self.sender)/m", LinkChannel.payloadBytesMax + 1) == .refused(.quotaExceeded))
    }
}
