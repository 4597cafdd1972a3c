import MQTTCodec
import MQTTSession
import NIOCore

/// What one shard counts on the path of every message: plain numbers, added to the box's once a tick.
struct ShardFigures {
    /// Packets of every kind; CONNECT is counted where it is decided.
    var packetsIn = 0
    private var publishesIn = 0
    private var publishBytesIn = 0
    private var out = SessionTally()

    mutating func received(_ publish: MQTTPublish, _ session: BrokerSession) {
        session.received += 1
        self.publishesIn += 1
        self.publishBytesIn += publish.payload.readableBytes
    }

    /// What was written for a client since the last time.
    mutating func collect(_ session: BrokerSession) {
        let tally = session.machine.takeTally()
        session.sent += tally.publishes
        self.out.packets += tally.packets
        self.out.publishes += tally.publishes
        self.out.publishBytes += tally.publishBytes
    }

    mutating func flush(into metrics: NodeMetrics) {
        func add(_ name: MetricName, _ count: Int) { if count > 0 { metrics.add(name, count) } }
        add(.mqttPacketsIn, self.packetsIn)
        add(.mqttPublishesIn, self.publishesIn)
        add(.mqttPublishBytesIn, self.publishBytesIn)
        add(.mqttPacketsOut, self.out.packets)
        add(.mqttPublishesOut, self.out.publishes)
        add(.mqttPublishBytesOut, self.out.publishBytes)
        self = ShardFigures()
    }
}
