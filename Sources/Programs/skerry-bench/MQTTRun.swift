import NIOCore

/// What every part of the MQTT benchmark needs.
struct MQTTRun {
    let measure: Measure
    /// The path of the broker beside it; empty for none.
    let mosquitto: String
    /// The clients' loop; there is a second for the few clients that must not wait for the others.
    let loop: any EventLoop
    let quietLoop: any EventLoop
    /// Messages of one publisher under way at once in a pattern.
    let window: Int
    /// QoS 1 messages of one publisher without acknowledgement while a queue is filled.
    let ingestWindow: Int

    var makeBox: () throws -> any MQTTBroker {
        { [measure] in try MeasuredBox.forMQTT(measure) }
    }

    var makeMosquitto: ((Mosquitto.Persistence) -> () throws -> any MQTTBroker)? {
        guard !self.mosquitto.isEmpty else { return nil }
        return { [measure, mosquitto] persistence in { try Mosquitto(mosquitto, measure, persistence) } }
    }

    /// The box and, unless it is not wanted, Mosquitto, both made new.
    func makeBoth() throws -> [any MQTTBroker] {
        let makers = [self.makeBox] + (self.makeMosquitto.map { [$0(.none)] } ?? [])
        return try makers.map { try $0() }
    }
}
