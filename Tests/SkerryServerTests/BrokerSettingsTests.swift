import Settings
import SkerryModel
import SkerryNode
import Testing

@testable import SkerryServer

@Suite("The broker's settings")
struct BrokerSettingsTests {
    @Test("what an administrator sets is what the broker gets")
    func mapped() throws {
        var broker = Settings().broker
        let numbers: [(WritableKeyPath<Settings.Broker, Int>, KeyPath<BrokerSettings, Int>)] = [
            (\.connectionsMax, \.connectionsMax), (\.packetBytesMax, \.packetBytesMax), (\.receiveMax, \.receiveMax), (\.inFlightMax, \.inFlightMax),
            (\.topicAliasMax, \.topicAliasMax), (\.keepAliveSecondsMax, \.keepAliveSecondsMax), (\.sessionSecondsMax, \.sessionSecondsMax),
            (\.levelsMax, \.levelsMax), (\.subscriptionsMax, \.subscriptionsMax), (\.queuedMessagesMax, \.queuedMessagesMax),
            (\.queuedBytesMax, \.queuedBytesMax), (\.queuedBytesAllMax, \.queuedBytesAllMax),
            (\.sessionsMax, \.sessionsMax), (\.sessionsPerUserMax, \.sessionsPerUserMax),
            (\.subscriptionsPerPacketMax, \.subscriptionsPerPacketMax), (\.repeatedPropertiesMax, \.repeatedPropertiesMax),
            (\.connectBurst, \.connectBurst), (\.connectsPerSecond, \.connectsPerSecond),
            (\.retainedMessagesMax, \.retainedMessagesMax), (\.retainedBytesMax, \.retainedBytesMax), (\.systemSeconds, \.systemSeconds),
        ]
        for (index, number) in numbers.enumerated() { broker[keyPath: number.0] = 1_000 + index }
        broker.anonymous = ["open/#"]
        broker.overflow = .dropNew
        let settings = try BrokerSettings(broker)
        for (index, number) in numbers.enumerated() { #expect(settings[keyPath: number.1] == 1_000 + index, "\(number.0)") }
        #expect(settings.anonymous.map(\.text) == ["open/#"])
        #expect(settings.overflow == .drop)
    }

    @Test("nothing set is the broker's own standard")
    func standard() throws {
        let (ours, theirs) = (try BrokerSettings(Settings().broker), BrokerSettings())
        #expect(ours.sessionsMax == theirs.sessionsMax && ours.sessionsPerUserMax == theirs.sessionsPerUserMax)
        #expect(ours.retainedMessagesMax == theirs.retainedMessagesMax && ours.retainedBytesMax == theirs.retainedBytesMax)
        #expect(ours.queuedMessagesMax == theirs.queuedMessagesMax && ours.queuedBytesMax == theirs.queuedBytesMax && ours.overflow == theirs.overflow)
    }
}
